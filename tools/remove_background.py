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
import json
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from configs import ConfigError
from configs.command_line import path_text, path_value
from datasets.images import read_image
from datasets.records import read_list
from utils.errors import InputError, exit_code
from utils.files import atomic_write, drop_leftovers, write_json, writing
from utils.logger import progress
from wildlife.background.contact_sheet import contact_sheet
from wildlife.background.masks import MaskFolder, Network
from wildlife.lists.folders import photo_extensions
from wildlife.photos import read_header
from wildlife.releases.archives import files_below, warn

WRITTEN = {
    '.jpg': 'JPEG',
    '.jpeg': 'JPEG',
    '.jfif': 'JPEG',
    '.jpe': 'JPEG',
    '.png': 'PNG',
    '.bmp': 'BMP',
    '.webp': 'WEBP',
    '.tif': 'TIFF',
    '.tiff': 'TIFF',
}
OPTIONS = {'JPEG': {'quality': 95}, 'WEBP': {'quality': 95}}
COLOURS = {'black': (0, 0, 0), 'white': (255, 255, 255)}
EMPTY, FULL = 0.01, 0.99  # share of the photo that is animal: less, or more, is suspicious
SHEET_PHOTOS = 12
SUMMARY, SHEET = 'summary.json', 'contact_sheet.png'


def main(argv=None):
    """Returns {'written', 'kept': counts of photos, 'suspicious': {name: {'mask': 'empty' or
    'full', 'share': of animal}}}.

    Raises ``InputError``, once all others are done, where there are photos that cannot be read or
    have no mask.
    """
    args = arguments(argv)
    args.sheet = args.sheet or args.dst / SHEET
    names = photos_below(args)
    outputs = output_names(names, args.format)
    summary = Summary(
        args.dst, settings(args), any((args.dst / output).exists() for output in outputs.values())
    )
    find_mask = MaskFolder(args.masks, names, args.resize_masks) if args.masks else None
    masks = find_mask.paths if args.masks else {}
    check_overwriting(args, outputs, masks.values())
    todo = [
        name
        for name in names
        if not is_done(args.dst / outputs[name], args.src / name, masks.get(name))
    ]
    if todo and not args.masks:
        find_mask = Network(args.model)
    for folder in sorted({(args.dst / output).parent for output in outputs.values()} | {args.dst}):
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        drop_leftovers(folder)
    summary.save()  # from now on DST says what was done to its photos
    for name in progress(todo, 'removing backgrounds'):
        try:
            photo = read_photo(args.src / name)
            mask = find_mask(name, photo)
        except InputError as error:  # one broken photo shall not end a night's work
            summary.note_failed(name, error)
            continue
        if args.threshold is not None:
            mask = mask.point([255 * (value >= 255 * args.threshold) for value in range(256)])
        share = np.asarray(mask).mean() / 255
        summary.note(outputs[name], share)
        write_photo(
            args.dst / outputs[name],
            photo if share < EMPTY else without_background(photo, mask, args.background),
        )
    write_sheet(
        args, {name: output for name, output in outputs.items() if name not in summary.failed}
    )
    written, kept = len(todo) - len(summary.failed), len(names) - len(todo)
    report(args, written, kept, summary)
    return {'written': written, 'kept': kept, 'suspicious': summary.suspicious}


def arguments(argv):
    parser = argparse.ArgumentParser(
        description='Remove the background of all photos below a folder.'
    )
    parser.add_argument('src', type=path_value, metavar='SRC', help='folder of the photos')
    parser.add_argument(
        'dst', type=path_value, metavar='DST', help='folder for the photos without background'
    )
    parser.add_argument(
        '--masks',
        type=path_value,
        metavar='FOLDER',
        help='masks of the same relative names, instead of a network',
    )
    parser.add_argument(
        '--resize-masks', action='store_true', help="scale masks of another size to the photo's"
    )
    parser.add_argument('--model', default='isnet-general-use', help='of rembg [isnet-general-use]')
    parser.add_argument(
        '--background',
        type=_colour,
        default='black',
        metavar='COLOUR',
        help='black, white or R,G,B [black]',
    )
    parser.add_argument(
        '--threshold', type=_share, metavar='0–1', help='cut masks hard at this value [soft edges]'
    )
    parser.add_argument(
        '--format',
        choices=('keep', 'png'),
        default='keep',
        help='of the files; png renames them [keep]',
    )
    parser.add_argument(
        '--list',
        type=path_text,
        nargs='+',
        default=[],
        metavar='FILE',
        help='only the photos of these split lists',
    )
    parser.add_argument(
        '--sheet', type=path_value, metavar='PNG', help=f'a dozen photos side by side [DST/{SHEET}]'
    )
    return parser.parse_args(argv)


def photos_below(args):
    """Sorted paths, relative to SRC, of its photos or of those of the lists.

    Left out is what lies below DST or the masks' folder, and the summary and the sheet of an
    earlier run.
    """
    src, apart = args.src, {'DST': args.dst} | ({'--masks': args.masks} if args.masks else {})
    if not src.is_dir():
        raise InputError(f'{src}: there is no such folder; give the folder of the photos')
    for what, folder in apart.items():
        if src.resolve() == folder.resolve():
            raise InputError(
                f'{folder}: {what} is SRC; give another folder, so that the originals stay'
            )
    if args.masks and args.masks.resolve() == args.dst.resolve():
        raise InputError(f'{args.dst}: DST is --masks; give another folder, so that the masks stay')
    if args.list:
        names = sorted(
            {os.path.normpath(record.path) for file in args.list for record in read_list(file)}
        )
        missing = [name for name in names if not (src / name).is_file()]
        if missing:
            raise InputError(
                f'{src}: {len(missing)} of {len(names)} listed photos are not there '
                f'({_first(missing)}); lists '
                'name photos relative to SRC'
            )
        return names
    extensions = photo_extensions()
    files = [
        path
        for path in files_below(src, apart.values())
        if path.name not in (SUMMARY, SHEET) or not path.with_name(SUMMARY).is_file()
    ]
    names = sorted(
        path.relative_to(src).as_posix() for path in files if path.suffix.lower() in extensions
    )
    others = sorted(
        path.relative_to(src).as_posix() for path in files if path.suffix.lower() not in extensions
    )
    if not names:
        raise InputError(f'{src}: no photo below it ({", ".join(sorted(extensions))})')
    if others:
        warn(f'{len(others)} files have no ending of a photo and are left out ({_first(others)})')
    return names


def output_names(names, form):
    """{name: name below DST}. Raises ``InputError`` for a file type that is not written, and where
    two would be one.
    """
    outputs = {
        name: str(Path(name).with_suffix('.png')) if form == 'png' else name for name in names
    }
    owner = {}
    for name, output in outputs.items():
        if Path(output).suffix.lower() not in WRITTEN:
            raise InputError(
                f'{name}: this type of file is not written; add --format png, or use one of '
                f'{", ".join(WRITTEN)}'
            )
        if owner.setdefault(output, name) != name:
            raise InputError(
                f'{owner[output]} and {name} would both become {output}; rename one, or leave '
                'out --format png'
            )
    return outputs


def check_overwriting(args, outputs, masks):
    """``InputError`` where an output, through a link, or the sheet would replace a photo of SRC or
    a mask.
    """
    originals = {
        os.path.realpath(path) for path in [*(args.src / name for name in outputs), *masks]
    }
    made = {os.path.realpath(args.dst / output): output for output in outputs.values()}
    if both := sorted(originals & made.keys()):
        raise InputError(
            f'{args.dst / made[both[0]]} would replace {both[0]}; give another DST, so that the '
            'originals stay'
        )
    if os.path.realpath(args.sheet) in {*originals, *made, os.path.realpath(args.dst / SUMMARY)}:
        raise InputError(
            f'{args.sheet}: the contact sheet would replace this file; give another --sheet'
        )


def is_done(output, photo, mask=None):
    """Whether the output is there, of the photo's size in pixels, and neither the photo nor its
    mask is newer. Paths.
    """
    try:
        made = output.stat().st_mtime_ns
        return (
            all(path.stat().st_mtime_ns <= made for path in (photo, mask) if path)
            and read_header(output).size == read_header(photo).size
        )
    except (OSError, InputError):
        return False


def settings(args):
    """What decides how the photos look. The masks may move, and may be mended."""
    return {
        'src': str(args.src.resolve()),
        'model': None if args.masks else args.model,
        'background': list(args.background),
        'threshold': args.threshold,
        'format': args.format,
    }


class Summary:
    """``DST/summary.json``: the settings, and the suspicious photos; of an earlier run with the
    same settings it goes on. Besides the photos that failed in the last run, with the reasons.

    occupied: whether photos of these names are in DST already. Raises ``InputError`` where they
    were made in another way.
    """

    def __init__(self, dst, settings, occupied):
        self.path, self.settings, self.suspicious, self.failed = dst / SUMMARY, settings, {}, {}
        remedy = 'give another folder, or delete this one'
        if self.path.is_file():
            before, self.suspicious = _read_summary(self.path, remedy)
            if changed := [
                key for key in sorted({*before, *settings}) if before.get(key) != settings.get(key)
            ]:
                raise InputError(
                    f'{dst}: its photos were made with {changed[0]} {before.get(changed[0])}, not '
                    f'{settings.get(changed[0])}; {remedy}'
                )
        elif occupied:
            raise InputError(
                f'{dst}: photos of these names are there, and no {SUMMARY} that says how they '
                f'were made; {remedy}'
            )

    def note(self, name, share):
        """Remember a photo if it is suspicious, on the disk before the photo itself is: a run that
        is killed loses none.
        """
        before = self.suspicious.pop(name, None)
        if share < EMPTY or share > FULL:
            self.suspicious[name] = {
                'mask': 'empty' if share < EMPTY else 'full',
                'share': round(float(share), 4),
            }
        if self.suspicious.get(name) != before:
            self.save()

    def note_failed(self, name, error):
        self.failed[name] = ' '.join(str(error).split())
        self.save()

    def save(self):
        write_json(
            self.path,
            {
                'settings': self.settings,
                'suspicious': dict(sorted(self.suspicious.items())),
                'failed': self.failed,
            },
        )


def _read_summary(path, remedy):
    """(settings, suspicious) of an earlier run."""
    try:
        earlier = json.loads(path.read_text(encoding='utf-8'))
        parts = earlier['settings'], earlier['suspicious']
        if all(isinstance(part, dict) for part in (*parts, *parts[1].values())):
            return parts
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise InputError(f'{path} is no summary of this tool; {remedy}')


def read_photo(path):
    """RGB, as the training reads it, and without what the file says besides: rembg would rotate it
    by its EXIF.
    """
    return Image.fromarray(np.asarray(read_image(path)))


def without_background(photo, mask, background):
    """photo: RGB. mask: 'L', of the same size, 255 = animal; in between the two colours are mixed.
    Returns an RGB image.
    """
    return Image.composite(photo, Image.new('RGB', photo.size, background), mask)


def write_photo(path, image):
    kind = WRITTEN[path.suffix.lower()]
    with atomic_write(path, 'wb') as file:
        image.save(file, format=kind, **OPTIONS.get(kind, {}))


def write_sheet(args, outputs):
    """The contact sheet, of photos evenly spread over all that are there."""
    names = list(outputs)
    if not names:
        return
    chosen = [
        names[round(n * (len(names) - 1) / max(1, SHEET_PHOTOS - 1))] for n in range(SHEET_PHOTOS)
    ]
    pairs = [
        (name, read_photo(args.src / name), read_photo(args.dst / outputs[name]))
        for name in dict.fromkeys(chosen)
    ]
    contact_sheet(
        args.sheet, pairs, f'{args.src} and without background ({args.masks or args.model})'
    )


def report(args, written, kept, summary):
    print(f'{args.dst}: {written} photos written, {kept} were there; look at {args.sheet}')
    for kind, text in (
        ('empty', 'have an empty mask and keep their background'),
        ('full', 'have hardly any background'),
    ):
        names = [
            name for name, found in sorted(summary.suspicious.items()) if found.get('mask') == kind
        ]
        if names:
            warn(f'{len(names)} photos {text} ({_first(names)}); all of them: {args.dst / SUMMARY}')
    if failed := list(summary.failed):
        raise InputError(
            f'{len(failed)} of {written + kept + len(failed)} photos were not done '
            f'({_first(failed)}); the first: '
            f'{summary.failed[failed[0]]}; all of them: {args.dst / SUMMARY}'
        )


def _first(names):
    return ', '.join(names[:3]) + (' …' if len(names) > 3 else '')


def _colour(text):
    parts = text.split(',')
    if text not in COLOURS and not (
        len(parts) == 3 and all(part.strip().isdecimal() and int(part) < 256 for part in parts)
    ):
        raise argparse.ArgumentTypeError(
            f"'{text}' is no colour; give black, white or R,G,B of 0–255"
        )
    return COLOURS.get(text) or tuple(map(int, parts))


def _share(text):
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0 and up to 1")
    return value


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
