"""Command lines: options and KEY VALUE pairs in any order; paths may begin with ``~``."""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from configs.rules import expand_home


def path_text(text: str) -> str:
    """Convert a path option to text with ``~`` expanded; a ``type`` for argparse."""
    try:
        return expand_home(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def path_value(text: str) -> Path:
    """Convert a path option to a ``Path`` with ``~`` expanded; a ``type`` for argparse."""
    return Path(path_text(text))


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a ``type`` for argparse: a whole number from ``least`` to ``most``."""

    def parsed(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(
                f'{text!r} is not a whole number from {least} to {most}'
            )
        return int(text)

    return parsed


def parse_with_pairs(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> argparse.Namespace:
    """Parse options and KEY VALUE pairs in any order.

    A value may begin with ``-``, like a negative number, but must not look like an option
    (``--word``). An unknown option ends the program with exit code 2, as usual in argparse.

    Returns:
        The options; ``opts`` is the list KEY, VALUE, KEY, … for :func:`configs.load_cfg`.
    """
    parser.add_argument_group(
        'KEY VALUE',
        'settings that override the yml, listed in docs/configuration.md; they may come before, '
        'between or after the options, for example OUTPUT_DIR ./output/mine TEST.WEIGHT '
        './output/mine/RN50_best.pth',
    )
    usage = parser.format_usage().removeprefix('usage: ').rstrip()
    parser.usage = f'{usage} [KEY VALUE ...]'.replace('%', '%%')
    args, words = parser.parse_known_args(argv)
    for index, word in enumerate(words):
        if re.match(r'--[^\W\d]' if index % 2 else r'-', word):
            parser.error(f'unrecognized arguments: {word}')
    args.opts = words
    return args


def parse_config(
    argv: Sequence[str] | None, description: str, resumes: bool = False
) -> argparse.Namespace:
    """Parse the command line of a training run or a test: ``config_file`` and ``opts``.

    Args:
        argv: The command line.
        description: What the program does, for --help.
        resumes: Whether the program has the option --resume, which means SOLVER.RESUME auto.
    """
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add('--config_file', type=path_text, default='', help='yml file in configs/, or your own')
    if resumes:
        text = 'resume the run in OUTPUT_DIR, if there is one (SOLVER.RESUME auto)'
        add('--resume', action='store_true', help=text)
    args = parse_with_pairs(parser, argv)
    if resumes and args.resume:
        args.opts += ['SOLVER.RESUME', 'auto']
    return args
