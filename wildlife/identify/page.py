"""The page of ``tools.identify``."""

import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
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

SHOWN = 200  # most units of each decision on a page
OWN = 3  # most photos of a unit
LABELS = 5  # most labels of a set
SIDE = 160  # pixels: largest width and height of a picture


@dataclass(frozen=True)
class Picture:
    """An animal on the page."""

    uri: str
    text: str


def html_page(result: Result, margin: float, catalogue: str = '', names: Iterable[str] = ()) -> str:
    """Return the page of a result, which needs no other files and no network.

    Args:
        result: The result.
        margin: The margin around boxes, as a share of the box.
        catalogue: The folder of the catalogue, for commands; '' = there is none.
        names: All names and aliases of the catalogue.
    """
    order = list(_shown(result.answers))
    pictures = _pictures(result, order, margin)
    commands = _commands(result, order, catalogue, free_names(names))
    return render(
        'identify.html',
        summary=summary_lines(result),
        words=result.words,
        skipped=skipped_lines(result.question),
        units=[_unit(result, number, pictures, commands) for number in order],
        groups=Counter(result.answers[number].decision for number in order),
        more=len(result.answers) - len(order),
        calibrated=result.rule is not None,
        encounters=any(photo.encounter for photo in result.question.photos),
        settings=result.settings,
        catalogue=catalogue and shlex.quote(catalogue),
        is_added=0 not in result.question.numbers,
    )


def _shown(answers: Sequence[UnitAnswer]) -> Iterator[int]:
    """Yield the units of a page: the first of each decision, so that many known ones hide none."""
    count: Counter[str] = Counter()
    for number in best_first(answers):
        count[answers[number].decision] += 1
        if count[answers[number].decision] <= SHOWN:
            yield number


def _unit(
    result: Result, number: int, pictures: dict[Any, str], commands: dict[int, str]
) -> dict[str, Any]:
    answer = result.answers[number]
    question = result.question
    shown = answer.photos[:OWN]
    return {
        'number': number + 1,
        'decision': answer.decision,
        'meaning': _meaning(answer),
        'note': result.note(answer),
        'new': answer.new,
        'set': set_text(answer, LABELS),
        'encounter': question.photos[shown[0]].encounter,
        'command': commands.get(number, ''),
        'photos': [
            Picture(pictures[_key(question.photos[place])], _name(question.photos[place]))
            for place in shown
        ],
        'more': len(answer.photos) - len(shown),
        'candidates': [_candidate(result, answer, each, pictures) for each in answer.candidates],
    }


def _commands(
    result: Result, order: Iterable[int], catalogue: str, free: Iterator[str]
) -> dict[int, str]:
    """Return the commands that record the answers, for photos that the catalogue has.

    For unsure answers they contain NAME, so that they are not copied without looking.
    """
    found = {}
    for number in order:
        answer = result.answers[number]
        numbers = [result.question.numbers[place] for place in answer.photos]
        if not catalogue or 0 in numbers:
            continue
        name, new = 'NAME', []
        if answer.decision == 'known':
            name = answer.candidates[0].name
        elif answer.decision == NEW:
            name, new = next(free), ['--new']
        words = ['decide', catalogue, name, '--photos', *map(str, numbers), *new]
        found[number] = f'python -m tools.catalogue {shlex.join(words)}'
    return found


def free_names(names: Iterable[str]) -> Iterator[str]:
    """Yield names for new animals: '238' after '237', or 'new1' if names are not numbers."""
    taken = set(names)
    numbers = [name for name in taken if re.fullmatch('[0-9]{1,9}', name)]
    width = max(map(len, numbers), default=0)
    start = max(map(int, numbers), default=0) + 1
    for number in count(start):
        name = f'{number:0{width}d}' if numbers else f'new{number}'
        if name not in taken:
            yield name


def _meaning(answer: UnitAnswer) -> str:
    """Return the decision in words; '' without a calibrator."""
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
