"""Names of individuals, numbers of photos and other texts: look up, and check."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row, Table

from utils.errors import InputError
from utils.words import first_few
from wildlife.catalogue.queries import no_individual
from wildlife.catalogue.schema import LONGEST_NAME, aliases, individuals, photos
from wildlife.words import is_plain


def check_texts(table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Check texts of limited length, which databases other than SQLite would cut or reject.

    Raises:
        InputError: A text is too long, or has several lines.
    """
    limits = {
        column.name: column.type.length
        for column in table.columns
        if isinstance(column.type, sa.String) and column.type.length
    }
    for row in rows:
        for name in limits.keys() & row.keys():
            if len(row[name]) > limits[name] or not is_plain(row[name]):
                raise InputError(
                    f'{table.name}: the {name} {row[name]!r:.60} must be one line of UTF-8 text of '
                    f'at most {limits[name]} characters'
                )


def find_individual(opened: Connection, name: str) -> Row[Any]:
    """Return the row of an individual by its name or an alias. Raises ``InputError``."""
    known = name_numbers(opened)
    if name not in known:
        raise no_individual(name, list(known))
    return opened.execute(individuals.select().where(individuals.c.id == known[name])).one()


def name_numbers(opened: Connection) -> dict[str, int]:
    """Return the number of the individual of each name and alias."""
    names = opened.execute(sa.select(individuals.c.name, individuals.c.id)).all()
    others = opened.execute(sa.select(aliases.c.alias, aliases.c.individual_id)).all()
    return {name: number for name, number in [*names, *others]}


def check_free(
    opened: Connection, name: str, owner: int = 0, known: Mapping[str, int] | None = None
) -> None:
    """Check that a name is valid and new.

    Args:
        opened: The connection.
        name: The name.
        owner: An individual that may have it as an alias; 0 = none.
        known: What :func:`name_numbers` returns, if already known; None = look it up.

    Raises:
        InputError: It is empty, too long, not plain text, or exists.
    """
    if name.strip() != name or not 0 < len(name) <= LONGEST_NAME or not is_plain(name):
        raise InputError(
            f'the name {name!r:.60} must have 1 to {LONGEST_NAME} characters in one line, without '
            'spaces at its ends'
        )
    taken = (name_numbers(opened) if known is None else known).get(name)
    if taken is None:
        return
    who = opened.execute(individuals.select().where(individuals.c.id == taken)).one().name
    if who == name or taken != owner:
        what = 'exists' if who == name else f'is an alias of {who!r}'
        raise InputError(f'the name {name!r} {what}; choose another, or merge the two')


def check_unique(opened: Connection) -> None:
    """Check that no alias is also a name. Raises ``InputError``."""
    same = sa.select(aliases.c.alias).join(individuals, individuals.c.name == aliases.c.alias)
    double = list(opened.execute(same).scalars())
    if double:
        raise InputError(
            f'{first_few(double)} would be the name of one individual and an alias of another; '
            'undo the later entry first, or rename one'
        )


def check_photos(opened: Connection, numbers: Sequence[int]) -> None:
    """Check that photos exist. Raises ``InputError``."""
    known = set(opened.execute(sa.select(photos.c.id)).scalars())
    missing = [str(number) for number in numbers if number not in known]
    if missing:
        raise InputError(
            f'the catalogue has no photo {first_few(missing)}; python -m tools.catalogue show NAME '
            'prints the numbers of photos'
        )
