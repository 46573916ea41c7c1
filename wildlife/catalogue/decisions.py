"""Decisions: which individual a photo shows, and who says so."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from utils.errors import InputError
from wildlife.catalogue.journal import Author, Transaction
from wildlife.catalogue.names import check_free, check_photos, name_numbers
from wildlife.catalogue.queries import no_individual
from wildlife.catalogue.schema import ANSWERS, METHODS, decisions, individuals, photos
from wildlife.catalogue.store import Catalogue
from wildlife.words import counted


@dataclass(frozen=True)
class Answer:
    """A decision about a photo.

    Attributes:
        photo: The number of the photo.
        answer: 'known', 'new' (the individual is created), 'unsure' (nothing changes) or 'none'.
        name: The name of the individual; for 'known' an alias is enough.
        method: 'human' or 'machine'.
        probability: Of the answer, 0 … 1; None = unknown.
        note: Free text.
    """

    photo: int
    answer: str
    name: str = ''
    method: str = 'human'
    probability: float | None = None
    note: str = ''


def decide(catalogue: Catalogue, author: Author, answers: Sequence[Answer]) -> int:
    """Record decisions and give the photos their individuals; return the journal's entry.

    Several answers 'new' with the same name mean the same individual.

    Raises:
        InputError: A photo or a known name does not exist, or a new name exists already.
    """
    if not answers:
        raise InputError('no decisions given')
    for answer in answers:
        _check_answer(answer)
    with catalogue.writing(author, f'decide on {counted(len(answers), "photo")}') as change:
        check_photos(change.connection, [answer.photo for answer in answers])
        record_answers(change, answers)
        return change.entry


def _check_answer(answer: Answer) -> None:
    named = answer.answer in ('known', 'new')
    if answer.answer not in ANSWERS or answer.method not in METHODS or named != bool(answer.name):
        raise InputError(
            f'photo {answer.photo}: the decision {answer.answer!r} by {answer.method!r} with the '
            f'name {answer.name!r} is not valid; it must be one of {", ".join(ANSWERS)}, by '
            f'{" or ".join(METHODS)}, with a name for known and new only'
        )
    if answer.probability is not None and not 0 <= answer.probability <= 1:
        raise InputError(f'photo {answer.photo}: the probability must be between 0 and 1')


def record_answers(change: Transaction, answers: Sequence[Answer]) -> None:
    """Write decisions, create new individuals, and set the individuals of the photos.

    Raises:
        InputError: As :func:`decide`.
    """
    number_of = _numbers(change, answers)
    rows = [
        {
            'photo_id': answer.photo,
            'answer': answer.answer,
            'individual_id': number_of.get(answer.name),
            'said': answer.name,
            'method': answer.method,
            'probability': answer.probability,
            'note': answer.note,
            'by': change.author.by,
            'program': change.author.program,
            'at': change.at,
        }
        for answer in answers
    ]
    change.insert(decisions, rows)
    decided = {
        answer.photo: {'individual_id': number_of.get(answer.name)}
        for answer in answers
        if answer.answer != 'unsure'
    }
    change.update(photos, decided)


def _numbers(change: Transaction, answers: Sequence[Answer]) -> dict[str, int]:
    """Return the individual of each name; create those of the answers 'new'."""
    new = list(dict.fromkeys(answer.name for answer in answers if answer.answer == 'new'))
    known = name_numbers(change.connection)
    for name in new:
        check_free(change.connection, name, known=known)
    rows = [{'name': name, 'sex': '', 'notes': ''} for name in new]
    number_of = dict(zip(new, change.insert(individuals, rows), strict=True))
    known |= number_of
    for answer in answers:
        if answer.answer == 'known':
            if answer.name not in known:
                raise no_individual(answer.name, list(known))
            number_of[answer.name] = known[answer.name]
    return number_of


def contradicted_photos(opened: Connection) -> Iterator[tuple[int, int | None, int | None]]:
    """Yield (photo, its individual, individual of its last decision) where these differ."""
    query = sa.select(decisions.c.photo_id, decisions.c.individual_id)
    decided = query.where(decisions.c.answer != 'unsure').order_by(decisions.c.id)
    last = {photo: individual for photo, individual in opened.execute(decided)}
    for number, individual in opened.execute(sa.select(photos.c.id, photos.c.individual_id)):
        if last.get(number) != individual:
            yield number, individual, last.get(number)
