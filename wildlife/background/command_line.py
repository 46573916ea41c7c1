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
        save_masks=args.save_masks,
        resize_masks=args.resize_masks,
        model=args.model,
        background=args.background,
        threshold=args.threshold,
        format=args.format,
        lists=args.list,
    )


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m tools.remove_background',
        description='Remove the background of all photos below a folder.',
    )
    add = parser.add_argument
    add('src', type=path_value, metavar='SRC', help='folder with the photos')
    add('dst', type=path_value, metavar='DST', help='folder for the photos without background')
    add(
        '--masks',
        type=path_value,
        metavar='FOLDER',
        help='folder with your own masks, which have the relative names of the photos '
        '(default: a network finds the masks)',
    )
    add(
        '--save-masks',
        type=path_value,
        metavar='FOLDER',
        help='write the masks there, as PNG; tools.diagnose reads them (default: not kept)',
    )
    add('--resize-masks', action='store_true', help='resize masks to the size of their photos')
    add(
        '--model',
        default='isnet-general-use',
        help='network of rembg that finds the masks (default: %(default)s)',
    )
    add(
        '--background',
        type=_colour,
        default='black',
        metavar='COLOUR',
        help='new background: black, white or R,G,B (default: %(default)s)',
    )
    add(
        '--threshold',
        type=_share,
        metavar='0–1',
        help='make masks binary at this value (default: masks have soft edges)',
    )
    add(
        '--format',
        choices=('keep', 'png'),
        default='keep',
        help='file format: keep that of the photo, or png, which also changes the names '
        '(default: %(default)s)',
    )
    add(
        '--list',
        type=path_text,
        nargs='+',
        default=[],
        metavar='FILE',
        help='process only the photos in these split lists (default: all photos below SRC)',
    )
    add(
        '--sheet',
        type=path_value,
        metavar='PNG',
        help=f'picture of up to 12 photos before and after (default: DST/{SHEET})',
    )
    return parser


def _colour(text: str) -> tuple[int, int, int]:
    parts = text.split(',')
    if text not in COLOURS and not (
        len(parts) == 3 and all(part.strip().isdecimal() and int(part) < 256 for part in parts)
    ):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a colour; give black, white or R,G,B with numbers from 0 to 255"
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
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0 and at most 1")
    return value
