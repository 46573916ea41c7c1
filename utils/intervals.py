"""How certain the metrics of a test are: intervals by a bootstrap over individuals, and chance.

Photos of one animal resemble each other, so whole individuals are resampled, not photos (Efron and
Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13). The gallery stays as it is: an
interval says how the metric would vary with other query animals, not with another gallery.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.ranking import Ranking, group_names

LEAST_INDIVIDUALS = 10  # with fewer, percentiles of resampled individuals mean little
LEVEL = 0.95
Interval = tuple[float, float]


@dataclass(frozen=True)
class Average:
    """A weighted mean over queries, which can be resampled.

    Attributes:
        values: (Q,), the metric of each query.
        weights: (Q,), the weight of each query; 0 if it does not count.
    """

    values: np.ndarray
    weights: np.ndarray

    def mean(self) -> float:
        """Return the metric; NaN if no query counts."""
        total = self.weights.sum()
        return float(self.values @ self.weights / total) if total else float('nan')


Averages = dict[str, Average]


def macro(average: Average, identities: np.ndarray) -> Average:
    """Return the same metric as a mean over individuals, each the mean of its queries.

    Args:
        average: The metric as a mean over queries.
        identities: (Q,), the individual of each query.
    """
    _, index = np.unique(identities, return_inverse=True)
    of_individual = np.bincount(index, weights=average.weights)[index]
    weights = np.zeros(len(index))
    np.divide(average.weights, of_individual, where=of_individual > 0, out=weights)
    return Average(average.values, weights)


def draw_individuals(count: int, draws: int, seed: int) -> np.ndarray:
    """Return how often each individual is drawn: (draws, count) int64, rows sum to ``count``."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)


def resample(
    averages: Mapping[str, Average], identities: Sequence[int] | np.ndarray, draws: int, seed: int
) -> dict[str, np.ndarray]:
    """Resample the individuals; all metrics share the draws, so they can be combined.

    Individuals none of whose queries counts are never drawn.

    Args:
        averages: Name -> metric.
        identities: (Q,), the individual of each query.
        draws: The number of draws.
        seed: The seed of the draws.

    Returns:
        Name -> (draws,) values; NaN if a draw has no query that counts.
    """
    counted = np.any([average.weights > 0 for average in averages.values()], axis=0)
    names, index = np.unique(np.asarray(identities)[counted], return_inverse=True)
    times = draw_individuals(len(names), draws, seed).astype(float)
    resampled = {}
    for name, average in averages.items():
        values, weights = average.values[counted], average.weights[counted]
        totals = times @ np.bincount(index, weights=weights)
        sums = times @ np.bincount(index, weights=values * weights)
        undefined = np.full(draws, np.nan)
        resampled[name] = np.divide(sums, totals, where=totals > 0, out=undefined)
    return resampled


def interval(resampled: np.ndarray) -> Interval | None:
    """Return the 2.5th and 97.5th percentiles; None if no draw has a value."""
    known = resampled[np.isfinite(resampled)]
    if not len(known):
        return None
    low, high = np.percentile(known, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def above_chance(rank1: npt.ArrayLike, chance: npt.ArrayLike) -> np.ndarray:
    """Return rank-1 above a random ranking: 0 is chance, 1 is perfect (normalised gain, NGR).

    Args:
        rank1: Rank-1, 0 … 1.
        chance: The expected rank-1 of a random ranking, 0 … 1. If it is 1, the result is NaN.
    """
    rank1, room = np.asarray(rank1), 1 - np.asarray(chance)
    return np.divide(rank1 - 1 + room, room, where=room > 0, out=np.full(room.shape, np.nan))


def paired_p(differences: np.ndarray) -> float:
    """Return the two-sided p of bootstrap differences (draws,), from the share on each side of 0.

    The observed difference counts as one more draw, so p is never 0 (Davison and Hinkley,
    "Bootstrap Methods and their Application", 1997, ch. 4).
    """
    across = min((differences <= 0).sum(), (differences >= 0).sum())
    return float(min(1.0, 2 * (1 + across) / (len(differences) + 1)))


def query_averages(
    ranking: Ranking, identities: npt.ArrayLike, groups: Sequence[str] | np.ndarray
) -> Averages:
    """Return all metrics of a ranking as averages over its Q queries.

    Args:
        ranking: The results of the queries.
        identities: (Q,), the individual of each query.
        groups: (Q,), the group of each query, '' = none; each group gets the published metrics too.

    Returns:
        'mAP', 'rank1', 'rank5', 'rank10'; 'mINP', the mean of positives / rank of the last one (Ye
        et al., "Deep Learning for Person Re-identification", TPAMI 2021); 'chance', the rank-1 of a
        random ranking; 'macro/mAP' and 'macro/rank1', means over individuals; for each group
        'group/mAP' and so on.
    """
    identities, groups = np.asarray(identities), np.asarray(groups)
    counted = ranking.counted.astype(float)
    values = {name: value.astype(float) for name, value in ranking.published().items()}
    averages = {name: Average(value, counted) for name, value in values.items()}
    averages['mINP'] = Average(ranking.positives / np.maximum(ranking.last_hit, 1), counted)
    averages['chance'] = Average(ranking.positives / np.maximum(ranking.compared, 1), counted)
    for name in ('mAP', 'rank1'):
        averages[f'macro/{name}'] = macro(averages[name], identities)
    for group in group_names(groups):
        for name, value in values.items():
            averages[f'{group}/{name}'] = Average(value, counted * (groups == group))
    return averages


def with_combinations(
    metrics: Mapping[str, npt.ArrayLike], groups: Sequence[str]
) -> dict[str, np.ndarray]:
    """Add the metrics that are computed from several averages.

    Args:
        metrics: Name -> value, or values of all draws.
        groups: The names of the groups.

    Returns:
        The metrics with 'rank1_above_chance' and, if there are groups, their mean 'mmAP'.
    """
    found = {name: np.asarray(value) for name, value in metrics.items()}
    found['rank1_above_chance'] = above_chance(found['rank1'], found['chance'])
    if groups:
        found['mmAP'] = np.mean([found[f'{name}/mAP'] for name in groups], axis=0)
    return found


def measure(
    ranking: Ranking, identities: Sequence[int], groups: Sequence[str], draws: int, seed: int
) -> dict[str, Any]:
    """Return the metrics of a test with their intervals, for results.json.

    Args:
        ranking: The results of Q queries.
        identities: (Q,), the individual of each query.
        groups: (Q,), the group of each query, '' = none.
        draws: The number of draws of the bootstrap; 0 = no intervals.
        seed: The seed of the draws.

    Returns:
        'individuals', 'draws', 'seed', 'level'; 'values' and 'intervals' by metric: those of
        :func:`query_averages` and :func:`with_combinations`; a value that is undefined is None.
        'reason' says why there are no intervals; '' if there are.
    """
    averages, names = query_averages(ranking, identities, groups), group_names(groups)
    individuals = len(set(np.asarray(identities)[ranking.counted].tolist()))
    values = with_combinations({name: each.mean() for name, each in averages.items()}, names)
    reason = no_interval_reason(draws, individuals)
    intervals = {}
    if not reason:
        resampled = with_combinations(resample(averages, identities, draws, seed), names)
        intervals = {name: interval(each) for name, each in resampled.items()}
    return {
        'individuals': individuals,
        'draws': draws,
        'seed': seed,
        'level': LEVEL,
        'values': {n: float(v) if np.isfinite(v) else None for n, v in values.items()},
        'intervals': intervals,
        'reason': reason,
    }


def no_interval_reason(draws: int, individuals: int) -> str:
    """Say why there are no intervals, '' if there are."""
    if not draws:
        return 'TEST.BOOTSTRAP is 0'
    if individuals < LEAST_INDIVIDUALS:
        return (
            f'an interval needs at least {LEAST_INDIVIDUALS} query individuals, but the test has '
            f'{individuals}'
        )
    return ''
