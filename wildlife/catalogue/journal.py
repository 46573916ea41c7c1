"""Every change of a catalogue: written with its journal, and undone by it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row, Table
from sqlalchemy.exc import IntegrityError

from utils.errors import InputError
from wildlife.catalogue.names import check_texts
from wildlife.catalogue.schema import JOURNALED, changes, journal

AT_ONCE = 500  # ids per query; SQLite allows about 1,000 variables

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Author:
    """Who changes a catalogue.

    Attributes:
        by: The name of the person.
        program: The program, such as 'tools.catalogue'.
    """

    by: str
    program: str


def now() -> datetime:
    """Return the time in UTC, in whole seconds, as the tables hold it."""
    return datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)


def image(row: Row[Any] | Values) -> str:
    """Return a row as JSON text, always the same for the same values."""
    values = row._mapping if isinstance(row, Row) else row
    return json.dumps(dict(values), sort_keys=True, default=datetime.isoformat)


def values_of(table: Table, text: str) -> dict[str, Any]:
    """Return the values of a row from its image."""
    values = json.loads(text)
    for column in table.columns:
        value = values.get(column.name)
        if isinstance(column.type, sa.DateTime) and value is not None:
            values[column.name] = datetime.fromisoformat(value)
    return values


class Transaction:
    """One entry of the journal: writes rows and records each change.

    Args:
        connection: A connection that writes.
        author: Who writes.
        action: What is done, in words.

    Attributes:
        entry: The number of the entry.
        at: Its time.
        count: The number of changes so far.
    """

    def __init__(self, connection: Connection, author: Author, action: str):
        self.connection, self.author, self.at, self.count = connection, author, now(), 0
        values = {'at': self.at, 'by': author.by, 'program': author.program, 'action': action}
        insert = journal.insert().values(values).returning(journal.c.id)
        self.entry = connection.execute(insert).scalar_one()

    def insert(self, table: Table, rows: Sequence[Values]) -> list[int]:
        """Insert rows with the same columns; return their ids."""
        if not rows:
            return []
        check_texts(table, rows)
        ids = [row['id'] for row in rows if 'id' in row]
        if ids:
            self.connection.execute(table.insert(), list(rows))
        else:
            made = table.insert().returning(table.c.id, sort_by_parameter_order=True)
            ids = list(self.connection.execute(made, list(rows)).scalars())
        self._record(table, ids, {}, self.rows(table, ids))
        return ids

    def update(self, table: Table, rows: Mapping[int, Values]) -> None:
        """Change rows, given as {id: values} with the same columns; unchanged rows are skipped."""
        if not rows:
            return
        check_texts(table, rows.values())
        ids = list(rows)
        before = self.rows(table, ids)
        new: dict[str, Any] = {
            name: sa.bindparam(f'new_{name}') for name in next(iter(rows.values()))
        }
        statement = table.update().where(table.c.id == sa.bindparam('row')).values(new)
        parameters = []
        for row_id, values in rows.items():
            parameters.append({f'new_{name}': value for name, value in values.items()})
            parameters[-1]['row'] = row_id
        self.connection.execute(statement, parameters)
        self._record(table, ids, before, self.rows(table, ids))

    def delete(self, table: Table, ids: Sequence[int]) -> None:
        """Delete rows."""
        before = self.rows(table, ids)
        for some in _parts(ids):
            self.connection.execute(table.delete().where(table.c.id.in_(some)))
        self._record(table, ids, before, {})

    def rows(self, table: Table, ids: Sequence[int]) -> dict[int, str]:
        """Return {id: image} of the rows that exist."""
        found = {}
        for some in _parts(ids):
            rows = self.connection.execute(table.select().where(table.c.id.in_(some)))
            found.update({row.id: image(row) for row in rows})
        return found

    def _record(
        self,
        table: Table,
        ids: Iterable[int],
        before: Mapping[int, str],
        after: Mapping[int, str],
    ) -> None:
        rows = [
            {
                'entry_id': self.entry,
                'table_name': table.name,
                'row_id': row_id,
                'before': before.get(row_id),
                'after': after.get(row_id),
            }
            for row_id in ids
            if before.get(row_id) != after.get(row_id)
        ]
        self.count += len(rows)
        if rows:
            self.connection.execute(changes.insert(), rows)


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), AT_ONCE):
        yield ids[start : start + AT_ONCE]


def undone_entries(connection: Connection) -> set[int]:
    """Return the entries that are undone; an undo that was undone itself does not count."""
    undone: set[int] = set()
    query = sa.select(journal.c.id, journal.c.undoes).order_by(journal.c.id.desc())
    for entry, undoes in connection.execute(query):
        if undoes and entry not in undone:
            undone.add(undoes)
    return undone


def entry_to_undo(transaction: Transaction, entry: int = 0) -> Row[Any]:
    """Return the entry to undo, and note in the journal that this transaction undoes it.

    Args:
        transaction: The transaction.
        entry: Its number; 0 = the last one that is neither undone nor an undo.

    Raises:
        InputError: There is no such entry, it is undone already, or it created the catalogue.
    """
    connection = transaction.connection
    undone = undone_entries(connection)
    earlier = journal.select().where(journal.c.id < transaction.entry).order_by(journal.c.id)
    entries = connection.execute(earlier).all()
    possible = [row for row in entries if row.id not in undone and row.id == (entry or row.id)]
    if not entry:
        possible = [row for row in possible if not row.undoes]
    if not possible:
        last = entries[-1].id if entries else 0
        reason = 'is undone already' if entry in undone else f'does not exist; the last is {last}'
        raise InputError(f'entry {entry} of the journal {reason}')
    if possible[-1].id == entries[0].id:
        raise InputError('nothing to undo: the first entry of the journal created the catalogue')
    chosen = possible[-1]
    own = journal.update().where(journal.c.id == transaction.entry)
    action = f'undo {chosen.id}: {chosen.action}'
    connection.execute(own.values(undoes=chosen.id, action=action))
    return chosen


def undo_entry(transaction: Transaction, entry: int) -> int:
    """Undo all changes of an entry, the last one first; return their number.

    Raises:
        InputError: Later entries have changed the same rows, or refer to them.
    """
    query = changes.select().where(changes.c.entry_id == entry).order_by(changes.c.id.desc())
    rows = transaction.connection.execute(query).all()
    for (name, kind), run in groupby(rows, key=_kind):
        _take_back(transaction, JOURNALED[name], kind, list(run), entry)
    return len(rows)


def _kind(change: Row[Any]) -> tuple[str, str]:
    """Return the table of a change, and whether it inserted, deleted or updated a row."""
    if change.before is None:
        return change.table_name, 'insert'
    return change.table_name, 'delete' if change.after is None else 'update'


def _take_back(
    transaction: Transaction, table: Table, kind: str, run: Sequence[Row[Any]], entry: int
) -> None:
    ids = [change.row_id for change in run]
    current = dict(transaction.rows(table, ids))
    different = []
    for change in run:
        if current.get(change.row_id) != change.after:
            different.append(change)
        current[change.row_id] = change.before
    if different:
        raise InputError(
            f'entry {entry} cannot be undone: a later entry has changed {table.name} '
            f'{different[0].row_id} too{_later(transaction, different[0])}; undo that one first'
        )
    try:
        if kind == 'insert':
            transaction.delete(table, ids)
        elif kind == 'delete':
            transaction.insert(table, [values_of(table, change.before) for change in run])
        else:
            before = {change.row_id: values_of(table, change.before) for change in run}
            transaction.update(table, before)
    except IntegrityError as error:
        raise InputError(
            f'entry {entry} cannot be undone: later entries depend on its {table.name}; undo '
            'them first, starting with the last one'
        ) from error


def _later(transaction: Transaction, change: Row[Any]) -> str:
    """Name the last entry that changed the same row."""
    same = (changes.c.table_name == change.table_name, changes.c.row_id == change.row_id)
    entries = sa.select(changes.c.entry_id).where(*same).order_by(changes.c.id.desc())
    last = transaction.connection.execute(entries).scalar()
    return f' (entry {last})' if last and last != change.entry_id else ''
