"""Yaks, YakReID-103 as released, into the folders of configs/yak/*_ori.yml:

    python -m tools.prepare_yak 'IJCB 2021' --like published_lists

The release is not public: ask the authors (IJCB 2021, IEEE 9484341). Taken are the photos below a
folder 'train', and those below 'val' or '…test…' ('IJCB 2021/train', 'IJCB 2021/hard-test/val').
Written below --out, and into --lists:

    Animal-2/{train,val}/<yak + 300>/*.jpg   val/<yak>/*.jpg
    yak_mytrain_aligned.txt yak_myval_aligned.txt yak_probe_simple.txt yak_gallery_simple.txt (or
    …_hard.txt)

In the published lists the folder is the yak's number + 300, so that species do not meet (yak 90's
photos are called 00183_*); the side is 1 up to number 103 but for three yaks, 0 above; test labels
go on after the training ones, one number left out. That holds for all of them and is done so here.
Unknown: which photo of a yak is for validation, which half of its test photos is the query (both
were drawn: --seed here), what makes a photo hard, and in which folder the photos of the simple test
come. That one has 843, the 433 of the hard test among them. So without --like a release of at most
433 test photos is taken for the hard test and gets its lists alone; a larger one gets those of the
simple test alone, and configs/yak needs DATASETS.SPECIES s_yak.
"""

import sys
from collections.abc import Sequence

from configs import ConfigError
from utils.errors import exit_code
from wildlife.releases.command_line import read_options
from wildlife.releases.write import Arranged
from wildlife.releases.yak import arrange_yaks


def main(argv: Sequence[str] | None = None) -> Arranged:
    """Arrange the photos, write the lists, print a summary."""
    options = read_options(argv, 'Arrange the photos of YakReID-103 and make their lists.')
    arranged = arrange_yaks(options)
    print('\n'.join(arranged.lines))
    return arranged


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
