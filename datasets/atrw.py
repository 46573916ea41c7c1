"""ATRW's ground truth for the tiger test: camera sequences, frames and groups of queries."""

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
        path: A JSON list of ``{imgid, entityid, query: 'sing' | 'multi', frame: [a, b, n]}``.

    Returns:
        {name of a photo without extension, such as '000012': its record}

    Raises:
        InputError: The file is missing, or not such a list.
    """
    content = read_file(
        path,
        'ground truth',
        f"{path}: no such file; the tiger test needs ATRW's ground truth: put it there, "
        "set DATASETS.GROUND_TRUTH, or set DATASETS.PROTOCOL 'query_in_gallery' to do without it",
    )
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: the ground truth is not JSON ({error}); use ATRW's gt_test_plain.json"
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
        } if all(_is_whole(number) for number in (imgid, entity, *frame)):
            return Record(f'{imgid:06d}', entity, frame=tuple(frame), group=group)
    raise InputError(
        f"{where}: expected {{imgid: integer, entityid: integer, query: 'sing' or 'multi', "
        f'frame: [a, b, n]}}, got {reprlib.repr(entry)[:100]}'
    )


def _is_whole(number: int) -> bool:
    return type(number) is int and abs(number) < 2**63  # JSON's true would pass as 1


def attach_atrw(records: Sequence[Record], truth: Mapping[str, Record], path: str) -> list[Record]:
    """Return the records with their frame and group from the ground truth.

    ``000012.jpg`` is the photo with imgid 12. The published numbers cover all photos of the ground
    truth; those that the list lacks are logged and do not count.

    Args:
        records: The records of the test list.
        truth: The result of ``read_atrw``.
        path: The path of the ground truth, for messages.

    Raises:
        InputError: A photo of the list is not in the ground truth, or is another entity there.
    """
    names = {record: Path(record.path).stem for record in records}
    missing = [record.path for record in records if names[record] not in truth]
    if missing:
        raise InputError(
            f'{path}: {len(missing)} of {len(records)} photos of the list are not in the ground '
            f'truth ({first_few(missing)}); use the list that belongs to it, or set '
            "DATASETS.PROTOCOL 'query_in_gallery' to do without it"
        )
    unlisted = truth.keys() - set(names.values())
    if unlisted:
        logger.warning(
            '%s: %d of its %d photos are not in the list and do not count in the averages',
            path,
            len(unlisted),
            len(truth),
        )
    return [_attach(record, truth[names[record]], path) for record in records]


def _attach(record: Record, entry: Record, path: str) -> Record:
    if entry.pid != record.pid:
        raise InputError(
            f'{path}: {record.path} is entity {entry.pid} there, but its label in the list '
            f'is {record.pid}; use the list that belongs to the ground truth'
        )
    return replace(record, frame=entry.frame, group=entry.group)
