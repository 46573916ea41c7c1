"""Finds out what the columns of a wildlife table mean."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain

from utils.errors import InputError
from wildlife.lists.cells import known_text, simplified
from wildlife.lists.meanings import BOXES, CLOCK_PARTS, DAY_PARTS, MEANINGS, NEEDED
from wildlife.lists.tables import Table

Columns = dict[str, list[str]]  # meaning -> its column, or several columns that form it


def choose_columns(
    table: Table,
    given: Mapping[str, str],
    needed: Iterable[str] = tuple(NEEDED),
    sure: bool = False,
) -> tuple[Columns, list[str]]:
    """Find the columns of each meaning.

    Args:
        table: The table of photos.
        given: Meaning -> column named by the user; '' = ignore this meaning.
        needed: Meanings that must be found.
        sure: Whether the identity is read only from a column whose name means nothing else.

    Returns:
        The columns of each meaning; and notes about what was chosen.

    Raises:
        InputError: Two columns could be the identity, a needed column is not found, or a named
            column does not exist.
    """
    _check_given(table, given)
    names = defaultdict(list)  # simplified name, as in MEANINGS -> columns
    for column in table.columns:
        names[simplified(column)].append(column)
    chosen, notes = dict(given), list[str]()
    for meaning, ranks in MEANINGS.items():
        free = [_free_columns(rank, names, chosen) for rank in ranks]
        if meaning not in given and any(free):
            _choose(table, meaning, free, sure, chosen, notes)
    columns = {meaning: [column] for meaning, column in chosen.items() if column}
    for meaning, spread in (('bbox', _box_columns(names)), ('date', _date_columns(names))):
        if meaning not in chosen and spread:
            columns[meaning] = spread
    _check_needed(table, columns, needed)
    return columns, notes


def _choose(
    table: Table,
    meaning: str,
    free: list[list[str]],
    sure: bool,
    chosen: dict[str, str],
    notes: list[str],
) -> None:
    """Choose the column of a meaning from the free ones, by rank; note what is not clear."""
    found = list(chain.from_iterable(free))
    if meaning == 'identity' and sure and not free[0]:
        notes.append(_unsure_note(found[0]))
        return
    if meaning == 'identity':
        _check_same(table, next(filter(None, free)))
    chosen[meaning] = found[0]
    if found[1:]:
        notes.append(_taken_note(meaning, found))


def _unsure_note(column: str) -> str:
    return (
        f"column '{column}' may name the individual, but was not read; if it does, add --column "
        f"identity='{column}'"
    )


def _taken_note(meaning: str, found: list[str]) -> str:
    others = ' or '.join(map(repr, found[1:]))
    return (
        f"{meaning}: column '{found[0]}' was used, not {others}; choose another with --column "
        f'{meaning}=…'
    )


def _free_columns(
    rank: Iterable[str], names: Mapping[str, list[str]], chosen: Mapping[str, str]
) -> list[str]:
    """Return the columns with a name of this rank that have no meaning yet."""
    columns = chain.from_iterable(names.get(name, ()) for name in rank)
    return [column for column in columns if column not in chosen.values()]


def _check_given(table: Table, given: Mapping[str, str]) -> None:
    for meaning, column in given.items():
        if column and column not in table.columns:
            raise InputError(
                f'--column {meaning}={column}: {table.file} has no such column; its columns are '
                f'{", ".join(table.columns)}'
            )


def _check_needed(table: Table, columns: Columns, needed: Iterable[str]) -> None:
    for meaning in needed:
        if meaning not in columns:
            raise InputError(
                f'{table.file}: no column gives {NEEDED[meaning]}; name it with --column '
                f'{meaning}=… (columns: {", ".join(table.columns)})'
            )


def _check_same(table: Table, candidates: list[str]) -> None:
    """Check that all columns that could be the identity contain the same names."""
    first, *others = candidates
    cells = table.frame[candidates]
    for other in others:
        differing = cells[cells[first].map(known_text) != cells[other].map(known_text)]
        if len(differing):
            row = differing.iloc[0]
            raise InputError(
                f"{row.name}: the columns '{first}' and '{other}' could both be the identity, but "
                f"differ ('{row[first]}', '{row[other]}'); choose one with --column "
                f'identity={first} or --column identity={other}'
            )


def _box_columns(names: Mapping[str, list[str]]) -> list[str]:
    """Return the four columns that form a box, or []."""
    for box in BOXES:
        if all(map(names.get, box)):
            return [names[name][0] for name in box]
    return []


def _date_columns(names: Mapping[str, list[str]]) -> list[str]:
    """Return the columns of year, month, day and, if present, hour and minute; else []."""

    def find(parts: tuple[tuple[str, ...], ...]) -> list[str]:
        found = []
        for part in parts:
            name = next((name for name in part if names.get(name)), '')
            if not name:
                break
            found.append(names[name][0])
        return found

    day = find(DAY_PARTS)
    return day + find(CLOCK_PARTS) if len(day) == len(DAY_PARTS) else []
