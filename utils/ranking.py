"""Rankings of a gallery: where each query's positives stand in it, and its average precision.

Positions are counted in the sorted distances, so no whole ranking is made. Ranking is stable: of
equal distances the lower gallery index comes first.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from utils.errors import InputError
from utils.relevance import RankingRules, Relevance

BLOCK = 2**20  # entries of the distance matrix that are handled at a time: 4 MB of float32


class Ranking(NamedTuple):
    """The result of each query's ranking, arrays (Q,).

    ap: average precision, 0 … 1, 0 without positives.
    first_hit: rank of the first positive, from 1; 0 without positives.
    positives: number of positives.
    counted: whether the query counts in the averages.
    """

    ap: np.ndarray
    first_hit: np.ndarray
    positives: np.ndarray
    counted: np.ndarray


def rank_positives(distance: npt.ArrayLike, relevance: Relevance, rules: RankingRules) -> Ranking:
    """The rankings of all queries, a block of rows at a time.

    Args:
        distance: (Q, G), finite, smaller is nearer.
        relevance: the pairs of the same identity.
        rules: kind of average precision, what is dropped, whether queries without a positive count.

    Raises:
        ValueError: another shape than query and gallery have.
        InputError: a distance that is not finite.
    """
    distance = np.asarray(distance)
    queries, gallery = len(relevance.size), len(relevance.by_pid)
    if distance.shape != (queries, gallery):
        raise ValueError(
            f'the distance is {distance.shape}, but query and gallery are {queries} and {gallery}'
        )
    if not np.isfinite([distance.min(), distance.max()]).all():
        raise InputError(
            'the distances are not finite: the features hold NaN or infinity, check the weights'
        )
    average_precision = np.zeros(queries)
    first_hit, positives = np.zeros(queries, dtype=int), np.zeros(queries, dtype=int)
    step = max(1, BLOCK // gallery)
    for start in range(0, queries, step):
        rows = slice(start, min(start + step, queries))
        ranked, row, column = masked_rows(distance, relevance, rows, rules.drop_nearest)
        position = _positions(ranked, row, column)
        row, position = np.divmod(np.sort(row * gallery + position), gallery)
        first = np.flatnonzero(np.diff(row, prepend=-1))  # every query's best
        first_hit[rows][row[first]] = position[first] + 1
        positives[rows] = np.bincount(row, minlength=len(ranked))
        average_precision[rows] = _average_precision(row, position, positives[rows], rules.ap)
    counted = (positives > 0) | (rules.no_positive == 'zero')
    return Ranking(average_precision, first_hit, positives, counted)


def masked_rows(
    distance: np.ndarray, relevance: Relevance, rows: slice, drop_nearest: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Some rows of the distances without what a ranking leaves out.

    Returns:
        (q, G) distances, a copy with infinity for what is dropped or ignored; (M,) rows and (M,)
        columns of the positives in it.
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
    """Positions of finite entries in the stable order of their rows.

    Args:
        ranked: (q, G) distances.
        row: (M,), sorted.
        column: (M,).

    Returns:
        (M,), from 0.
    """
    value = ranked[row, column]
    nearer, reached = np.empty(len(row), dtype=int), np.empty(len(row), dtype=int)
    for line, (start, stop) in zip(ranked, pairwise(row.searchsorted(np.arange(len(ranked) + 1)))):
        if start == stop:
            continue
        farthest = value[start:stop].max()  # no position is asked for beyond it
        line = np.sort(np.compress(line <= farthest, line))
        nearer[start:stop] = line.searchsorted(value[start:stop])
        reached[start:stop] = line.searchsorted(value[start:stop], 'right')
    for equal in np.flatnonzero(reached - nearer > 1):
        nearer[equal] += np.count_nonzero(ranked[row[equal], : column[equal]] == value[equal])
    return nearer


def _average_precision(
    row: np.ndarray, position: np.ndarray, positives: np.ndarray, kind: str
) -> np.ndarray:
    """Average precision of rankings.

    'precision': mean over the positives of the precision at their rank, as scikit-learn's
    average_precision_score. 'trapezoid': of the mean of that and the precision just before (Philbin
    et al., "Object retrieval with large vocabularies and fast spatial matching", CVPR 2007).

    Args:
        row: (M,), sorted: the ranking of each positive.
        position: (M,), its place there, from 0, sorted within the ranking.
        positives: (q,), how many each ranking has.
        kind: 'precision' or 'trapezoid'.

    Returns:
        (q,), 0 … 1, 0 without positives.
    """
    earlier = np.arange(len(row)) - (np.cumsum(positives) - positives)[row]  # positives before it
    precision = (earlier + 1) / (position + 1)
    if kind == 'trapezoid':
        just_before = np.where(position > 0, earlier / np.maximum(position, 1), 1.0)
        precision = (just_before + precision) / 2
    return np.bincount(row, weights=precision, minlength=len(positives)) / np.maximum(positives, 1)
