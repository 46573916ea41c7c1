"""Elephants, ELPephants as released or the crops of the published lists, into the folders of
configs/elephant/*_ori.yml:

    python -m tools.prepare_elephant 'ELPephant (elephant ID system).zip'
    python -m tools.prepare_elephant CROPS --like published_lists

The first arranges the release with its own split, the second the crops 0.jpg … of the published
lists.

The release comes from the University of Jena (inf-cv.uni-jena.de), on accepting its licence terms.
The crops 0.jpg … 2076.jpg
of the published lists are not in it, and the map to its photos is not known: ask for them together
with the lists (arXiv 2405.13781). Written below --out, and into --lists:

    Animal-2/{train,val}/<500 + elephant>/*.jpg   elephant/*.jpg
    ele_train.txt ele_val.txt ele_new_test_probe.txt ele_new_test_gallery.txt

Without --like ele_train.txt is the release's train.txt; ele_val.txt and the queries are its
val.txt; the gallery is all photos.
As far as an elephant is in both, the test asks which known elephant this is: its numbers are not to
be compared with those of the published lists, whose test elephants are in no training. For such a
test: tools/make_lists.py on the photos of Animal-2. The side is taken from a file's name where that
says left or right.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from configs import ConfigError
from datasets.animal import TRAINING_LISTS
from datasets.protocols import PROTOCOLS
from utils.errors import InputError, exit_code
from wildlife.releases.archives import plain, warn
from wildlife.releases.arrange import (
    DATA_DIR,
    ListLines,
    Photos,
    Targets,
    arguments,
    check_present,
    follow,
    list_line,
    read_release,
    warn_of_counts,
)
from wildlife.releases.release import Release
from wildlife.releases.write import Arranged, Plan, carry_out

TRAIN_LIST, VAL_LIST = TRAINING_LISTS['elephant']
PROBE, GALLERY = PROTOCOLS['elephant'].query_list, PROTOCOLS['elephant'].gallery_list
TEST_ROOT = 'elephant'
OFFSET = 500  # from the elephant's number to its folder
JENA = 'https://inf-cv.uni-jena.de (ELPephants, on accepting its licence terms)'


def main(argv: Sequence[str] | None = None) -> Arranged:
    """Arrange the photos, write the lists, print what was done."""
    args = arguments(argv, 'Arrange the photos of ELPephants and make their lists.')
    release = read_release(args, inside='elp')
    photos = release.photos(lambda file: file.folders[-1:] == ('images',)) or release.photos()
    make = follow_lists if args.like else split_as_released
    targets, lists = make(args, release, photos)
    arranged = carry_out(args, Plan('elephant', TEST_ROOT, targets, lists, {}))
    print('\n'.join(arranged.lines))
    return arranged


def follow_lists(
    args: argparse.Namespace, release: Release, photos: Photos
) -> tuple[list[Targets], ListLines]:
    """Arrange the crops for the published lists."""
    if photos and not any(re.fullmatch('[0-9]+', PurePosixPath(name).stem) for name in photos):
        raise InputError(
            f'--like {args.like}: the published lists name crops 0.jpg …, which the release does '
            f'not hold ({min(photos)} …); ask for them together with the lists (arXiv '
            '2405.13781), or leave --like out'
        )
    to_train, to_test = (photos, args.out / DATA_DIR), (photos, args.out / TEST_ROOT)
    return follow(
        args, {TRAIN_LIST: to_train, VAL_LIST: to_train, PROBE: to_test, GALLERY: to_test}
    )


def split_as_released(
    args: argparse.Namespace, release: Release, photos: Photos
) -> tuple[list[Targets], ListLines]:
    """Make lists of the release's own split."""
    split = read_split(release, photos)
    held_out = set(split['val'])
    identity = {name: elephant(name) for name in [*split['train'], *split['val']]}
    warn_of_counts(
        'ELPephants',
        {'photos': (len(identity), 2078), 'elephants': (len(set(identity.values())), 276)},
    )
    everyone = _ranks(identity.values())
    trained = _ranks(identity[name] for name in split['train'])
    strangers = sum(identity[name] not in trained for name in held_out)
    if strangers:
        warn(
            f'{strangers} photos of val.txt show elephants that are not in train.txt; they are '
            f'left out of {VAL_LIST}'
        )

    targets: Targets = {}
    lists: ListLines = {name: [] for name in (TRAIN_LIST, VAL_LIST, PROBE, GALLERY)}
    for name in sorted(identity, key=lambda name: (identity[name], name)):
        number, held = identity[name], name in held_out
        path = f'{"val" if held else "train"}/{OFFSET + number}/{name}'
        targets[photos[name]] = [args.out / DATA_DIR / path, args.out / TEST_ROOT / name]
        if number in trained:
            lists[VAL_LIST if held else TRAIN_LIST].append(
                list_line(path, trained[number], side(name))
            )
        for test_list in (PROBE, GALLERY) if held else (GALLERY,):
            lists[test_list].append(list_line(name, everyone[number], side(name)))
    return [targets], lists


def read_split(release: Release, photos: Photos) -> dict[str, list[str]]:
    """Read 'train' and 'val', the release's lists of names.

    Raises:
        InputError: a list or a listed photo is missing, or a photo is in both lists.
    """
    split = {}
    for name in ('train', 'val'):
        file = release.find(f'{name}.txt')
        if file is None or not photos:
            raise InputError(
                f'of ELPephants is missing: {"images/*.jpg" if file else f"{name}.txt"}; '
                f'download it from {JENA}; '
                'with crops 0.jpg … also give --like, the folder of the published lists'
            )
        split[name] = read_names(release.text(file), file.name)
        check_present(
            [photo for photo in split[name] if photo not in photos], len(split[name]), file.name
        )
    both = set(split['train']) & set(split['val'])
    if both:
        raise InputError(
            f'{len(both)} photos are in train.txt and in val.txt ({min(both)} …); are they the '
            "release's files?"
        )
    if left := photos.keys() - {*split['train'], *split['val']}:
        warn(f'{len(left)} photos are in neither list ({min(left)} …); they are left out')
    return split


def _ranks(numbers: Iterable[int]) -> dict[int, int]:
    return {number: rank for rank, number in enumerate(sorted(set(numbers)))}


def read_names(text: str, what: str) -> list[str]:
    """Read ``train.txt`` or ``val.txt``: tabs, no header, second column = file name.

    Args:
        text: of the file.
        what: its name, for messages.

    Raises:
        InputError: a row is of another form, or a photo is listed twice.
    """
    names = []
    for number, line in enumerate(text.splitlines(), start=1):
        row = [cell.strip() for cell in line.split('\t')]
        if not any(row):
            continue
        if len(row) < 2 or not row[1]:
            raise InputError(
                f'{what}:{number}: expected columns with tabs between, the second a file name, got '
                f'{" ".join(row)[:100]!r}'
            )
        names.append(plain(row[1].replace('\\', '/').rpartition('/')[2]))
    if not names:
        raise InputError(f'{what}: the list is empty; unpack the release again')
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{what}: {twice} is listed twice; is it the release's file?")
    return names


def elephant(name: str) -> int:
    """Return 12 of '12_left_Mai2017.jpg'; ``InputError`` where there is no number."""
    number = name.partition('_')[0]
    if not re.fullmatch('[0-9]{1,9}', number):
        raise InputError(
            f"{name}: the name does not begin with the elephant's number ('12_….jpg'); give the "
            'release as it is'
        )
    return int(number)


def side(name: str) -> int | None:
    """Return 0 for a name that says left, 1 for right, else None."""
    words = set(re.findall('left|right', name.lower()))
    return {'left': 0, 'right': 1}[words.pop()] if len(words) == 1 else None


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
