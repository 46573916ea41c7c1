"""Elephants, ELPephants as released or the crops of the published lists, into the folders of
configs/elephant/*_ori.yml:

    python -m tools.prepare_elephant 'ELPephant (elephant ID system).zip'
    python -m tools.prepare_elephant CROPS --like published_lists

The first arranges the release with its own split, the second the crops 0.jpg … of the published
lists.

The release comes from the University of Jena (inf-cv.uni-jena.de), on accepting its licence terms.
The crops 0.jpg … 2076.jpg
of the published lists are not in it, and the map to its photos is not known: ask for them together
with the lists (arXiv 2405.13781). Written below --out, and into --lists:

    Animal-2/{train,val}/<500 + elephant>/*.jpg   elephant/*.jpg
    ele_train.txt ele_val.txt ele_new_test_probe.txt ele_new_test_gallery.txt

Without --like ele_train.txt is the release's train.txt; ele_val.txt and the queries are its
val.txt; the gallery is all photos.
As far as an elephant is in both, the test asks which known elephant this is: its numbers are not to
be compared with those of the published lists, whose test elephants are in no training. For such a
test: tools/make_lists.py on the photos of Animal-2. The side is taken from a file's name where that
says left or right.
"""

import sys
from collections.abc import Sequence

from configs import ConfigError
from utils.errors import exit_code
from wildlife.releases.command_line import read_options
from wildlife.releases.elephant import arrange_elephants
from wildlife.releases.write import Arranged


def main(argv: Sequence[str] | None = None) -> Arranged:
    """Arrange the photos, write the lists, print a summary."""
    options = read_options(argv, 'Arrange the photos of ELPephants and make their lists.')
    arranged = arrange_elephants(options)
    print('\n'.join(arranged.lines))
    return arranged


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
