"""Identifies photos with a catalogue, and writes the files."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from utils.errors import InputError
from utils.files import make_output_dir
from wildlife.catalogue.decisions import Answer, decide
from wildlife.catalogue.encode import PhotoEncoder
from wildlife.catalogue.journal import Author
from wildlife.catalogue.new_photos import NewPhotos
from wildlife.catalogue.store import Catalogue, Features
from wildlife.identify.answering import Answerer, Rule
from wildlife.identify.asking import Question, new_question, unidentified
from wildlife.identify.gallery import Gallery, gallery_of
from wildlife.identify.kept import kept_calibrator, rule_of, trust_lines
from wildlife.identify.page import html_page
from wildlife.identify.results import Result, write_result
from wildlife.identify.units import units_of

YEAR = 525_600  # minutes


@dataclass(frozen=True)
class Options:
    """How photos are identified.

    Attributes:
        out: The folder for the results.
        rate: The rate of false matches; None = a usual one, see ``kept.rule_of``.
        top: The number of individuals listed per unit.
        units: Which photos are answered together; see ``units.units_of``.
        minutes: The shortest break between two bursts.
        sides: 'separate' = compare only photos of the same side; 'together' = all.
        record: Whether decisions will be recorded, which needs photos of the catalogue.

    Raises:
        InputError: The minutes are not a number, negative or more than a year.
    """

    out: Path
    rate: float | None = None
    top: int = 5
    units: str = 'burst'
    minutes: float = 1.0
    sides: str = 'together'
    record: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.minutes <= YEAR:
            raise InputError(f'--burst-minutes {self.minutes:g} must be from 0 to {YEAR} (a year)')


@dataclass(frozen=True)
class Known:
    """What photos are compared with.

    Attributes:
        gallery: The known individuals.
        rule: How decisions are made; None = ranks and similarities alone.
        words: Sentences about the answers.
        margin: The margin around boxes, as a share of the box.
        catalogue: The folder of the catalogue; '' = there is none.
        names: All names and aliases of the catalogue, which a new animal cannot get.
    """

    gallery: Gallery
    rule: Rule | None
    words: list[str]
    margin: float
    catalogue: str = ''
    names: frozenset[str] = frozenset()


def identify(
    catalogue: Catalogue,
    new: NewPhotos | None,
    make_encoder: Callable[[], PhotoEncoder],
    options: Options,
) -> Result:
    """Answer which individuals photos show, and write all files.

    Args:
        catalogue: The catalogue.
        new: The photos; None = those of the catalogue that have no individual.
        make_encoder: Returns the model in use; called if a photo has no features yet.
        options: How they are identified.

    Raises:
        InputError: The catalogue has no individual with features, a photo cannot be read, or the
            calibration does not allow the rate; decisions cannot be recorded. No answer is
            written.
    """
    features = catalogue.features()
    gallery = gallery_of(features)
    if not gallery.names:
        raise InputError(
            f'catalogue {catalogue.folder}: no photo with features is identified, so there is '
            'nothing to compare with; name individuals: python -m tools.catalogue decide'
        )
    rule, words = _rule(catalogue, gallery, options)
    if options.record:
        make_encoder = reject_photos
    folder = make_output_dir(options.out)
    names = frozenset(chain(*((each.name, *each.aliases) for each in catalogue.individuals())))
    known = Known(gallery, rule, words, catalogue.margin(), str(catalogue.folder), names)
    with _question(catalogue, features, new, make_encoder, folder) as question:
        return answer_question(question, known, options)


def answer_question(question: Question, known: Known, options: Options) -> Result:
    """Answer which individuals photos show, and write all files; earlier ones are kept.

    Args:
        question: The photos.
        known: What they are compared with.
        options: How they are identified.

    Raises:
        InputError: The folder cannot be written.
    """
    units = units_of(question.photos, options.units, options.minutes)
    answerer = Answerer(known.gallery, known.rule, options.top)
    asked = question.asked(known.gallery, options.sides == 'separate')
    answers = list(answerer(asked, units))
    settings = {'units': options.units, 'sides': options.sides, 'rate': options.rate}
    words = list(known.words)
    if known.rule:
        settings['rate'] = known.rule.rate
        words += encounter_words(question, known.gallery)
    result = Result(question, known.gallery, answers, known.rule, words, settings)
    page = html_page(result, known.margin, known.catalogue, known.names)
    write_result(options.out, result, page)
    return result


def _rule(
    catalogue: Catalogue, gallery: Gallery, options: Options
) -> tuple[Rule | None, list[str]]:
    """Return how decisions are made, and sentences about it."""
    calibrator, reason = kept_calibrator(catalogue)
    if calibrator:
        words = trust_lines(calibrator, len(gallery.names), options.sides)
        return rule_of(calibrator, options.rate), words
    if options.record:
        raise InputError(f'--record needs decisions. {reason}')
    return None, [reason]


def reject_photos() -> PhotoEncoder:
    """Stand in for the model where decisions will be recorded: photos must have features.

    Raises:
        InputError: Always.
    """
    raise InputError(
        '--record needs photos that are in the catalogue, with features; add them (python -m '
        'tools.catalogue add), then identify without PHOTOS'
    )


def _question(
    catalogue: Catalogue,
    features: Features,
    new: NewPhotos | None,
    make_encoder: Callable[[], PhotoEncoder],
    folder: Path,
) -> contextlib.AbstractContextManager[Question]:
    if new is None:
        return contextlib.nullcontext(unidentified(catalogue, features))
    return new_question(catalogue, features, new, make_encoder, folder)


def encounter_words(question: Question, gallery: Gallery) -> list[str]:
    """Return a warning if photos have no encounter: they may match photos taken seconds apart."""
    asked = sum(not photo.encounter for photo in question.photos)
    known = sum(not photo.encounter for photo in gallery.photos.values())
    if not asked and not known:
        return []
    return [
        f'{asked} of the photos to identify and {known} of those in the catalogue have no '
        'encounter. If some of them show the same encounter, their probabilities are too high: '
        'give dates and cameras, or --name-pattern.'
    ]


def record(catalogue: Catalogue, author: Author, result: Result) -> int:
    """Record the decisions in the catalogue, as one entry of the journal; return their number.

    'known' gives a photo its individual. 'new' and 'unsure' are only noted, since a new animal
    needs a name that a person chooses. Identified photos keep their individual.

    Args:
        catalogue: The catalogue.
        author: Who records them.
        result: A result that was asked for with ``Options.record``.
    """
    answers = []
    for unit in result.answers:
        is_known = unit.decision == 'known'
        best = unit.candidates[0] if unit.candidates else None
        for place in unit.photos:
            if result.question.names[place]:  # somebody has decided already
                continue
            answers.append(
                Answer(
                    result.question.numbers[place],
                    'known' if is_known else 'unsure',
                    best.name if best and is_known else '',
                    'machine',
                    best.probability if best and is_known else unit.new,
                    '' if is_known else f'{unit.decision}, P(new) {unit.new or 0:.3f}',
                )
            )
    if answers:
        decide(catalogue, author, answers)
    return len(answers)
