"""Arrange the released yak photos of YakReID-103 for configs/yak/*_ori.yml.

    python -m tools.prepare_yak 'IJCB 2021' --like published_lists

The release is not public; ask the authors (IJCB 2021, IEEE 9484341). The photos must be below a
folder 'train', and below 'val' or '…test…' ('IJCB 2021/train', 'IJCB 2021/hard-test/val'). Writes
below --out and into --lists:

    Animal-2/{train,val}/<yak + 300>/*.jpg   val/<yak>/*.jpg
    yak_mytrain_aligned.txt yak_myval_aligned.txt yak_probe_simple.txt yak_gallery_simple.txt (or
    …_hard.txt)

The lists made here follow the rules of the published ones. The folder is the number of the yak plus
300, so the folders of the species do not overlap; photos 00183_* are those of yak 90. The side is 1
up to number 103, except for three yaks, and 0 above. Test labels follow the training labels, with
one number skipped.

Some rules of the published lists are unknown: which photo of a yak is for validation and which half
of its test photos are queries (picked at random; here --seed decides), what makes a photo hard, and
which folder contains the photos of the simple test. The simple test has 843 photos, including the
433 of the hard test. Without --like, a release of at most 433 test photos is therefore taken for
the hard test and gets only its lists. A larger release gets only the lists of the simple test, and
the ymls of configs/yak then need DATASETS.SPECIES s_yak.
"""

import sys
from collections.abc import Sequence

from configs import ConfigError
from utils.errors import exit_code
from wildlife.releases.command_line import read_options
from wildlife.releases.write import Arranged
from wildlife.releases.yak import arrange_yaks


def main(argv: Sequence[str] | None = None) -> Arranged:
    """Arrange the photos, write the lists and print a summary."""
    options = read_options(argv, 'yak', 'Arrange the photos of YakReID-103 and make their lists.')
    arranged = arrange_yaks(options)
    print('\n'.join(arranged.lines))
    return arranged


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
