"""Splits given by a date or by the source."""

from collections import defaultdict
from datetime import datetime

from utils.errors import InputError
from wildlife.lists.cells import SPLITS
from wildlife.lists.encounters import Key, Photo
from wildlife.lists.splits import Split, identity_noun
from wildlife.words import counted


def split_by_date(photos: list[Photo], date: datetime) -> Split:
    """Train on photos taken before ``date``, and test on photos taken on or after it.

    The first photo of an encounter decides for the whole encounter.

    Raises:
        InputError: No photo has a date, or the training or test list would be empty.
    """
    begin = _first_dates(photos)
    split = Split([], [], [], [])
    trained = {
        photo.identity for photo in photos if photo.unit in begin and begin[photo.unit] < date
    }
    new = set()
    for photo in photos:
        if photo.unit not in begin:
            split.left_out.append((photo, 'without date'))
        elif begin[photo.unit] < date:
            split.train.append(photo)
        elif photo.identity in trained:
            split.query.append(photo)
        else:
            new.add(photo.identity)
            split.left_out.append((photo, f'individual first seen on or after {date:%Y-%m-%d}'))
    if not split.train or not split.query:
        raise InputError(
            f'--split-date {date:%Y-%m-%d}: {counted(len(split.train), "photo")} before this '
            f'date and {len(split.query)} of the same individuals from then on; choose a date '
            f'between {min(begin.values()):%Y-%m-%d} and {max(begin.values()):%Y-%m-%d}'
        )
    split.gallery = split.train
    split.notes.append(
        f'training: photos before {date:%Y-%m-%d}; the queries are photos from then on, and the '
        'gallery is the training photos'
    )
    if new:
        split.notes.append(
            f'{counted(len(new), identity_noun(photos))} first seen on or after {date:%Y-%m-%d}: '
            'skipped, because the gallery has no match'
        )
    return split


def _first_dates(photos: list[Photo]) -> dict[Key, datetime]:
    """Return the first known date of each unit."""
    begin: dict[Key, datetime] = {}
    for photo in photos:
        if photo.sighting.date:
            begin[photo.unit] = min(begin.get(photo.unit, photo.sighting.date), photo.sighting.date)
    if not begin:
        raise InputError(
            '--split-date: no photo has a date, either in the source or (with --exif-dates) in '
            'its EXIF data; name the column with --column date=…'
        )
    return begin


def split_given(photos: list[Photo]) -> Split:
    """Use the splits of the source: train and test, or train, query and gallery; maybe validation.

    Raises:
        InputError: The source does not have these splits.
    """
    by_split = _by_split(photos)
    counts = ', '.join(f'{name or "none"} {len(part)}' for name, part in sorted(by_split.items()))
    _check_splits(by_split, counts)
    split = Split(by_split['train'], [], by_split['query'], by_split['gallery'])
    split.left_out += [(photo, 'in no split') for photo in by_split['']]
    split.val = _of_train(split, by_split['val'], 'validation photo')
    split.notes.append(f'the splits of the source are used ({counts})')
    if by_split['test']:
        _add_test(split, by_split['test'])
    trained = {photo.unit for photo in split.train + split.val}
    cut = trained & {photo.unit for photo in split.query}
    if cut:
        split.notes.append(
            f'the given split divides {counted(len(cut), "encounter")} between training and test, '
            'so their results are too optimistic'
        )
    return split


def _by_split(photos: list[Photo]) -> dict[str, list[Photo]]:
    by_split = defaultdict(list)
    for photo in photos:
        name = photo.sighting.split
        if name and name not in SPLITS.values():
            raise InputError(
                f"{photo.sighting.where}: the split '{name[:40]}' is not one of "
                f'{", ".join(SPLITS)}; leave the cell empty if the photo is in no split'
            )
        by_split[name].append(photo)
    return by_split


def _check_splits(by_split: dict[str, list[Photo]], counts: str) -> None:
    if not by_split['train'] or not (
        by_split['test'] or (by_split['query'] and by_split['gallery'])
    ):
        raise InputError(
            '--protocol given needs the splits train and test, or train, query and gallery, but '
            f'the source has {counts}; choose another --protocol'
        )
    if by_split['test'] and (by_split['query'] or by_split['gallery']):
        raise InputError(
            f'--protocol given: the source has a split test as well as query or gallery '
            f'({counts}); merge them, or remove one'
        )


def _of_train(split: Split, photos: list[Photo], what: str) -> list[Photo]:
    """Return the photos of train individuals; others are skipped."""
    trained = {photo.identity for photo in split.train}
    reason = f'{what} of an individual without train photos'
    split.left_out += [(photo, reason) for photo in photos if photo.identity not in trained]
    return [photo for photo in photos if photo.identity in trained]


def _add_test(split: Split, test: list[Photo]) -> None:
    """Make query and gallery from a test split; the gallery may be the train photos."""
    everyone = {photo.identity for photo in test}
    shared = everyone & {photo.identity for photo in split.train}
    if 2 * len(shared) > len(everyone):
        split.query = _of_train(split, test, 'test photo')
        split.gallery = split.train + split.val
        split.notes.append(
            'most test individuals are in training too, so the gallery is the training photos'
        )
        return
    split.query = split.gallery = test
    split.notes.append(
        'the test individuals are not in training, so every test photo is compared with all others'
    )
    if shared:
        split.notes.append(
            f'but {len(shared)} of {len(everyone)} test individuals are in training too'
        )
