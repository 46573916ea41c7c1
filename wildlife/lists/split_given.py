"""Splits that are given: by a date, or by the source."""

from collections import defaultdict
from datetime import datetime

from utils.errors import InputError
from wildlife.lists.cells import SPLITS
from wildlife.lists.encounters import Key, Photo
from wildlife.lists.splits import Split, identity_noun
from wildlife.words import counted


def split_by_date(photos: list[Photo], date: datetime) -> Split:
    """Train on what was seen before ``date``, test on what was seen from then on.

    An encounter goes where it began.

    Raises:
        InputError: where no photo has a date, or a side is empty.
    """
    begin = _first_dates(photos)
    split = Split([], [], [], [])
    known = {photo.identity for photo in photos if photo.unit in begin and begin[photo.unit] < date}
    new = set()
    for photo in photos:
        if photo.unit not in begin:
            split.left_out.append((photo, 'without date'))
        elif begin[photo.unit] < date:
            split.train.append(photo)
        elif photo.identity in known:
            split.query.append(photo)
        else:
            new.add(photo.identity)
            split.left_out.append((photo, f'individual first seen from {date:%Y-%m-%d} on'))
    if not split.train or not split.query:
        raise InputError(
            f'--split-date {date:%Y-%m-%d}: {counted(len(split.train), "photo")} before, '
            f'{len(split.query)} of the same individuals from then on; the photos begin at '
            f'{min(begin.values()):%Y-%m-%d} and end at {max(begin.values()):%Y-%m-%d}'
        )
    split.gallery = split.train
    split.notes.append(
        f'trained on what was seen before {date:%Y-%m-%d}; the test looks for photos from then '
        'on among those'
    )
    if new:
        split.notes.append(
            f'{counted(len(new), identity_noun(photos))} first seen from {date:%Y-%m-%d} on: left '
            'out, there is no match'
        )
    return split


def _first_dates(photos: list[Photo]) -> dict[Key, datetime]:
    """When each unit began, where that is known."""
    begin: dict[Key, datetime] = {}
    for photo in photos:
        if photo.sighting.date:
            begin[photo.unit] = min(begin.get(photo.unit, photo.sighting.date), photo.sighting.date)
    if not begin:
        raise InputError(
            '--split-date: no photo has a date, in the source or (--exif-dates) in its file; '
            'name the column with --column date=…'
        )
    return begin


def split_given(photos: list[Photo]) -> Split:
    """Split as the source says: train and test, or train, query and gallery; validation if given.

    Raises:
        InputError: where the source has no such splits.
    """
    named = _by_split(photos)
    counts = ', '.join(f'{name or "none"} {len(part)}' for name, part in sorted(named.items()))
    _check_splits(named, counts)
    split = Split(named['train'], [], named['query'], named['gallery'])
    split.left_out += [(photo, 'in no split') for photo in named['']]
    split.val = _of_train(split, named['val'], 'validation photo')
    split.notes.append(f'split as the source says ({counts})')
    if named['test']:
        _add_test(split, named['test'])
    trained = {photo.unit for photo in split.train + split.val}
    cut = trained & {photo.unit for photo in split.query}
    if cut:
        split.notes.append(
            f'the given split cuts {counted(len(cut), "encounter")} in two: results on them look '
            'better than they are'
        )
    return split


def _by_split(photos: list[Photo]) -> dict[str, list[Photo]]:
    named = defaultdict(list)
    for photo in photos:
        name = photo.sighting.split
        if name and name not in SPLITS.values():
            raise InputError(
                f"{photo.sighting.where}: the split '{name[:40]}' is none of "
                f'{", ".join(SPLITS)}; leave it empty where a photo belongs to none'
            )
        named[name].append(photo)
    return named


def _check_splits(named: dict[str, list[Photo]], counts: str) -> None:
    if not named['train'] or not (named['test'] or (named['query'] and named['gallery'])):
        raise InputError(
            '--protocol given: splits train and test, or train, query and gallery, are needed, '
            f'but the source has {counts}; choose another --protocol'
        )
    if named['test'] and (named['query'] or named['gallery']):
        raise InputError(
            f'--protocol given: test beside query or gallery ({counts}): which is it? Merge '
            'them, or empty one'
        )


def _of_train(split: Split, photos: list[Photo], what: str) -> list[Photo]:
    """Those of train individuals; others are left out."""
    trained = {photo.identity for photo in split.train}
    reason = f'{what} of an individual without train photos'
    split.left_out += [(photo, reason) for photo in photos if photo.identity not in trained]
    return [photo for photo in photos if photo.identity in trained]


def _add_test(split: Split, test: list[Photo]) -> None:
    """Query and gallery of a test: does it show the individuals of training, or others?"""
    everyone = {photo.identity for photo in test}
    shared = everyone & {photo.identity for photo in split.train}
    if 2 * len(shared) > len(everyone):
        split.query = _of_train(split, test, 'test photo')
        split.gallery = split.train + split.val
        split.notes.append(
            'most test individuals are trained on, so the gallery is the photos trained on'
        )
        return
    split.query = split.gallery = test
    split.notes.append(
        'test individuals are not trained on, so every test photo is compared with all others'
    )
    if shared:
        split.notes.append(
            f'but {len(shared)} of {len(everyone)} test individuals are train individuals too'
        )
