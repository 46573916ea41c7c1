"""The command line of the commands prepare_*."""

import argparse
from collections.abc import Sequence

from configs.command_line import path_text, path_value
from wildlife.releases.arrange import ReleaseOptions


def read_options(argv: Sequence[str] | None, species: str, description: str) -> ReleaseOptions:
    """Read the command line of the command prepare_``species``."""
    parser = argparse.ArgumentParser(
        prog=f'python -m tools.prepare_{species}', description=description
    )
    parser.add_argument(
        'release',
        type=path_text,
        nargs='+',
        metavar='ARCHIVE_OR_FOLDER',
        help='archives as downloaded, or the folders they were unpacked to',
    )
    parser.add_argument(
        '--out',
        type=path_value,
        default='../data',
        help='folder below which the photos are written; the files …_ori.yml expect the default '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--lists',
        type=path_value,
        default='datalist',
        help='folder for the lists (default: %(default)s)',
    )
    parser.add_argument(
        '--like',
        type=path_value,
        metavar='FOLDER',
        help='folder with the published lists, which are then used (default: new lists are made)',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=1234,
        help='seed of the random choices for new lists (default: %(default)s)',
    )
    return ReleaseOptions(**vars(parser.parse_intermixed_args(argv)))
