"""Arrange the elephant photos of ELPephants for configs/elephant/*_ori.yml.

    python -m tools.prepare_elephant 'ELPephant (elephant ID system).zip'
    python -m tools.prepare_elephant CROPS --like published_lists

The first command arranges the release with its own split, the second the crops 0.jpg … of the
published lists.

The release comes from the University of Jena (inf-cv.uni-jena.de), after accepting its licence
terms. It does not contain the crops 0.jpg … 2076.jpg of the published lists, and it is unknown
which photos they were cut from; ask the authors of the lists (arXiv 2405.13781) for both. Writes
below --out and into --lists:

    Animal-2/{train,val}/<500 + elephant>/*.jpg   elephant/*.jpg
    ele_train.txt ele_val.txt ele_new_test_probe.txt ele_new_test_gallery.txt

Without --like, ele_train.txt comes from train.txt of the release, ele_val.txt and the queries come
from its val.txt, and the gallery contains all photos. Elephants in both train.txt and val.txt are
then known to the model, so the results must not be compared with those of the published lists,
whose test elephants are not in training. For a test with unknown elephants, use
tools/make_lists.py on the photos of Animal-2. The side comes from file names that contain left or
right.
"""

import sys
from collections.abc import Sequence

from configs import ConfigError
from utils.errors import exit_code
from wildlife.releases.command_line import read_options
from wildlife.releases.elephant import arrange_elephants
from wildlife.releases.write import Arranged


def main(argv: Sequence[str] | None = None) -> Arranged:
    """Arrange the photos, write the lists and print a summary."""
    options = read_options(
        argv, 'elephant', 'Arrange the photos of ELPephants and make their lists.'
    )
    arranged = arrange_elephants(options)
    print('\n'.join(arranged.lines))
    return arranged


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
