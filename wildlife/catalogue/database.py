"""Opens the SQLite file of a catalogue: connections, transactions, and one-line errors."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from utils.errors import InputError, first_line

FILE = 'catalogue.sqlite'
WAIT = 30.0  # seconds that a program waits for another one that writes
WRITES = 'writes'  # execution option of a connection that will write

# Part of SQLite's message -> what it means, and what to do.
REASONS = {
    'locked': 'another program is writing to it; try again when that has ended',
    'is full': 'the disk is full; free some space',
    'readonly': 'it is read-only; change the permissions of the file and its folder',
    'unable to open': 'it cannot be opened; check the permissions of the file and its folder',
    'disk I/O': 'its disk reports an error; check the disk',
    'not a database': 'this is not a catalogue, or it is damaged; restore a backup',
    'malformed': 'it is damaged; restore a backup',
    'no such': 'it lacks a table or column: it is damaged or was not made by tools.catalogue',
    'too many': 'it is too large for this SQLite',
}


def make_engine(folder: Path, wait: float = WAIT) -> Engine:
    """Return the engine of a catalogue; it holds no connection between transactions.

    Args:
        folder: The folder of the catalogue.
        wait: Seconds to wait for another program that writes.
    """
    url = sqlalchemy.URL.create('sqlite', database=str(folder / FILE))
    # no pool: a connection must not be inherited by the processes that decode photos
    engine = sqlalchemy.create_engine(
        url, poolclass=sqlalchemy.NullPool, connect_args={'timeout': wait}
    )
    event.listen(engine, 'connect', _set_up)
    event.listen(engine, 'begin', _begin)
    return engine


def _set_up(connection: Any, _: object) -> None:
    """Leave transactions to SQLAlchemy (Python's driver begins them late), check references."""
    connection.isolation_level = None
    connection.execute('PRAGMA foreign_keys = ON')


def _begin(connection: Connection) -> None:
    """Lock the file at once if the transaction will write, so that what it reads stays true."""
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql('BEGIN IMMEDIATE' if writes else 'BEGIN')


@contextlib.contextmanager
def connection(engine: Engine, folder: Path, writes: bool = False) -> Iterator[Connection]:
    """Open a connection with a transaction, which an exception in the block undoes.

    Args:
        engine: The engine.
        folder: The folder of the catalogue, for errors.
        writes: Whether the transaction writes.

    Raises:
        InputError: The file cannot be read or written.
    """
    with translated(folder), engine.connect() as opened:
        opened = opened.execution_options(**{WRITES: writes})
        with opened.begin():
            yield opened


@contextlib.contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Raise the database's errors as InputError."""
    try:
        yield
    except IntegrityError:
        raise  # a rule of the tables: the caller knows what it means
    except (OperationalError, DatabaseError) as error:
        message = first_line(error.orig or error)
        reason = next((text for part, text in REASONS.items() if part in message), '')
        why = f'{reason} ({message})' if reason else message
        raise InputError(f'catalogue {folder}: {why}') from error
    except UnicodeEncodeError as error:
        raise InputError(
            f'{ascii(error.object):.60} is not UTF-8 text; write it with other letters'
        ) from error
    except ValueError as error:
        raise InputError(
            f'catalogue {folder}: a value is damaged ({first_line(error)}); python -m '
            'tools.catalogue verify names the row'
        ) from error


def integrity(opened: Connection) -> list[str]:
    """Return what the database finds wrong with its file."""
    if opened.dialect.name != 'sqlite':
        return []
    rows = opened.exec_driver_sql('PRAGMA integrity_check').scalars()
    return [f'{FILE}: {row}' for row in rows if row != 'ok']
