"""Labels and numbers of split photos, and how they are tested. For tools/make_lists.py."""

from datasets.protocols import PROTOCOLS, resolve_protocol
from datasets.records import Record
from utils.errors import InputError
from utils.metrics import count_positives
from wildlife.words import counted

TESTS = (
    'all',
    'cross-encounter',
    'cross-camera',
    'cross-side',
)  # protocols that need no list of their own


def make_records(split):
    """({split: records}, {'train': names, 'test': names}); a label is the number of its name.

    Test labels are those of the train list where the test shows train individuals (others are
    numbered on), else they begin at 0 too. Cameras are numbered from 1 where some are unknown,
    whose camid is 0 then.
    """
    parts = split.parts()
    photos = {photo for part in parts.values() for photo in part}
    cameras = {
        name: number
        for number, name in enumerate(sorted({photo.sighting.camera for photo in photos}))
    }
    keys = dict.fromkeys(photo.encounter for photo in sorted(photos, key=lambda photo: photo.path))
    encounters = {key: number for number, key in enumerate(key for key in keys if key)}
    train = sorted({photo.identity for photo in split.train})
    tested = {photo.identity for photo in split.query + split.gallery}
    test = train + sorted(tested - set(train)) if tested & set(train) else sorted(tested)
    records = {}
    for name, part in parts.items():
        labels = {
            identity: label
            for label, identity in enumerate(train if name in ('train', 'val') else test)
        }
        records[name] = [
            Record(
                photo.path,
                labels[photo.identity],
                camid=cameras[photo.sighting.camera],
                viewid=photo.sighting.side or 0,
                camera=cameras[photo.sighting.camera] if photo.sighting.camera else None,
                side=photo.sighting.side,
                encounter=encounters.get(photo.encounter),
            )
            for photo in part
        ]
    return records, {'train': train, 'test': test}


def choose_test(records, wanted=''):
    """How the test is judged: ``wanted``, else across encounters where most are known and some
    query has a match, else all.

    Returns (protocol, {protocol: queries that have a right answer}, notes). Raises ``InputError``
    where no query has one.
    """
    query, gallery = records['query'], records['gallery']
    if wanted:
        try:
            resolve_protocol(wanted, '', query, gallery)
        except InputError as error:
            reason = str(error).partition(';')[0]  # the rest is for those who write lists by hand
            raise InputError(
                f'--test-protocol {wanted}: {reason}; name their column with --column or read '
                'them off the paths '
                'with --name-pattern, or choose another --test-protocol'
            ) from None
    found = {
        name: int((count_positives(query, gallery, PROTOCOLS[name]) > 0).sum()) for name in TESTS
    }
    photos = {record.path: record for record in query + gallery}
    unknown = sum(record.encounter is None for record in photos.values())
    known = 2 * unknown < len(photos)
    name = wanted or ('cross-encounter' if known and found['cross-encounter'] else 'all')
    notes = []
    if not found[name]:
        works = ', '.join(f'{other} {count}' for other, count in found.items() if count)
        raise InputError(
            (
                f'none of {counted(len(query), "query")} has a right answer in the gallery under '
                f"'{name}'; "
            )
            + (f'--test-protocol gives: {works}' if works else 'choose another --protocol')
        )
    if name == 'all' and not wanted:
        reason = (
            'no query has a right answer in another encounter'
            if known
            else (
                f'{unknown} of {len(photos)} test photos have no known encounter (a date or '
                '--name-pattern tells it)'
            )
        )
        notes.append(
            f'{reason}, so photos that may be seconds apart are compared too, and results look '
            'better than they are'
        )
    elif name == 'cross-encounter' and unknown:
        notes.append(
            f'{unknown} of {len(photos)} test photos have no known encounter and are compared '
            'with all'
        )
    if found[name] < len(query):
        notes.append(
            f'{len(query) - found[name]} of {counted(len(query), "query")} without any right '
            f'answer under {name}: '
            'left out of the averages'
        )
    return name, found, notes
