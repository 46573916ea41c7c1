"""Remove the background of photos, for the ymls without _ori: python -m tools.remove_background SRC
DST

    python -m tools.remove_background ../data/Animal-2 ../data/Animal-Seg-V3
    python -m tools.remove_background ../data/tiger/test_original ../data/tiger/tiger_test_isnet_seg

Every photo below SRC becomes one of the same relative name, size and format below DST, its
background black: found by rembg's ISNet (pip install -r requirements-extras.txt), or by masks of
one's own (--masks FOLDER, the same relative names). That the published photos are black there is
our guess; that ISNet found it is in their folders' names. Photos are taken as the training
reads them: as stored, EXIF rotation not applied; they are written without EXIF. JPEG stays JPEG, of
quality 95.

What is there is kept, so a run that was stopped goes on with the same command; a photo is done
again where SRC has a newer one or one of another size, or the mask is newer. Where a mask is empty
nothing would be left of the photo: it keeps its background. Such photos, and those with hardly any
background, are counted, and named in DST/summary.json. So are photos that cannot be
read: the others are done, and the exit code is 2. Look at DST/contact_sheet.png before training.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from configs import ConfigError
from configs.command_line import path_text, path_value
from utils.errors import exit_code
from wildlife.background.files import SHEET, Job
from wildlife.background.remove import remove_backgrounds, report_problems

COLOURS = {'black': (0, 0, 0), 'white': (255, 255, 255)}


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Remove the backgrounds; return 'written' and 'kept', and 'suspicious' of the summary.

    Raises:
        InputError: once all others are done, where photos cannot be read or have no mask.
    """
    job = parse(argv)
    done = remove_backgrounds(job)
    print(f'{job.dst}: {done.written} photos written, {done.kept} were there; look at {job.sheet}')
    report_problems(job, done)
    return {'written': done.written, 'kept': done.kept, 'suspicious': done.summary.suspicious}


def parse(argv: Sequence[str] | None) -> Job:
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


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
