"""Labels and numbers of split photos, and how they are tested."""

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
Records = dict[str, list[Record]]  # of each list: train, val, query, gallery


def make_records(split: Split) -> tuple[Records, dict[str, list[str]]]:
    """Number what the lists hold; a label is the number of its name.

    Test labels are those of the train list where the test shows train individuals (others are
    numbered on), else they begin at 0 too. Cameras are numbered from 1 where some are unknown,
    whose camid is 0 then.

    Returns:
        The records of each list; and the names of the labels of 'train' and 'test'.
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

    protocol: its name. found: protocol -> number of queries with a match. notes: for the report.
    """

    protocol: str
    found: dict[str, int]
    notes: list[str]


def choose_test(records: Records, wanted: str = '') -> Test:
    """Choose how the test is evaluated.

    Args:
        records: of the lists.
        wanted: protocol that the user names. '' = across encounters where most are known and some
            query has a match, else all.

    Raises:
        InputError: where no query has a match, or the lists do not know what ``wanted`` needs.
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
            f'{len(query) - found[name]} of {counted(len(query), "query")} without any right '
            f'answer under {name}: left out of the averages'
        )
    return Test(name, found, notes)


def _note_encounters(name: str, wanted: str, unknown: int, photos: int) -> list[str]:
    """Say what unknown encounters do to the test. unknown: of so many photos."""
    of_all = f'{unknown} of {photos} test photos have no known encounter'
    if name == 'cross-encounter' and unknown:
        return [f'{of_all} and are compared with all']
    if name != 'all' or wanted:
        return []
    reason = 'no query has a right answer in another encounter'
    if 2 * unknown >= photos:
        reason = f'{of_all} (a date or --name-pattern tells it)'
    return [
        f'{reason}, so photos that may be seconds apart are compared too, and results look '
        'better than they are'
    ]


def _check_wanted(wanted: str, records: Records) -> None:
    try:
        resolve_protocol(wanted, '', records['query'], records['gallery'])
    except InputError as error:
        reason = str(error).partition(';')[0]  # the rest is for those who write lists by hand
        raise InputError(
            f'--test-protocol {wanted}: {reason}; name their column with --column or read them '
            'off the paths with --name-pattern, or choose another --test-protocol'
        ) from None


def _no_match(name: str, queries: int, found: dict[str, int]) -> str:
    works = ', '.join(f'{other} {count}' for other, count in found.items() if count)
    remedy = f'--test-protocol gives: {works}' if works else 'choose another --protocol'
    return (
        f"none of {counted(queries, 'query')} has a right answer in the gallery under '{name}'; "
        f'{remedy}'
    )
