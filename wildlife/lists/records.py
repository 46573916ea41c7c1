"""Assigns labels and numbers to split photos, and chooses the test protocol."""

from collections.abc import Hashable, Iterable
from typing import NamedTuple, TypeVar

from datasets.protocols import PROTOCOLS, resolve_protocol
from datasets.records import Record
from utils.errors import InputError
from utils.metrics import count_positives
from wildlife.lists.encounters import Photo
from wildlife.lists.options import TESTS
from wildlife.lists.splits import Split
from wildlife.words import counted

Name = TypeVar('Name', bound=Hashable)
Records = dict[str, list[Record]]  # list (train, val, query or gallery) -> its records


def make_records(split: Split) -> tuple[Records, dict[str, list[str]]]:
    """Number individuals, cameras and encounters, and make the records of each list.

    If the test shows train individuals, these keep their labels and new individuals get the next
    numbers. Otherwise test labels also begin at 0. If some cameras are unknown, they get camid 0
    and the others are numbered from 1.

    Returns:
        The records of each list; and the individual of each label, for 'train' and 'test'.
    """
    parts = split.parts()
    photos = {photo for part in parts.values() for photo in part}
    cameras = _number(sorted({photo.sighting.camera for photo in photos}))
    keys = [photo.encounter for photo in sorted(photos, key=lambda photo: photo.path)]
    encounters = _number(dict.fromkeys(filter(None, keys)))
    train = sorted({photo.identity for photo in split.train})
    test = sorted({photo.identity for photo in split.query + split.gallery})
    if set(train) & set(test):
        test = train + [name for name in test if name not in set(train)]
    labels = dict.fromkeys(('train', 'val'), _number(train))
    labels |= dict.fromkeys(('query', 'gallery'), _number(test))

    def record(photo: Photo, label: int) -> Record:
        camera = cameras[photo.sighting.camera]
        return Record(
            photo.path,
            label,
            camid=camera,
            viewid=photo.sighting.side or 0,
            camera=camera if photo.sighting.camera else None,
            side=photo.sighting.side,
            encounter=encounters[photo.encounter] if photo.encounter else None,
        )

    records = {}
    for name, part in parts.items():
        records[name] = [record(photo, labels[name][photo.identity]) for photo in part]
    return records, {'train': train, 'test': test}


def _number(names: Iterable[Name]) -> dict[Name, int]:
    return {name: number for number, name in enumerate(names)}


class Test(NamedTuple):
    """How the test is evaluated.

    Attributes:
        protocol: The name of the chosen protocol.
        found: Protocol -> number of queries with a match in the gallery.
        notes: The notes for the report.
    """

    protocol: str
    found: dict[str, int]
    notes: list[str]


def choose_test(records: Records, wanted: str = '') -> Test:
    """Choose the test protocol.

    Args:
        records: The records of each list.
        wanted: Protocol chosen by the user. '' = cross-encounter if most encounters are known and
            some query has a match under it, else all.

    Raises:
        InputError: No query has a match, or the lists lack what ``wanted`` compares.
    """
    query, gallery = records['query'], records['gallery']
    if wanted:
        _check_wanted(wanted, records)
    found = {
        name: int((count_positives(query, gallery, PROTOCOLS[name]) > 0).sum()) for name in TESTS
    }
    photos = {record.path: record for record in query + gallery}
    unknown = sum(record.encounter is None for record in photos.values())
    are_known = 2 * unknown < len(photos)
    name = wanted or ('cross-encounter' if are_known and found['cross-encounter'] else 'all')
    if not found[name]:
        raise InputError(_no_match(name, len(query), found))
    notes = _note_encounters(name, wanted, unknown, len(photos))
    if found[name] < len(query):
        notes.append(
            f'{len(query) - found[name]} of {counted(len(query), "query")} with no match in the '
            f'gallery under {name}: not included in the averages'
        )
    return Test(name, found, notes)


def _note_encounters(name: str, wanted: str, unknown: int, photos: int) -> list[str]:
    """Explain what unknown encounters mean for the test.

    Args:
        unknown: The number of test photos without a known encounter.
    """
    of_all = f'{unknown} of {photos} test photos have no known encounter'
    if name == 'cross-encounter' and unknown:
        return [f'{of_all} and are compared with all others']
    if name != 'all' or wanted:
        return []
    reason = 'no query has a match in another encounter'
    if 2 * unknown >= photos:
        reason = f'{of_all} (a date or --name-pattern can give it)'
    return [
        f'{reason}, so photos that may be seconds apart are compared too, and the results are '
        'too optimistic'
    ]


def _check_wanted(wanted: str, records: Records) -> None:
    try:
        resolve_protocol(wanted, '', records['query'], records['gallery'])
    except InputError as error:
        reason = str(error).partition(';')[0]  # the rest is for lists written by hand
        raise InputError(
            f'--test-protocol {wanted}: {reason}; name their column with --column, read them '
            'from the paths with --name-pattern, or choose another --test-protocol'
        ) from None


def _no_match(name: str, queries: int, found: dict[str, int]) -> str:
    works = ', '.join(f'{other} {count}' for other, count in found.items() if count)
    remedy = 'choose another --protocol'
    if works:
        remedy = f'choose another --test-protocol (queries with a match: {works})'
    return (
        f"none of {counted(queries, 'query')} has a match in the gallery under '{name}'; {remedy}"
    )
