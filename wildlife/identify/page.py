"""The page of ``tools.identify``."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from datasets.images import THREADS
from utils.errors import InputError
from utils.logger import progress
from wildlife.catalogue.new_photos import Boxed, CropReader
from wildlife.identify.answering import NEW, Candidate, UnitAnswer
from wildlife.identify.results import (
    Result,
    best_first,
    in_set,
    set_text,
    skipped_lines,
    summary_lines,
)
from wildlife.pages import render
from wildlife.thumbnails import data_uri

SHOWN = 200  # most units on a page
OWN = 3  # most photos of a unit
SIDE = 160  # pixels: largest width and height of a picture


@dataclass(frozen=True)
class Picture:
    """An animal on the page."""

    uri: str
    text: str


def html_page(result: Result, margin: float) -> str:
    """Return the page of a result, which needs no other files and no network.

    Args:
        result: The result.
        margin: The margin around boxes, as a share of the box.
    """
    order = best_first(result.answers)[:SHOWN]
    pictures = _pictures(result, order, margin)
    return render(
        'identify.html',
        summary=summary_lines(result),
        words=result.words,
        skipped=skipped_lines(result.question),
        units=[_unit(result, number, pictures) for number in order],
        more=len(result.answers) - len(order),
        calibrated=result.rule is not None,
        encounters=any(photo.encounter for photo in result.question.photos),
        settings=result.settings,
    )


def _unit(result: Result, number: int, pictures: dict[Any, str]) -> dict[str, Any]:
    answer = result.answers[number]
    question = result.question
    shown = answer.photos[:OWN]
    return {
        'number': number + 1,
        'decision': answer.decision,
        'meaning': _meaning(answer),
        'note': result.note(answer),
        'new': answer.new,
        'set': set_text(answer),
        'encounter': question.photos[shown[0]].encounter,
        'numbers': [question.numbers[place] for place in answer.photos if question.numbers[place]],
        'photos': [
            Picture(pictures[_key(question.photos[place])], _name(question.photos[place]))
            for place in shown
        ],
        'more': len(answer.photos) - len(shown),
        'candidates': [_candidate(result, answer, each, pictures) for each in answer.candidates],
    }


def _meaning(answer: UnitAnswer) -> str:
    """Return the decision in words, '' without a calibrator."""
    known = f'known: {answer.candidates[0].name}' if answer.candidates else ''
    return {'known': known, NEW: 'a new animal', 'unsure': 'unsure', '': ''}[answer.decision]


def _candidate(
    result: Result, answer: UnitAnswer, candidate: Candidate, pictures: dict[Any, str]
) -> dict[str, Any]:
    known = result.gallery.photos[candidate.matches[0].row]
    number = f'photo {known.id}, ' if known.id else ''
    return {
        'name': candidate.name,
        'similarity': candidate.similarity,
        'probability': candidate.probability,
        'in_set': in_set(answer, candidate),
        'picture': Picture(pictures[_key(known)], f'{number}{_name(known)}'),
    }


def _name(photo: Boxed) -> str:
    return os.path.basename(photo.path)


def _key(photo: Boxed) -> tuple[str, Any]:
    return photo.path, photo.box


def _pictures(result: Result, order: Iterable[int], margin: float) -> dict[Any, str]:
    """Return (path, box) -> data URI of every animal on the page, '' if it cannot be read."""
    photos: dict[Any, Boxed] = {}
    for number in order:
        answer = result.answers[number]
        own: list[Boxed] = [result.question.photos[place] for place in answer.photos[:OWN]]
        known = [result.gallery.photos[each.matches[0].row] for each in answer.candidates]
        photos |= {_key(photo): photo for photo in [*own, *known]}
    read = partial(_picture, margin=margin)
    with ThreadPoolExecutor(THREADS) as pool:  # Pillow releases the GIL
        made = progress(pool.map(read, photos.values()), 'thumbnails', total=len(photos))
        return dict(zip(photos, made, strict=True))


def _picture(photo: Boxed, margin: float) -> str:
    if not os.path.isfile(photo.path):
        return ''
    try:
        return data_uri(CropReader({'': photo}, margin)(''), SIDE)
    except InputError:
        return ''
