"""Similarities of queries to the individuals of a catalogue, and the best individual of each query.

A query is a photo, or an encounter with the mean similarity of its photos (encounters.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter

import numpy as np

from datasets.loaders import Trial
from datasets.protocols import Protocol
from datasets.records import NOBODY
from utils.ranking import BLOCK, masked_rows
from utils.relevance import relevance_of

OF_QUERIES = ('scores', 'individuals', 'queries', 'sizes')  # fields with a row for each query
REMOVED = -np.inf  # similarity to an individual that a query is not compared with


@dataclass(frozen=True)
class Similarities:
    """Q queries and the N individuals of a catalogue.

    Attributes:
        scores: (Q, N) float32, the similarity of a query to the most similar photo of an
            individual; REMOVED if it is compared with none of them.
        labels: (N,) int, the individuals of the catalogue.
        photos: (N,) int, the number of photos of each in the catalogue. It includes the photos that
            a query is not compared with; without them it would reveal the correct individual.
        individuals: (Q,) int, the individual that each query shows.
        queries: (Q,) int, the number of each query (its first photo) in the list it comes from.
        sizes: (Q,) int, the number of photos of each query.
    """

    scores: np.ndarray
    labels: np.ndarray
    photos: np.ndarray
    individuals: np.ndarray
    queries: np.ndarray
    sizes: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        """(Q, N) bool, which individual is the one of the query."""
        return np.equal.outer(self.individuals, self.labels)

    @property
    def known(self) -> np.ndarray:
        """(Q,) bool, whether the query is compared with photos of its own individual."""
        return np.any(self.truth & (self.scores > REMOVED), axis=1)

    def take(self, rows: np.ndarray) -> 'Similarities':
        """Return some of the queries, by index or mask."""
        columns = {name: getattr(self, name)[rows] for name in OF_QUERIES}
        return replace(self, **columns)

    def compared(self, pairs: np.ndarray) -> 'Similarities':
        """Return the same queries, compared only with the pairs (Q, N) bool that are True."""
        scores = np.where(pairs, self.scores, np.float32(REMOVED))
        return replace(self, scores=scores)

    def as_new(self) -> 'Similarities':
        """Return the same queries as if the catalogue did not have their individuals."""
        return self.compared(~self.truth)


@dataclass(frozen=True)
class Answers:
    """The best individual for each of Q queries.

    Attributes:
        individuals: (Q,) int, the individual that the query shows.
        known: (Q,) bool, whether the catalogue has it.
        rank: (Q,) int, its rank among the individuals, from 1; 0 if it is not there.
        best: (Q,) int, the label of the best individual.
        score: (Q,) float, its similarity.
        gap: (Q,) float, score minus the similarity of the second best individual; 0 without one.
        photos: (Q,) int, its number of photos.
        catalogue: (Q,) int, the number of individuals that the query is compared with.
        size: (Q,) int, the number of photos of the query.
    """

    individuals: np.ndarray
    known: np.ndarray
    rank: np.ndarray
    best: np.ndarray
    score: np.ndarray
    gap: np.ndarray
    photos: np.ndarray
    catalogue: np.ndarray
    size: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """(Q,) bool, whether the best individual is the right one."""
        return self.rank == 1

    def take(self, rows: np.ndarray) -> 'Answers':
        """Return some of the answers, by index or mask."""
        return Answers(*(getattr(self, field.name)[rows] for field in fields(self)))


def similarities(distance: np.ndarray, trial: Trial, protocol: Protocol) -> Similarities:
    """Reduce the distances of photos to similarities of individuals, under a protocol.

    Distractors, which show none of the individuals, are skipped.

    Args:
        distance: (Q, G), smaller is nearer; the similarity is 1 - distance.
        trial: The queries and the gallery, which is the catalogue.
        protocol: Which gallery photos a query is not compared with.
    """
    pids = np.array([record.pid for record in trial.gallery])
    order = np.argsort(pids, kind='stable')
    labels, first, photos = np.unique(pids[order], return_index=True, return_counts=True)
    relevance = relevance_of(trial.query, trial.gallery, protocol)
    scores = np.empty((len(trial.query), len(labels)), dtype=np.float32)
    step = max(1, BLOCK // len(pids))
    for start in range(0, len(scores), step):
        rows = slice(start, min(start + step, len(scores)))
        ranked = masked_rows(distance, relevance, rows, protocol.drop_nearest)[0][:, order]
        scores[rows] = 1 - np.minimum.reduceat(ranked, first, axis=1)
    kept = labels != NOBODY
    individuals = np.array([record.pid for record in trial.query])
    columns = (individuals, np.arange(len(individuals)), np.ones(len(individuals), int))
    return Similarities(scores[:, kept], labels[kept], photos[kept], *columns)


def without_unclear(table: Similarities) -> Similarities:
    """Return the queries that are known or new.

    A query is neither if the catalogue has its individual, but only photos that it is not compared
    with, such as those of its own encounter. Nor is one that is compared with nothing.
    """
    unclear = table.truth.any(axis=1) & ~table.known
    return table.take(~unclear & (table.scores > REMOVED).any(axis=1))


def joined(tables: Sequence[Similarities]) -> Similarities:
    """Join the queries of tables of the same catalogue."""
    columns = {name: np.concatenate([*map(attrgetter(name), tables)]) for name in OF_QUERIES}
    return replace(tables[0], **columns)


def best_answers(table: Similarities) -> Answers:
    """Return the best individual of each query, which is compared with one or more.

    Of equal scores, the individual with the lower label comes first.
    """
    rows, scores = np.arange(len(table.scores)), table.scores
    column = scores.argmax(axis=1)
    score = scores[rows, column].astype(float)
    others = scores.copy()
    others[rows, column] = REMOVED
    second = others.max(axis=1, initial=REMOVED)
    gap = np.where(second > REMOVED, score - second, 0.0)
    own = np.where(table.truth, scores, np.float32(REMOVED)).max(axis=1, initial=REMOVED)
    better = (scores > own[:, None]).sum(axis=1)
    equal = ((scores == own[:, None]) & (table.labels < table.individuals[:, None])).sum(axis=1)
    known = table.known
    return Answers(
        individuals=table.individuals,
        known=known,
        rank=np.where(known, 1 + better + equal, 0),
        best=table.labels[column],
        score=score,
        gap=gap,
        photos=table.photos[column],
        catalogue=(scores > REMOVED).sum(axis=1),
        size=table.sizes,
    )
