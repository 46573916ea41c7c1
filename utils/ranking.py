"""The rank of each query's matches (its positives) in the gallery, and its average precision.

Ranks are counted in the sorted distances, without making a whole ranking. The order is stable: of
equal distances, the one with the lower gallery index comes first.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from utils.errors import InputError
from utils.relevance import RankingRules, Relevance

BLOCK = 2**20  # entries of the distance matrix that are processed at once: 4 MB of float32
RANKS = (1, 5, 10)  # of the published rank-k


class Ranking(NamedTuple):
    """The results of Q queries, as arrays (Q,).

    Attributes:
        ap: Average precision, 0 … 1; 0 without positives.
        first_hit: The rank of the first positive, from 1; 0 without positives.
        last_hit: The rank of the last positive, from 1; 0 without positives.
        positives: The number of positives.
        compared: The number of gallery photos that the query is compared with.
        counted: Whether the averages include the query.
    """

    ap: np.ndarray
    first_hit: np.ndarray
    last_hit: np.ndarray
    positives: np.ndarray
    compared: np.ndarray
    counted: np.ndarray

    def found_within(self, rank: int) -> np.ndarray:
        """Return whether a positive is among the first ``rank`` photos of each query: (Q,) bool."""
        return (self.first_hit > 0) & (self.first_hit <= rank)

    def published(self) -> dict[str, np.ndarray]:
        """Return the published metrics of each query: 'mAP', 'rank1', 'rank5', 'rank10' -> (Q,)."""
        return {'mAP': self.ap} | {f'rank{rank}': self.found_within(rank) for rank in RANKS}


def group_names(groups: Sequence[str] | np.ndarray) -> list[str]:
    """Return the groups of the queries in the order of their first query, without ''."""
    return [name for name in dict.fromkeys(np.asarray(groups).tolist()) if name]


def random_precision(positives: np.ndarray, compared: np.ndarray, kind: str) -> np.ndarray:
    """Return the expected average precision of a random ranking of each query.

    Of P positives among N photos, the one at rank k has on average (k - 1) (P - 1) / (N - 1)
    others before it, so the expectation is (H + (N - H) (P - 1) / (N - 1)) / N, where H = 1 + 1/2 +
    … + 1/N. The precision just before a positive is on average P / N.

    Args:
        positives: (Q,), P of each query.
        compared: (Q,), N of each query.
        kind: 'precision' or 'trapezoid', as in ``RankingRules.ap``.

    Returns:
        (Q,), 0 … 1; 0 without positives.
    """
    photos = np.maximum(compared, 1)
    harmonic = (1 / np.arange(1, photos.max(initial=1) + 1)).cumsum()[photos - 1]
    others = (positives - 1) / np.maximum(photos - 1, 1)
    expected = (harmonic + (photos - harmonic) * others) / photos
    if kind == 'trapezoid':
        expected = (expected + positives / photos) / 2
    return np.where(positives > 0, expected, 0.0)


def rank_positives(distance: npt.ArrayLike, relevance: Relevance, rules: RankingRules) -> Ranking:
    """Score the rankings of all queries, one block of rows at a time.

    Args:
        distance: (Q, G), finite, smaller is nearer.
        relevance: The pairs of the same identity.
        rules: How rankings are scored.

    Raises:
        ValueError: The distance has the wrong shape.
        InputError: A distance is not finite.
    """
    distance = np.asarray(distance)
    queries, gallery = len(relevance.size), len(relevance.by_pid)
    if distance.shape != (queries, gallery):
        raise ValueError(
            f'distance has shape {distance.shape}, but there are {queries} queries and {gallery} '
            'gallery photos'
        )
    if not np.isfinite([distance.min(), distance.max()]).all():
        raise InputError(
            'distances are not finite: the features contain NaN or infinity; check the weights'
        )
    average_precision = np.zeros(queries)
    first_hit, last_hit, positives, compared = np.zeros((4, queries), dtype=int)
    step = max(1, BLOCK // gallery)
    for start in range(0, queries, step):
        rows = slice(start, min(start + step, queries))
        ranked, row, column = masked_rows(distance, relevance, rows, rules.drop_nearest)
        position = _positions(ranked, row, column)
        row, position = np.divmod(np.sort(row * gallery + position), gallery)
        first = np.flatnonzero(np.diff(row, prepend=-1))  # the first of each query
        last = np.flatnonzero(np.diff(row, append=-1))
        first_hit[rows][row[first]] = position[first] + 1
        last_hit[rows][row[last]] = position[last] + 1
        compared[rows] = np.isfinite(ranked).sum(axis=1)
        positives[rows] = np.bincount(row, minlength=len(ranked))
        average_precision[rows] = _average_precision(row, position, positives[rows], rules.ap)
    counted = (positives > 0) | (rules.no_positive == 'zero')
    return Ranking(average_precision, first_hit, last_hit, positives, compared, counted)


def masked_rows(
    distance: np.ndarray, relevance: Relevance, rows: slice, drop_nearest: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Copy rows of the distances, with infinity for the photos that are dropped or ignored.

    Returns:
        The copy (q, G); the rows (M,) and the columns (M,) of the positives in it.
    """
    row, column, ignored, itself = relevance.pairs(rows)
    row = row - rows.start
    ranked = distance[rows].astype(np.result_type(distance, np.float32))
    ranked[:, relevance.unknown] = np.inf
    ranked[row[ignored], column[ignored]] = np.inf
    if drop_nearest:
        lines = np.arange(len(ranked))
        if relevance.never_itself:
            lines = np.setdiff1d(lines, row[itself])
        ranked[lines, distance[rows].argmin(axis=1)[lines]] = np.inf
    positive = ranked[row, column] < np.inf
    return ranked, row[positive], column[positive]


def _positions(ranked: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Find the position of some finite entries in the stable order of their rows.

    Args:
        ranked: (q, G) distances.
        row: (M,), sorted.
        column: (M,).

    Returns:
        (M,) positions from 0.
    """
    value = ranked[row, column]
    nearer, reached = np.empty(len(row), dtype=int), np.empty(len(row), dtype=int)
    for line, (start, stop) in zip(ranked, pairwise(row.searchsorted(np.arange(len(ranked) + 1)))):
        if start == stop:
            continue
        farthest = value[start:stop].max()  # larger distances do not matter
        line = np.sort(np.compress(line <= farthest, line))
        nearer[start:stop] = line.searchsorted(value[start:stop])
        reached[start:stop] = line.searchsorted(value[start:stop], 'right')
    for equal in np.flatnonzero(reached - nearer > 1):
        nearer[equal] += np.count_nonzero(ranked[row[equal], : column[equal]] == value[equal])
    return nearer


def _average_precision(
    row: np.ndarray, position: np.ndarray, positives: np.ndarray, kind: str
) -> np.ndarray:
    """Average precision of each ranking.

    'precision' is the mean, over the positives, of the precision at their rank, as in
    scikit-learn's average_precision_score. 'trapezoid' takes, at each positive, the mean of that
    precision and the one just before it (Philbin et al., "Object retrieval with large vocabularies
    and fast spatial matching", CVPR 2007).

    Args:
        row: (M,), sorted: the ranking of each positive.
        position: (M,), its position there from 0, sorted within the ranking.
        positives: (q,) number of positives of each ranking.
        kind: 'precision' or 'trapezoid'.

    Returns:
        (q,), 0 … 1; 0 without positives.
    """
    earlier = np.arange(len(row)) - (np.cumsum(positives) - positives)[row]  # positives before it
    precision = (earlier + 1) / (position + 1)
    if kind == 'trapezoid':
        just_before = np.where(position > 0, earlier / np.maximum(position, 1), 1.0)
        precision = (just_before + precision) / 2
    return np.bincount(row, weights=precision, minlength=len(positives)) / np.maximum(positives, 1)
