"""Elephants of ELPephants: target folders of the photos, and lists."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from datasets.animal import TRAINING_LISTS
from datasets.protocols import PROTOCOLS
from utils.errors import InputError
from wildlife.releases.archives import plain, warn
from wildlife.releases.arrange import (
    DATA_DIR,
    ListLines,
    Photos,
    ReleaseOptions,
    Targets,
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
OFFSET = 500  # added to an elephant's number to get its folder
JENA = 'https://inf-cv.uni-jena.de (ELPephants, after accepting its licence terms)'


def arrange_elephants(options: ReleaseOptions) -> Arranged:
    """Arrange the photos and write the lists."""
    release = read_release(options, inside='elp')
    photos = release.photos(lambda file: file.folders[-1:] == ('images',)) or release.photos()
    if options.like:
        targets, lists = follow_lists(options.like, options.out, photos)
    else:
        targets, lists = split_as_released(options.out, release, photos)
    return carry_out(options, Plan('elephant', TEST_ROOT, targets, lists, {}))


def follow_lists(like: Path, out: Path, photos: Photos) -> tuple[list[Targets], ListLines]:
    """Arrange the crops for the published lists."""
    if photos and not any(re.fullmatch('[0-9]+', PurePosixPath(name).stem) for name in photos):
        raise InputError(
            f'--like {like}: the published lists name crops 0.jpg …, but the release contains '
            f'{min(photos)} …; ask the authors of the lists (arXiv 2405.13781) for the crops, or '
            'run without --like'
        )
    to_train, to_test = (photos, out / DATA_DIR), (photos, out / TEST_ROOT)
    return follow(
        like, {TRAIN_LIST: to_train, VAL_LIST: to_train, PROBE: to_test, GALLERY: to_test}
    )


def split_as_released(
    out: Path, release: Release, photos: Photos
) -> tuple[list[Targets], ListLines]:
    """Make lists that keep the split of the release."""
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
            f'not in {VAL_LIST}'
        )

    targets: Targets = {}
    lists: ListLines = {name: [] for name in (TRAIN_LIST, VAL_LIST, PROBE, GALLERY)}
    for name in sorted(identity, key=lambda name: (identity[name], name)):
        number, held = identity[name], name in held_out
        path = f'{"val" if held else "train"}/{OFFSET + number}/{name}'
        targets[photos[name]] = [out / DATA_DIR / path, out / TEST_ROOT / name]
        if number in trained:
            lists[VAL_LIST if held else TRAIN_LIST].append(
                list_line(path, trained[number], side(name))
            )
        for test_list in (PROBE, GALLERY) if held else (GALLERY,):
            lists[test_list].append(list_line(name, everyone[number], side(name)))
    return [targets], lists


def read_split(release: Release, photos: Photos) -> dict[str, list[str]]:
    """Read the lists train.txt and val.txt of the release.

    Returns:
        'train' and 'val' -> names of the photos.

    Raises:
        InputError: If a list or a listed photo is missing, or a photo is in both lists.
    """
    split = {}
    for name in ('train', 'val'):
        file = release.find(f'{name}.txt')
        if file is None or not photos:
            raise InputError(
                f'{"images/*.jpg" if file else f"{name}.txt"} of ELPephants is missing; '
                f'download it from {JENA}; '
                'if you have the crops 0.jpg …, add --like with the folder of the published lists'
            )
        split[name] = read_names(release.text(file), file.name)
        check_present(
            [photo for photo in split[name] if photo not in photos], len(split[name]), file.name
        )
    both = set(split['train']) & set(split['val'])
    if both:
        raise InputError(
            f'{len(both)} photos are in both train.txt and val.txt ({min(both)} …); unpack the '
            'release again'
        )
    if left := photos.keys() - {*split['train'], *split['val']}:
        warn(f'{len(left)} photos are in neither list ({min(left)} …); they are skipped')
    return split


def _ranks(numbers: Iterable[int]) -> dict[int, int]:
    return {number: rank for rank, number in enumerate(sorted(set(numbers)))}


def read_names(text: str, what: str) -> list[str]:
    """Read ``train.txt`` or ``val.txt``: tabs, no header, second column = file name.

    Args:
        text: Text of the file.
        what: Name of the file, for messages.

    Raises:
        InputError: If a row has another form, a photo is listed twice, or the file is empty.
    """
    names = []
    for number, line in enumerate(text.splitlines(), start=1):
        row = [cell.strip() for cell in line.split('\t')]
        if not any(row):
            continue
        if len(row) < 2 or not row[1]:
            raise InputError(
                f'{what}:{number}: expected columns separated by tabs, the second a file name, '
                f'got {" ".join(row)[:100]!r}'
            )
        names.append(plain(row[1].replace('\\', '/').rpartition('/')[2]))
    if not names:
        raise InputError(f'{what}: the list is empty; unpack the release again')
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f'{what}: {twice} is listed twice; unpack the release again')
    return names


def elephant(name: str) -> int:
    """Return the number of the elephant, for example 12 for '12_left_Mai2017.jpg'.

    Raises:
        InputError: If the name does not start with a number.
    """
    number = name.partition('_')[0]
    if not re.fullmatch('[0-9]{1,9}', number):
        raise InputError(
            f"{name}: the name does not start with the elephant's number ('12_….jpg'); give the "
            'release with its original file names'
        )
    return int(number)


def side(name: str) -> int | None:
    """Return 0 for names that contain 'left', 1 for 'right', and None for both or neither."""
    words = set(re.findall('left|right', name.lower()))
    return {'left': 0, 'right': 1}[words.pop()] if len(words) == 1 else None
