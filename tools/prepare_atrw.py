"""Tigers, ATRW's re-identification photos as released, into the folders of configs/tiger/*_ori.yml:

    python -m tools.prepare_atrw atrw_reid_train.tar.gz atrw_anno_reid_train.tar.gz
        atrw_reid_test.tar.gz gt_test_plain.json

The archives come from LILA (CC BY-NC-SA 4.0), gt_test_plain.json from
github.com/cvwc2019/ATRWEvalScript, annotations/. Folders
do as well: those that the archives were unpacked to, or the one that they lie in. Written below
--out, and into --lists:

    Animal-2/{train,val}/<entity>/*.jpg   tiger/test_original/*.jpg
    mytrain.txt myval.txt mytest.txt gt_test_plain.json

An entity is one flank of one tiger: for all 107 of the published training lists its number % 3 is
their side. mytest.txt is the published one, line by line. The published mytrain.txt and myval.txt
hold 1825 of the release's 1887 photos; which are left out, and which photo is for validation,
follows from nothing in the release. So without --like all photos are used and the validation photos
are drawn; with --like FOLDER the lists in it are followed.
"""

import sys
from collections.abc import Sequence

from configs import ConfigError
from utils.errors import exit_code
from wildlife.releases.atrw import arrange_tigers
from wildlife.releases.command_line import read_options
from wildlife.releases.write import Arranged


def main(argv: Sequence[str] | None = None) -> Arranged:
    """Arrange the photos, write the lists, print a summary."""
    options = read_options(argv, 'Arrange the tiger photos of ATRW and make their lists.')
    arranged = arrange_tigers(options)
    print('\n'.join(arranged.lines))
    return arranged


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
