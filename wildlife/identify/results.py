"""Writes the answers of ``tools.identify``: two tables, JSON, and a page."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils import __version__
from utils.files import atomic_write, keep_earlier, write_csv, write_json, writing
from wildlife.catalogue.queries import box_text
from wildlife.identify.answering import NEW, Candidate, Rule, UnitAnswer
from wildlife.identify.asking import Question
from wildlife.identify.gallery import Gallery
from wildlife.words import counted

FORMAT = 1  # version of identify.json
DECISIONS = ('known', NEW, 'unsure')
DIGITS = 4
PHOTOS = (
    *('unit', 'photo', 'box', 'number', 'decision', 'individual', 'similarity', 'probability'),
    *('p_new', 'set', 'set_size', 'note'),
)
CANDIDATES = (
    *('unit', 'rank', 'individual', 'similarity', 'probability', 'in_set', 'photo'),
    *('known_photo', 'known_number'),
)


@dataclass(frozen=True)
class Result:
    """The photos and their answers.

    Attributes:
        question: The photos.
        gallery: The known individuals.
        answers: The answers, for units of photos.
        rule: How decisions were made; None = ranks and similarities alone.
        words: Sentences about the answers.
        settings: How photos were grouped and compared: name -> value.
    """

    question: Question
    gallery: Gallery
    answers: list[UnitAnswer]
    rule: Rule | None
    words: list[str]
    settings: dict[str, Any]

    def counts(self) -> dict[str, int]:
        """Return how many units got each decision; {} without a calibrator."""
        if self.rule is None:
            return {}
        found = Counter(answer.decision for answer in self.answers)
        return {decision: found[decision] for decision in DECISIONS}

    def note(self, answer: UnitAnswer) -> str:
        """Return remarks about a unit; '' = none."""
        notes = []
        names = sorted({self.question.names[place] for place in answer.photos} - {''})
        if names:
            notes.append(f'already in the catalogue as {", ".join(names)}')
        if not answer.compared:
            notes.append('no photo to compare with')
        return '; '.join(notes)


def write_result(folder: Path, result: Result, page: str) -> None:
    """Write all files; earlier ones are kept and numbered.

    Args:
        folder: The folder, made if it is missing.
        result: The result.
        page: The HTML page.

    Raises:
        InputError: The folder cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    names = ('identify.csv', 'candidates.csv', 'identify.json', 'identify.html')
    photos, candidates, table, html = (folder / name for name in names)
    for path in (photos, candidates, table, html):
        keep_earlier(path)
    write_csv(photos, PHOTOS, photo_rows(result))
    write_csv(candidates, CANDIDATES, _candidates(result))
    write_json(table, as_json(result), indent=None)
    with atomic_write(html) as stream:
        stream.write(page)


def photo_rows(result: Result) -> list[dict[str, Any]]:
    """Return one row per photo, for identify.csv."""
    question, rows = result.question, []
    for unit, answer in enumerate(result.answers, start=1):
        best = answer.candidates[0] if answer.candidates else None
        common = {
            'unit': unit,
            'decision': answer.decision,
            'individual': best.name if best else '',
            'similarity': _rounded(best.similarity) if best else None,
            'probability': _rounded(best.probability) if best else None,
            'p_new': _rounded(answer.new),
            'set': set_text(answer),
            'set_size': answer.size,
            'note': result.note(answer),
        }
        for place in answer.photos:
            photo = question.photos[place]
            own = {'photo': photo.path, 'box': box_text(photo.box)}
            rows.append(common | own | {'number': question.numbers[place] or None})
    return rows


def _candidates(result: Result) -> list[dict[str, Any]]:
    """Return one row per candidate, for candidates.csv."""
    rows = []
    for unit, answer in enumerate(result.answers, start=1):
        for rank, candidate in enumerate(answer.candidates, start=1):
            first = candidate.matches[0]
            known = result.gallery.photos[first.row]
            rows.append(
                {
                    'unit': unit,
                    'rank': rank,
                    'individual': candidate.name,
                    'similarity': _rounded(candidate.similarity),
                    'probability': _rounded(candidate.probability),
                    'in_set': in_set(answer, candidate),
                    'photo': result.question.photos[answer.photos[first.asked]].path,
                    'known_photo': known.path,
                    'known_number': known.id or None,
                }
            )
    return rows


def in_set(answer: UnitAnswer, candidate: Candidate) -> bool | None:
    """Return whether the set of an answer has a candidate; None without a calibrator."""
    return None if answer.size is None else candidate.name in answer.labels


def set_text(answer: UnitAnswer, most: int | None = None) -> str:
    """Return the first labels of the set of an answer, '' without a calibrator."""
    shown = answer.labels[:most]
    more = (answer.size or 0) - len(shown)
    return '; '.join([*shown, *([f'and {more} others'] if more else [])])


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def as_json(result: Result) -> dict[str, Any]:
    """Return the content of identify.json."""
    rule = result.rule
    question = result.question
    return {
        'format': FORMAT,
        'version': __version__,
        'individuals': len(result.gallery.names),
        'photos_of_individuals': int(result.gallery.counts.sum()),
        'source': question.source,
        'settings': result.settings,
        'calibrated': rule is not None,
        'limits': {'known': _rounded(rule.accept), 'new': _rounded(rule.reject)} if rule else None,
        'words': result.words,
        'counts': result.counts(),
        'units': [_unit_json(result, answer) for answer in result.answers],
        'skipped': [row._asdict() for row in question.left_out],
    }


def _unit_json(result: Result, answer: UnitAnswer) -> dict[str, Any]:
    photos = [result.question.photos[place] for place in answer.photos]
    numbers = [result.question.numbers[place] or None for place in answer.photos]
    return {
        'decision': answer.decision,
        'p_new': answer.new,
        'set': list(answer.labels),
        'set_size': answer.size,
        'note': result.note(answer),
        'encounter': photos[0].encounter,
        'photos': [
            {'path': photo.path, 'box': photo.box, 'number': number}
            for photo, number in zip(photos, numbers, strict=True)
        ],
        'candidates': [_candidate_json(result, answer, each) for each in answer.candidates],
    }


def _candidate_json(result: Result, answer: UnitAnswer, candidate: Candidate) -> dict[str, Any]:
    return {
        'individual': candidate.name,
        'similarity': candidate.similarity,
        'probability': candidate.probability,
        'matches': [
            {
                'similarity': match.similarity,
                'photo': answer.photos[match.asked],
                'known_number': result.gallery.photos[match.row].id or None,
                'known_photo': result.gallery.photos[match.row].path,
            }
            for match in candidate.matches
        ],
    }


def summary_lines(result: Result) -> list[str]:
    """Return lines that sum up the question and the answers."""
    question, gallery = result.question, result.gallery
    asked = f'{counted(len(question.photos), "animal")} of {question.source}'
    individuals = counted(len(gallery.names), 'individual')
    known = f'{counted(int(gallery.counts.sum()), "photo")} of {individuals}'
    units = counted(len(result.answers), 'unit')
    lines = [f'{asked} in {units}, compared with {known}.']
    counts = result.counts()
    if counts and result.rule:
        parts = [f'{count} {decision}' for decision, count in counts.items()]
        lines.append(
            f'At a stated rate of {100 * result.rule.rate:g} % of false matches: '
            f'{", ".join(parts)}.'
        )
    return lines


def recorded_line(catalogue: Path, count: int) -> str:
    """Return what --record has done, how to see what is left, and how to undo it."""
    done = f'{counted(count, "decision")} recorded'
    if not count:
        return done
    return (
        f'{done}. The same command without --record shows the photos that are left. To undo this: '
        f'python -m tools.catalogue undo {shlex.quote(str(catalogue))}'
    )


def skipped_lines(question: Question) -> list[str]:
    """Return how many photos were skipped, one line per reason."""
    reasons = Counter(row.reason for row in question.left_out)
    return [f'skipped: {count} x {reason}' for reason, count in reasons.most_common()]


def best_first(answers: Sequence[UnitAnswer]) -> list[int]:
    """Return the order of a page: known, new, unsure, each from the most probable."""

    def rank(number: int) -> tuple[int, float]:
        answer = answers[number]
        group = DECISIONS.index(answer.decision) if answer.decision else 0
        if not answer.candidates:
            return len(DECISIONS), 0.0
        best = answer.candidates[0]
        if answer.decision == NEW:
            return group, -(answer.new or 0.0)
        return group, -(best.similarity if best.probability is None else best.probability)

    return sorted(range(len(answers)), key=rank)
