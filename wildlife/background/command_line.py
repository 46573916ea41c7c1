"""The command line of tools/remove_background.py."""

import argparse
from collections.abc import Sequence

from configs.command_line import path_text, path_value
from wildlife.background.files import SHEET, Job

COLOURS = {'black': (0, 0, 0), 'white': (255, 255, 255)}


def parse(argv: Sequence[str] | None) -> Job:
    """Read the command line."""
    args = _make_parser().parse_args(argv)
    return Job(
        src=args.src,
        dst=args.dst,
        sheet=args.sheet or args.dst / SHEET,
        masks=args.masks,
        resize_masks=args.resize_masks,
        model=args.model,
        background=args.background,
        threshold=args.threshold,
        format=args.format,
        lists=args.list,
    )


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description='Remove the background of all photos below a folder.'
    )
    add = parser.add_argument
    add('src', type=path_value, metavar='SRC', help='folder of the photos')
    add('dst', type=path_value, metavar='DST', help='folder for the photos without background')
    add(
        '--masks',
        type=path_value,
        metavar='FOLDER',
        help='masks of the same relative names, instead of a network',
    )
    add('--resize-masks', action='store_true', help="scale masks of another size to the photo's")
    add('--model', default='isnet-general-use', help='of rembg [isnet-general-use]')
    add(
        '--background',
        type=_colour,
        default='black',
        metavar='COLOUR',
        help='black, white or R,G,B [black]',
    )
    add('--threshold', type=_share, metavar='0–1', help='cut masks hard at this value [soft edges]')
    add(
        '--format',
        choices=('keep', 'png'),
        default='keep',
        help='of the files; png renames them [keep]',
    )
    add(
        '--list',
        type=path_text,
        nargs='+',
        default=[],
        metavar='FILE',
        help='only the photos of these split lists',
    )
    add(
        '--sheet', type=path_value, metavar='PNG', help=f'a dozen photos side by side [DST/{SHEET}]'
    )
    return parser


def _colour(text: str) -> tuple[int, int, int]:
    parts = text.split(',')
    if text not in COLOURS and not (
        len(parts) == 3 and all(part.strip().isdecimal() and int(part) < 256 for part in parts)
    ):
        raise argparse.ArgumentTypeError(
            f"'{text}' is no colour; give black, white or R,G,B of 0–255"
        )
    if text in COLOURS:
        return COLOURS[text]
    red, green, blue = map(int, parts)
    return red, green, blue


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0 and up to 1")
    return value
