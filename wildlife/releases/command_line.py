"""The command line that the commands prepare_* share."""

import argparse
from collections.abc import Sequence

from configs.command_line import path_text, path_value
from wildlife.releases.arrange import ReleaseOptions


def read_options(argv: Sequence[str] | None, description: str) -> ReleaseOptions:
    """Parse the command line of a tool: release, out, lists, like, seed."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        'release',
        type=path_text,
        nargs='+',
        metavar='ARCHIVE_OR_FOLDER',
        help='as downloaded, or what it was unpacked to',
    )
    parser.add_argument(
        '--out',
        type=path_value,
        default='../data',
        help='the photos go below it, where …_ori.yml look [../data]',
    )
    parser.add_argument(
        '--lists', type=path_value, default='datalist', help='folder of the lists [datalist]'
    )
    parser.add_argument(
        '--like',
        type=path_value,
        metavar='FOLDER',
        help='has the published lists: the photos are arranged for these, and none is drawn',
    )
    parser.add_argument(
        '--seed', type=int, default=1234, help='of what has to be drawn without --like'
    )
    return ReleaseOptions(**vars(parser.parse_intermixed_args(argv)))
