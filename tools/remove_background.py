"""Remove the background of photos, for the ymls without _ori: python tools/remove_background.py SRC DST

    python tools/remove_background.py ../data/Animal-2 ../data/Animal-Seg-V3
    python tools/remove_background.py ../data/tiger/test_original ../data/tiger/tiger_test_isnet_seg

Every photo below SRC becomes one of the same relative name, size and format below DST, its background black: found by rembg's
ISNet (pip install -r requirements-extras.txt), or by masks of one's own (--masks FOLDER, the same relative names). That the
published photos are black there is our guess; that ISNet found it is in their folders' names. Photos are taken as the training
reads them: as stored, EXIF rotation not applied; they are written without EXIF. JPEG stays JPEG, of quality 95.

What is there is kept, so a run that was stopped goes on with the same command. Where a mask is empty nothing would be left of
the photo: it keeps its background. Such photos, and those with hardly any background, are counted, and named in
DST/summary.json. Look at DST/contact_sheet.png before training.
"""
import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the project, when run as a program

from configs import ConfigError
from datasets.records import read_list
from datasets.transforms import read_image
from tools.contact_sheet import contact_sheet
from tools.masks import MaskFolder, Network
from utils.errors import InputError, exit_code
from utils.files import atomic_write, drop_leftovers, write_json, writing
from utils.logger import progress

FORMATS = {'.jpg': 'JPEG', '.jpeg': 'JPEG', '.png': 'PNG', '.bmp': 'BMP', '.webp': 'WEBP', '.tif': 'TIFF', '.tiff': 'TIFF'}
OPTIONS = {'JPEG': {'quality': 95}, 'WEBP': {'quality': 95}}
COLOURS = {'black': (0, 0, 0), 'white': (255, 255, 255)}
EMPTY, FULL = 0.01, 0.99  # share of the photo that is animal: less, or more, is suspicious
SHEET_PHOTOS = 12
SUMMARY, SHEET = 'summary.json', 'contact_sheet.png'


def main(argv=None):
    """Returns {'written', 'kept': counts of photos, 'suspicious': {name: {'mask': 'empty' or 'full', 'share': of animal}}}."""
    args = arguments(argv)
    names = photos_below(args.src, args.dst, args.list)
    outputs = output_names(names, args.format)
    summary = Summary(args.dst, settings(args), any((args.dst / output).exists() for output in outputs.values()))
    todo = [name for name in names if not (args.dst / outputs[name]).exists()]
    find_mask = None
    if args.masks:
        find_mask = MaskFolder(args.masks, names, args.resize_masks)
    elif todo:
        find_mask = Network(args.model)
    for folder in sorted({(args.dst / output).parent for output in outputs.values()} | {args.dst}):
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        drop_leftovers(folder)
    summary.save()  # from now on DST says what was done to its photos
    for name in progress(todo, 'removing backgrounds'):
        photo = read_photo(args.src / name)
        mask = find_mask(name, photo)
        share = np.asarray(mask).mean() / 255
        summary.note(outputs[name], share)
        write_photo(args.dst / outputs[name], photo if share < EMPTY else without_background(photo, mask, args))
    write_sheet(args.sheet or args.dst / SHEET, args, outputs)
    report(args, len(todo), len(names) - len(todo), summary.suspicious)
    return {'written': len(todo), 'kept': len(names) - len(todo), 'suspicious': summary.suspicious}


def arguments(argv):
    parser = argparse.ArgumentParser(description='Remove the background of all photos below a folder.')
    parser.add_argument('src', type=Path, metavar='SRC', help='folder of the photos')
    parser.add_argument('dst', type=Path, metavar='DST', help='folder for the photos without background')
    parser.add_argument('--masks', type=Path, metavar='FOLDER', help='masks of the same relative names, instead of a network')
    parser.add_argument('--resize-masks', action='store_true', help="scale masks of another size to the photo's")
    parser.add_argument('--model', default='isnet-general-use', help='of rembg [isnet-general-use]')
    parser.add_argument('--background', type=_colour, default='black', metavar='COLOUR', help='black, white or R,G,B [black]')
    parser.add_argument('--threshold', type=_share, metavar='0–1', help='cut masks hard at this value [soft edges]')
    parser.add_argument('--format', choices=('keep', 'png'), default='keep', help="of the files; png renames them [keep]")
    parser.add_argument('--list', nargs='+', default=[], metavar='FILE', help='only the photos of these split lists')
    parser.add_argument('--sheet', type=Path, metavar='PNG', help=f'a dozen photos side by side [DST/{SHEET}]')
    return parser.parse_args(argv)


def photos_below(src, dst, lists):
    """Sorted paths, relative to ``src``, of its photos or of those of the lists; what lies below ``dst`` is left out."""
    if not src.is_dir():
        raise InputError(f'{src}: there is no such folder; give the folder of the photos')
    if src.resolve() == dst.resolve():
        raise InputError(f'{dst}: DST is SRC; give another folder, so that the originals stay')
    if lists:
        names = sorted({os.path.normpath(record.path) for file in lists for record in read_list(file)})
        missing = [name for name in names if not (src / name).is_file()]
        if missing:
            raise InputError(f"{src}: {len(missing)} of {len(names)} listed photos are not there ({', '.join(missing[:3])}"
                             f"{' …' if len(missing) > 3 else ''}); lists name photos relative to SRC")
        return names
    names, made = [], dst.resolve()
    for root, folders, files in os.walk(src):
        folders[:] = [name for name in folders if not name.startswith('.') and (Path(root) / name).resolve() != made]
        names += [(Path(root) / file).relative_to(src).as_posix() for file in files
                  if not file.startswith('.') and Path(file).suffix.lower() in FORMATS]
    if not names:
        raise InputError(f'{src}: no photo below it ({", ".join(FORMATS)})')
    return sorted(names)


def output_names(names, form):
    """{name: name below DST}. Raises ``InputError`` for a file type that is not written, and where two would be one."""
    outputs = {name: str(Path(name).with_suffix('.png')) if form == 'png' else name for name in names}
    owner = {}
    for name, output in outputs.items():
        if Path(output).suffix.lower() not in FORMATS:
            raise InputError(f'{name}: this type of file is not written; add --format png, or use one of {", ".join(FORMATS)}')
        if owner.setdefault(output, name) != name:
            raise InputError(f'{owner[output]} and {name} would both become {output}; rename one, or leave out --format png')
    return outputs


def settings(args):
    """What decides how the photos look."""
    source = {'masks': str(args.masks.resolve()), 'resize_masks': args.resize_masks} if args.masks else {'model': args.model}
    return {**source, 'background': list(args.background), 'threshold': args.threshold, 'format': args.format}


class Summary:
    """``DST/summary.json``: the settings, and the suspicious photos; of an earlier run with the same settings it goes on.

    occupied: whether photos of these names are in DST already. Raises ``InputError`` where they were made in another way.
    """

    def __init__(self, dst, settings, occupied):
        self.path, self.settings, self.suspicious = dst / SUMMARY, settings, {}
        remedy = 'give another folder, or delete this one'
        if self.path.is_file():
            try:
                earlier = json.loads(self.path.read_text(encoding='utf-8'))
                before, self.suspicious = earlier['settings'], dict(earlier['suspicious'])
            except (ValueError, KeyError, TypeError):
                raise InputError(f'{self.path} is no summary of this tool; {remedy}') from None
            if changed := [key for key in sorted({*before, *settings}) if before.get(key) != settings.get(key)]:
                raise InputError(f"{dst}: its photos were made with {changed[0]} {before.get(changed[0])}, not "
                                 f"{settings.get(changed[0])}; {remedy}")
        elif occupied:
            raise InputError(f'{dst}: photos of these names are there, and no {SUMMARY} that says how they were made; {remedy}')

    def note(self, name, share):
        """Remember a photo if it is suspicious, on the disk before the photo itself is: a run that is killed loses none."""
        before = self.suspicious.pop(name, None)
        if share < EMPTY or share > FULL:
            self.suspicious[name] = {'mask': 'empty' if share < EMPTY else 'full', 'share': round(float(share), 4)}
        if self.suspicious.get(name) != before:
            self.save()

    def save(self):
        write_json(self.path, {'settings': self.settings, 'suspicious': dict(sorted(self.suspicious.items()))})


def read_photo(path):
    """RGB, as the training reads it, and without what the file says besides: rembg would rotate it by its EXIF."""
    return Image.fromarray(np.asarray(read_image(path)))


def without_background(photo, mask, args):
    """photo: RGB. mask: 'L', of the same size, 255 = animal; in between the two colours are mixed. Returns an RGB image."""
    if args.threshold is not None:
        mask = mask.point([255 * (value >= 255 * args.threshold) for value in range(256)])
    return Image.composite(photo, Image.new('RGB', photo.size, args.background), mask)


def write_photo(path, image):
    kind = FORMATS[path.suffix.lower()]
    with atomic_write(path, 'wb') as file:
        image.save(file, format=kind, **OPTIONS.get(kind, {}))


def write_sheet(path, args, outputs):
    """The contact sheet, of photos evenly spread over all."""
    names = list(outputs)
    chosen = [names[round(n * (len(names) - 1) / max(1, SHEET_PHOTOS - 1))] for n in range(SHEET_PHOTOS)]
    pairs = [(name, read_photo(args.src / name), read_photo(args.dst / outputs[name])) for name in dict.fromkeys(chosen)]
    contact_sheet(path, pairs, f'{args.src} and without background ({args.masks or args.model})')


def report(args, written, kept, suspicious):
    print(f'{args.dst}: {written} photos written, {kept} were there; look at {args.sheet or args.dst / SHEET}')
    for kind, text in (('empty', 'have an empty mask and keep their background'), ('full', 'have hardly any background')):
        names = [name for name, found in sorted(suspicious.items()) if found['mask'] == kind]
        if names:
            first = ', '.join(names[:3]) + (' …' if len(names) > 3 else '')
            sys.stderr.write(f'warning: {len(names)} photos {text} ({first}); all of them: {args.dst / SUMMARY}\n')


def _colour(text):
    parts = text.split(',')
    if text not in COLOURS and not (len(parts) == 3 and all(part.strip().isdecimal() and int(part) < 256 for part in parts)):
        raise argparse.ArgumentTypeError(f"'{text}' is no colour; give black, white or R,G,B of 0–255")
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
