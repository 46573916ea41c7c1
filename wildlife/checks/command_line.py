"""The command line of tools/check_data.py."""

import argparse
import os
from collections.abc import Callable, Sequence

from configs.command_line import parse_with_pairs, path_text

MAX_NEAR = 64  # bits: beyond, different photos are nearly the same


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Check the photos and lists of a config before training.',
        epilog='Exit code 1: training or results would be wrong; 2: config or list unreadable.',
    )
    add = parser.add_argument
    add('--config_file', type=path_text, required=True, help='a yml of configs/, or your own')
    add(
        '--out',
        type=path_text,
        default='',
        help='folder for check.html and check.json (default OUTPUT_DIR/check_data)',
    )
    add(
        '--near',
        type=_number(0, MAX_NEAR),
        default=24,
        help='bits of 256 of the perceptual hash in which nearly the same photos may differ; '
        'copies of other size or quality do in a dozen (default 24)',
    )
    add(
        '--tiny',
        type=_number(1, 10_000),
        default=32,
        help='pixels: report photos with a shorter side below this (default 32)',
    )
    add(
        '--closed',
        action='store_true',
        help='the test asks for individuals of the train list, on purpose',
    )
    add(
        '--workers',
        type=_number(1, 64),
        default=min(2, os.cpu_count() or 1),
        help='threads that read photos',
    )
    return parse_with_pairs(parser, argv)


def _number(least: int, most: int) -> Callable[[str], int]:
    def parsed(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f'{text!r} is no whole number of {least} … {most}')
        return int(text)

    return parsed
