"""Replays the journal of a catalogue, and compares the result with the tables."""

import contextlib
import json
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy import Connection, Table

from wildlife.catalogue.journal import image
from wildlife.catalogue.schema import JOURNALED, changes


def differences(connection: Connection) -> Iterator[str]:
    """Replay the journal and yield, in words, each row that differs from the result."""
    replayed: dict[str, dict[int, str]] = {name: {} for name in JOURNALED}
    for change in connection.execute(changes.select().order_by(changes.c.id)):
        rows = replayed.get(change.table_name)
        if rows is None:
            yield f'journal: change {change.id} is of an unknown table {change.table_name!r:.60}'
            continue
        if rows.get(change.row_id) != change.before:
            yield (
                f'journal: change {change.id} of entry {change.entry_id} does not fit the earlier '
                f'changes of {change.table_name} {change.row_id}'
            )
        rows[change.row_id] = change.after
        if change.after is None:
            del rows[change.row_id]
    for name, table in JOURNALED.items():
        present = _images(connection, table)
        for row_id in sorted(present.keys() | replayed[name].keys()):
            text = _difference(present.get(row_id), replayed[name].get(row_id))
            if text:
                yield f'{name} {row_id}: {text}'


def _images(connection: Connection, table: Table) -> dict[int, str]:
    """Return {id: image} of all rows; '' for a row with a value that cannot be read."""
    try:
        return {row.id: image(row) for row in connection.execute(table.select())}
    except ValueError:
        ids = connection.execute(sa.select(table.c.id)).scalars().all()
        return {row_id: _image_of(connection, table, row_id) for row_id in ids}


def _image_of(connection: Connection, table: Table, row_id: int) -> str:
    with contextlib.suppress(ValueError):
        return image(connection.execute(table.select().where(table.c.id == row_id)).one())
    return ''


def _difference(present: str | None, journalled: str | None) -> str:
    if present == journalled:
        return ''
    if present is None:
        return 'is missing, but exists according to the journal'
    if journalled is None:
        return 'exists, but not according to the journal'
    try:
        found, expected = json.loads(present), json.loads(journalled)
    except ValueError:
        return 'it has a value that cannot be read, or its journal has'
    names = [name for name in found if found[name] != expected.get(name)]
    name = names[0] if names else 'a column'
    found_text, expected_text = (f'{row.get(name)!r:.60}' for row in (found, expected))
    return f'{name} is {found_text}, but {expected_text} according to the journal'
