"""Changes of a catalogue by people and programs; each function is one entry of the journal."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from utils.errors import InputError
from utils.words import first_few
from wildlife.catalogue.decisions import Answer, contradicted_photos, record_answers
from wildlife.catalogue.journal import Author, Transaction, entry_to_undo, undo_entry
from wildlife.catalogue.names import check_free, check_photos, check_unique, find_individual
from wildlife.catalogue.schema import SEXES, aliases, decisions, features, individuals, photos
from wildlife.catalogue.store import Catalogue
from wildlife.words import counted


def rename(catalogue: Catalogue, author: Author, name: str, new_name: str) -> int:
    """Give an individual another name; the old one becomes an alias. Return the entry.

    Raises:
        InputError: There is no such individual, or the new name exists.
    """
    with catalogue.writing(author, f'rename {name!r} to {new_name!r}') as change:
        individual = find_individual(change.connection, name)
        check_free(change.connection, new_name, individual.id)
        own = sa.select(aliases.c.id).where(aliases.c.alias == new_name)
        change.delete(aliases, list(change.connection.execute(own).scalars()))
        change.update(individuals, {individual.id: {'name': new_name}})
        change.insert(aliases, [{'alias': individual.name, 'individual_id': individual.id}])
        return change.entry


def merge(catalogue: Catalogue, author: Author, name: str, into: str) -> int:
    """Merge two individuals: photos, decisions and names go to ``into``. Return the entry.

    Raises:
        InputError: One does not exist, both are the same, or their sexes differ.
    """
    with catalogue.writing(author, f'merge {name!r} into {into!r}') as change:
        gone = find_individual(change.connection, name)
        kept = find_individual(change.connection, into)
        if gone.id == kept.id:
            raise InputError(
                f'{name!r} and {into!r} are the same individual; name two different ones'
            )
        if gone.sex and kept.sex and gone.sex != kept.sex:
            raise InputError(
                f'{name!r} is {gone.sex}, but {into!r} is {kept.sex}; correct one with python -m '
                'tools.catalogue set … --sex, or do not merge them'
            )
        for table in (photos, decisions, aliases):
            own = _rows_of(change, table, gone.id)
            change.update(table, {number: {'individual_id': kept.id} for number in own})
        notes = '\n'.join(filter(None, (kept.notes, gone.notes)))
        change.update(individuals, {kept.id: {'sex': kept.sex or gone.sex, 'notes': notes}})
        change.delete(individuals, [gone.id])
        change.insert(aliases, [{'alias': gone.name, 'individual_id': kept.id}])
        return change.entry


def split(
    catalogue: Catalogue, author: Author, name: str, new_name: str, numbers: Sequence[int]
) -> int:
    """Move some photos of an individual to a new individual. Return the entry.

    Args:
        catalogue: The catalogue.
        author: Who does it.
        name: The individual.
        new_name: The name of the new individual.
        numbers: The numbers of the photos that show the new one.

    Raises:
        InputError: A photo is not of this individual, all its photos are given, or the new name
            exists.
    """
    chosen = sorted(set(numbers))
    action = f'split {counted(len(chosen), "photo")} of {name!r} off as {new_name!r}'
    with catalogue.writing(author, action) as change:
        individual = find_individual(change.connection, name)
        own_numbers = set(_rows_of(change, photos, individual.id))
        strange = [str(number) for number in chosen if number not in own_numbers]
        if strange or not chosen:
            raise InputError(
                f'photos {first_few(strange) or "(none)"} are not of {name!r}, whose photos are '
                f'{first_few(list(map(str, sorted(own_numbers))), 10)}'
            )
        if len(chosen) == len(own_numbers):
            raise InputError(
                f'these are all photos of {name!r}; keep at least one, or rename the individual'
            )
        record_answers(change, [Answer(number, 'new', new_name) for number in chosen])
        return change.entry


def remove_individual(
    catalogue: Catalogue, author: Author, name: str, with_photos: bool = False
) -> int:
    """Remove an individual; its photos stay, unidentified, or go with it. Return the entry.

    Raises:
        InputError: There is no such individual.
    """
    with catalogue.writing(author, f'remove {name!r}{" and its photos" * with_photos}') as change:
        individual = find_individual(change.connection, name)
        if with_photos:
            _delete_photos(change, _rows_of(change, photos, individual.id))
        for table in (photos, decisions):
            own = _rows_of(change, table, individual.id)
            change.update(table, {number: {'individual_id': None} for number in own})
        change.delete(aliases, _rows_of(change, aliases, individual.id))
        change.delete(individuals, [individual.id])
        return change.entry


def _rows_of(change: Transaction, table: sa.Table, individual: int) -> list[int]:
    """Return the ids of the rows that refer to an individual."""
    own = sa.select(table.c.id).where(table.c.individual_id == individual)
    return list(change.connection.execute(own).scalars())


def remove_photos(catalogue: Catalogue, author: Author, numbers: Sequence[int]) -> int:
    """Remove photos with their features and decisions; their files stay. Return the entry.

    Raises:
        InputError: A photo does not exist.
    """
    chosen = sorted(set(numbers))
    with catalogue.writing(author, f'remove {counted(len(chosen), "photo")}') as change:
        check_photos(change.connection, chosen)
        _delete_photos(change, chosen)
        return change.entry


def _delete_photos(change: Transaction, numbers: Sequence[int]) -> None:
    chosen = set(numbers)
    for table in (decisions, features):
        pairs = change.connection.execute(sa.select(table.c.id, table.c.photo_id))
        change.delete(table, [number for number, photo in pairs if photo in chosen])
    change.delete(photos, list(numbers))


def set_individual(
    catalogue: Catalogue, author: Author, name: str, values: Mapping[str, str], alias: str = ''
) -> int:
    """Change details of an individual. Return the entry.

    Args:
        catalogue: The catalogue.
        author: Who does it.
        name: The individual.
        values: 'sex' and 'notes', if they change.
        alias: Another name for it; '' = none.

    Raises:
        InputError: There is no such individual, the sex is not valid, or the alias exists.
    """
    if values.get('sex', '') not in SEXES:
        raise InputError(
            f'the sex {values["sex"]!r} must be one of {", ".join(filter(None, SEXES))}'
        )
    facts = [*values, *(['alias'] if alias else [])]
    with catalogue.writing(author, f'set {", ".join(facts)} of {name!r}') as change:
        individual = find_individual(change.connection, name)
        if values:
            change.update(individuals, {individual.id: dict(values)})
        if alias:
            check_free(change.connection, alias)
            change.insert(aliases, [{'alias': alias, 'individual_id': individual.id}])
        return change.entry


def set_photos(
    catalogue: Catalogue, author: Author, numbers: Sequence[int], values: Mapping[str, Any]
) -> int:
    """Change details of photos: side, camera, date, encounter, place. Return the entry.

    Raises:
        InputError: A photo does not exist.
    """
    chosen = dict.fromkeys(numbers, values)
    action = f'set {", ".join(values)} of {counted(len(chosen), "photo")}'
    with catalogue.writing(author, action) as change:
        check_photos(change.connection, numbers)
        change.update(photos, chosen)
        return change.entry


def undo(catalogue: Catalogue, author: Author, entry: int = 0) -> int:
    """Undo an entry of the journal. Return the number of the entry that was undone.

    Args:
        catalogue: The catalogue.
        author: Who does it.
        entry: The entry; 0 = the last one that is not undone. Undoing an undo restores the entry.

    Raises:
        InputError: There is no such entry, or later ones depend on it.
    """
    with catalogue.writing(author, 'undo') as change:
        chosen = entry_to_undo(change, entry)
        earlier = set(contradicted_photos(change.connection))
        undo_entry(change, chosen.id)
        contradicted = set(contradicted_photos(change.connection)) - earlier
        if contradicted:
            raise InputError(
                f'entry {chosen.id} cannot be undone: a later decision on photo '
                f'{min(contradicted)[0]} says the same; undo that first'
            )
        check_unique(change.connection)
    return int(chosen.id)
