"""The command line of tools/check_data.py."""

import argparse
import os
from collections.abc import Sequence

from configs.command_line import parse_with_pairs, path_text, whole_number

MAX_NEAR = 64  # bits; above this limit, photos of different animals count as near-duplicates


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m tools.check_data',
        description='Check the photos and lists of a config before training.',
        epilog='Exit code 1: training or its results would be wrong; 2: unreadable config or list.',
    )
    add = parser.add_argument
    add('--config_file', type=path_text, required=True, help='yml file in configs/, or your own')
    add(
        '--out',
        type=path_text,
        default='',
        help='folder for check.html and check.json (default: OUTPUT_DIR/check_data)',
    )
    add(
        '--near',
        type=whole_number(0, MAX_NEAR),
        default=24,
        help='report two photos as near-duplicates if at most this many of the 256 bits of their '
        'perceptual hashes differ; copies of another size or quality differ in about 12 '
        '(default: 24)',
    )
    add(
        '--tiny',
        type=whole_number(1, 10_000),
        default=32,
        help='report photos whose shorter side has fewer pixels than this (default: 32)',
    )
    add(
        '--closed',
        action='store_true',
        help='the test contains individuals of the train list on purpose (a closed set)',
    )
    add(
        '--workers',
        type=whole_number(1, 64),
        default=min(2, os.cpu_count() or 1),
        help='number of threads that read photos (default: %(default)s)',
    )
    return parse_with_pairs(parser, argv)
