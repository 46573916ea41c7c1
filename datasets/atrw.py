"""ATRW's ground truth, which the tiger test needs: camera sequences, frames, groups of queries."""

import json
import logging
import os
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from datasets.records import Record, read_file
from utils.errors import InputError
from utils.words import first_few

logger = logging.getLogger('transreid')


class Entry(NamedTuple):
    """What the ground truth says of a photo.

    Args:
        entity: the individual.
        group: of queries, 'sing' or 'multi'.
        frame: (a, b, n), see ``datasets.records.Record``.
    """

    entity: int
    group: str
    frame: tuple[int, ...]


def read_atrw(path: str | Path) -> dict[int, Entry]:
    """Read ATRW's ground truth.

    Args:
        path: of a JSON list of ``{imgid, entityid, query: 'sing' | 'multi', frame: [a, b, n]}``.

    Returns:
        {imgid: its ``Entry``}

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
    truth: dict[int, Entry] = {}
    for number, entry in enumerate(entries, start=1):
        imgid, parsed = _parse(entry, where=f'{path}: entry {number}')
        if imgid in truth:
            raise InputError(f'{path}: entry {number}: imgid {imgid} occurs twice')
        truth[imgid] = parsed
    return truth


def _parse(entry: object, where: str) -> tuple[int, Entry]:
    fields = entry if isinstance(entry, dict) else {}
    frame, group = fields.get('frame'), fields.get('query')
    numbers: list[Any] = [fields.get('imgid'), fields.get('entityid')]
    numbers += frame if isinstance(frame, list) else []
    whole = all(type(number) is int and abs(number) < 2**63 for number in numbers)
    if not whole or len(numbers) != 5 or group not in ('sing', 'multi'):
        raise InputError(
            f"{where}: expected {{imgid: integer, entityid: integer, query: 'sing' or 'multi', "
            f'frame: [a, b, n]}}, got {reprlib.repr(entry)[:100]}'
        )
    imgid, entity, *frame = numbers
    return imgid, Entry(entity, group, tuple(frame))


def attach_atrw(records: Sequence[Record], truth: Mapping[int, Entry], path: str) -> list[Record]:
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
    by_name = {f'{imgid:06d}': entry for imgid, entry in truth.items()}
    names = [os.path.splitext(os.path.basename(record.path))[0] for record in records]
    named = list(zip(records, names, strict=True))
    missing = [record.path for record, name in named if name not in by_name]
    if missing:
        raise InputError(
            f'{path}: {len(missing)} of {len(records)} photos of the list are not in the ground '
            f'truth ({first_few(missing)}); take the list that belongs to it, or set '
            "DATASETS.PROTOCOL 'query_in_gallery' to do without"
        )
    attached = [_attach(record, by_name[name], path) for record, name in named]
    unlisted = len(by_name.keys() - set(names))
    if unlisted:
        logger.warning(
            '%s: %d of its %d photos are not in the list; averages are over the list',
            path,
            unlisted,
            len(truth),
        )
    return attached


def _attach(record: Record, entry: Entry, path: str) -> Record:
    if entry.entity != record.pid:
        raise InputError(
            f'{path}: {record.path} is entity {entry.entity} there, but its label in the list '
            f'is {record.pid}; take the list that belongs to the ground truth'
        )
    return replace(record, frame=entry.frame, group=entry.group)
