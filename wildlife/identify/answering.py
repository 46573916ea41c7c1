"""Answers for units of photos: ranked individuals, their probabilities, and a decision."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from datasets.records import NOBODY
from utils.logger import progress
from wildlife.identify.answers import REMOVED, Similarities
from wildlife.identify.calibration import Calibrator, decide
from wildlife.identify.gallery import Gallery
from wildlife.identify.search import PHOTOS, Asked, Match, best_matches, individual_scores
from wildlife.identify.units import unit_means

NEW = 'new'
LISTED = 20  # labels of a set that are named; more if there are more candidates


@dataclass(frozen=True)
class Rule:
    """How similarities become probabilities and decisions.

    Attributes:
        calibrator: The calibrator.
        rate: The stated rate of false matches.
        accept: 'known' above this P(best); see ``calibration.decide``.
        reject: Else 'new' above this P(new).
    """

    calibrator: Calibrator
    rate: float
    accept: float
    reject: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """An individual that a unit may show.

    Attributes:
        name: Its name.
        similarity: The mean over the photos of the unit, of each to its most similar photo.
        probability: P(the unit shows it); None without a calibrator.
        matches: Its photos that are most like those of the unit, best first.
    """

    name: str
    similarity: float
    probability: float | None
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class UnitAnswer:
    """The answer for photos that show one animal.

    Attributes:
        photos: Which photos, by index.
        compared: How many of them are compared with any photo.
        candidates: The best individuals, the most similar first.
        new: P(new); None without a calibrator.
        decision: 'known' (the first candidate), 'new' or 'unsure'; '' without a calibrator.
        labels: The 95 % set, the most probable first: individuals, and ``NEW``. Of a large set only
            the first, but always those that are candidates.
        size: The size of the whole set; None without a calibrator.
    """

    photos: tuple[int, ...]
    compared: int
    candidates: tuple[Candidate, ...]
    new: float | None
    decision: str
    labels: tuple[str, ...] = ()
    size: int | None = None


@dataclass(frozen=True)
class Answerer:
    """Answers for units of photos.

    Attributes:
        gallery: The known individuals.
        rule: How decisions are made; None = ranks and similarities alone.
        top: The largest number of candidates of a unit.
        shown: The largest number of photos of a candidate.
    """

    gallery: Gallery
    rule: Rule | None
    top: int = 5
    shown: int = 3

    def __call__(self, asked: Asked, units: Sequence[Sequence[int]]) -> Iterator[UnitAnswer]:
        """Yield the answer for each unit, given as indices of photos; this shows a progress bar."""
        with progress(None, 'photos', total=sum(map(len, units))) as bar:
            for some in _batches(units):
                yield from self._batch(asked, some)
                bar.update(sum(map(len, some)))

    def _batch(self, asked: Asked, units: Sequence[Sequence[int]]) -> Iterator[UnitAnswer]:
        scores = individual_scores(self.gallery, asked.take(list(chain(*units))))
        means, compared = unit_means(scores, [len(unit) for unit in units])
        probabilities = self._probabilities(means, compared)
        decisions = self._decisions(probabilities, len(units))
        for row, unit in enumerate(units):
            p = None if probabilities is None or not compared[row] else probabilities[row]
            labels = () if p is None else self._labels(p, means[row])
            yield UnitAnswer(
                photos=tuple(unit),
                compared=int(compared[row]),
                candidates=tuple(self._candidates(asked.take(unit), means[row], p)),
                new=None if p is None else float(p[-1]),
                decision=decisions[row],
                labels=labels[: max(LISTED, self.top + 1)],
                size=None if p is None else len(labels),
            )

    def _probabilities(self, means: np.ndarray, compared: np.ndarray) -> np.ndarray | None:
        """Return P of each individual and of "new" (U, N + 1), 0 for units that are not compared.

        Args:
            means: (U, N), the similarity of units to individuals.
            compared: (U,), the number of photos of each that are compared.
        """
        if self.rule is None:
            return None
        found = np.zeros((len(means), len(self.gallery.names) + 1))
        rows = compared > 0
        count = int(rows.sum())
        if count:
            columns = (np.full(count, NOBODY), np.arange(count), compared[rows])
            labels = np.arange(len(self.gallery.names))
            table = Similarities(means[rows], labels, self.gallery.counts, *columns)
            found[rows] = self.rule.calibrator.label_probabilities(table)
        return found

    def _decisions(self, probabilities: np.ndarray | None, count: int) -> list[str]:
        if self.rule is None or probabilities is None:
            return [''] * count
        best, new = probabilities[:, :-1].max(axis=1), probabilities[:, -1]
        return decide(best, new, self.rule.accept, self.rule.reject).tolist()

    def _candidates(
        self, unit: Asked, similarity: np.ndarray, probabilities: np.ndarray | None
    ) -> Iterator[Candidate]:
        """Yield the best individuals of a unit; of equal ones the first by name."""
        for individual in np.argsort(-similarity, kind='stable')[: self.top].tolist():
            if similarity[individual] == REMOVED:
                return
            yield Candidate(
                name=self.gallery.names[individual],
                similarity=float(similarity[individual]),
                probability=None if probabilities is None else float(probabilities[individual]),
                matches=tuple(best_matches(self.gallery, unit, individual, self.shown)),
            )

    def _labels(self, probabilities: np.ndarray, similarity: np.ndarray) -> tuple[str, ...]:
        """Return the labels (at least one) of the 95 % set; of equals the most similar first."""
        assert self.rule is not None
        inside = self.rule.calibrator.sets(probabilities[None])[0]
        inside[probabilities.argmax()] = True  # an empty set is of no use
        order = np.lexsort((-np.append(similarity, REMOVED), -probabilities))
        names = [*self.gallery.names, NEW]
        return tuple(names[label] for label in order.tolist() if inside[label])


def _batches(units: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
    """Yield units, about ``PHOTOS`` photos at once."""
    some: list[Sequence[int]] = []
    for unit in units:
        if some and sum(map(len, some)) + len(unit) > PHOTOS:
            yield some
            some = []
        some.append(unit)
    if some:
        yield some
