"""Arrange the released tiger photos of ATRW for configs/tiger/*_ori.yml.

    python -m tools.prepare_atrw atrw_reid_train.tar.gz atrw_anno_reid_train.tar.gz
        atrw_reid_test.tar.gz gt_test_plain.json

The archives come from LILA (CC BY-NC-SA 4.0), and gt_test_plain.json from the folder annotations/
of github.com/cvwc2019/ATRWEvalScript. You can also give the folders that the archives were unpacked
to, or the folder that contains the archives. Writes below --out and into --lists:

    Animal-2/{train,val}/<entity>/*.jpg   tiger/test_original/*.jpg
    mytrain.txt myval.txt mytest.txt gt_test_plain.json

An entity is one flank of one tiger. For all 107 entities of the published training lists, the
number of the entity modulo 3 is the side. mytest.txt equals the published list line by line. The
published mytrain.txt and myval.txt contain 1825 of the 1887 released photos; the release does not
tell which ones, nor which of them are for validation. Without --like, all photos are used and the
validation photos are picked at random. With --like FOLDER, the lists in FOLDER are used.
"""

import sys
from collections.abc import Sequence

from configs import ConfigError
from utils.errors import exit_code
from wildlife.releases.atrw import arrange_tigers
from wildlife.releases.command_line import read_options
from wildlife.releases.write import Arranged


def main(argv: Sequence[str] | None = None) -> Arranged:
    """Arrange the photos, write the lists and print a summary."""
    options = read_options(argv, 'atrw', 'Arrange the tiger photos of ATRW and make their lists.')
    arranged = arrange_tigers(options)
    print('\n'.join(arranged.lines))
    return arranged


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
