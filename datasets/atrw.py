"""ATRW's ground truth, which the tiger test needs: camera sequences, frames, groups of queries."""

import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from datasets.records import Record, read_file
from utils.errors import InputError
from utils.logger import logger
from utils.words import first_few


def read_atrw(path: str | Path) -> dict[str, Record]:
    """Read ATRW's ground truth.

    Args:
        path: of a JSON list of ``{imgid, entityid, query: 'sing' | 'multi', frame: [a, b, n]}``.

    Returns:
        {name of the photo without extension, '000012': its record}

    Raises:
        InputError: where the file is missing or something else.
    """
    content = read_file(
        path,
        'ground truth',
        f"{path}: no such file; the tiger test needs ATRW's ground truth: put it there, "
        "set DATASETS.GROUND_TRUTH, or DATASETS.PROTOCOL 'query_in_gallery' to do without",
    )
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: the ground truth is not JSON ({error}); it should be ATRW's "
            'gt_test_plain.json'
        ) from None
    if not isinstance(entries, list) or not entries:
        raise InputError(
            f'{path}: the ground truth should be a list of photos, as in gt_test_plain.json'
        )
    truth: dict[str, Record] = {}
    for number, entry in enumerate(entries, start=1):
        record = _parse(entry, where=f'{path}: entry {number}')
        if record.path in truth:
            raise InputError(f'{path}: entry {number}: imgid {int(record.path)} occurs twice')
        truth[record.path] = record
    return truth


def _parse(entry: object, where: str) -> Record:
    match entry:
        case {
            'imgid': int(imgid),
            'entityid': int(entity),
            'query': 'sing' | 'multi' as group,
            'frame': [int(), int(), int()] as frame,
        } if all(abs(number) < 2**63 for number in (imgid, entity, *frame)):
            return Record(f'{imgid:06d}', entity, frame=tuple(frame), group=group)
    raise InputError(
        f"{where}: expected {{imgid: integer, entityid: integer, query: 'sing' or 'multi', "
        f'frame: [a, b, n]}}, got {reprlib.repr(entry)[:100]}'
    )


def attach_atrw(records: Sequence[Record], truth: Mapping[str, Record], path: str) -> list[Record]:
    """Return records with their frame and group from the ground truth; ``000012.jpg`` is imgid 12.

    Photos that only the ground truth has are skipped in the averages, which is logged: its
    published numbers are for all of them.

    Args:
        records: of the test list.
        truth: of ``read_atrw``.
        path: its file, for messages.

    Raises:
        InputError: where photos of the list are not in the ground truth, or it names another
            entity.
    """
    names = {record: Path(record.path).stem for record in records}
    missing = [record.path for record in records if names[record] not in truth]
    if missing:
        raise InputError(
            f'{path}: {len(missing)} of {len(records)} photos of the list are not in the ground '
            f'truth ({first_few(missing)}); take the list that belongs to it, or set '
            "DATASETS.PROTOCOL 'query_in_gallery' to do without"
        )
    unlisted = truth.keys() - set(names.values())
    if unlisted:
        logger.warning(
            '%s: %d of its %d photos are not in the list; averages are over the list',
            path,
            len(unlisted),
            len(truth),
        )
    return [_attach(record, truth[names[record]], path) for record in records]


def _attach(record: Record, entry: Record, path: str) -> Record:
    if entry.pid != record.pid:
        raise InputError(
            f'{path}: {record.path} is entity {entry.pid} there, but its label in the list '
            f'is {record.pid}; take the list that belongs to the ground truth'
        )
    return replace(record, frame=entry.frame, group=entry.group)
