"""Open-set measures with their intervals over individuals, and their values without skill."""

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from utils.intervals import LEAST_INDIVIDUALS, LEVEL, draw_individuals, interval, resample
from utils.open_sets import (
    RATES,
    ROUNDING,
    OpenSet,
    balanced,
    dir_name,
    geometric,
    open_set_values,
    steps,
    threshold_measures,
)

BLOCK = 2**21  # numbers at once while individuals are resampled: 16 MB


def resampled_measures(
    queries: OpenSet, draws: int, seed: int, rates: Sequence[float] = RATES
) -> dict[str, np.ndarray]:
    """Return every measure for draws of the query individuals, with replacement: name -> (draws,).

    Pairs of a known and an unknown query have the product of their weights, as two individuals are
    drawn independently.
    """
    blocks = _weights(queries, draws, seed)
    parts = [threshold_measures(steps(queries, block), rates) for block in blocks]
    drawn = {name: np.concatenate([*map(itemgetter(name), parts)]) for name in parts[0]}
    means = resample(balanced(queries), queries.individuals, draws, seed)
    return drawn | means | {'sqrt': geometric(means)}


def _weights(queries: OpenSet, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the weights (b, Q) of the queries, for blocks of the draws."""
    names, index = np.unique(queries.individuals, return_inverse=True)
    times = draw_individuals(len(names), draws, seed).astype(float)
    step = max(1, BLOCK // len(index))
    for start in range(0, draws, step):
        yield times[start : start + step][:, index]


def no_skill(queries: OpenSet, rates: Sequence[float] = RATES) -> dict[str, float]:
    """Return what the same rankings would reach if a coin decided which animals are new.

    The score is then random, and half of the queries are answered "new". Of a known query, a random
    score is above all but m of the U unknown ones with the probability (m + 1) / (U + 1).
    """
    found = open_set_values(queries, rates)
    always = OpenSet(**{**vars(queries), 'accepted': np.ones(len(queries.known), bool)})
    baks, baus = balanced(always)['BAKS'].mean() / 2, 0.5
    values = {'rank1': float('nan'), 'AUROC': 0.5, 'OSCR': found['rank1'] / 2}
    unknown = int((~queries.known).sum())
    for rate in rates:
        passed = np.floor(rate * unknown + ROUNDING)
        values[dir_name(rate)] = found['rank1'] * (passed + 1) / (unknown + 1)
    return values | {'BAKS': baks, 'BAUS': baus, 'sqrt': float(np.sqrt(baks * baus))}


def measure_open_set(
    queries: OpenSet, draws: int, seed: int, rates: Sequence[float] = RATES
) -> dict[str, Any]:
    """Return every measure with its interval and its no-skill figure, for open_set.json.

    Args:
        queries: The answers.
        draws: The number of draws of the bootstrap over individuals; 0 = no intervals.
        seed: The seed of the draws.
        rates: The rates of false matches of DIR@FAR.

    Returns:
        'counts', 'draws', 'seed', 'level'; 'values', 'no_skill' and 'intervals' by measure: 'rank1'
        (of K), 'AUROC', 'OSCR' (area), 'DIR@…', 'BAKS', 'BAUS', 'sqrt'; None = not defined.
        'reason' says why there are no intervals; '' if there are.
    """
    sizes = counts(queries)
    values, without = open_set_values(queries, rates), no_skill(queries, rates)
    reason = no_interval_reason(sizes, draws)
    shown = {name for name, value in values.items() if np.isfinite(value)}
    intervals = {}
    if not reason:
        drawn = resampled_measures(queries, draws, seed, rates)
        intervals = {name: interval(drawn[name]) for name in values if name in shown}
    return {
        'counts': sizes,
        'draws': draws,
        'seed': seed,
        'level': LEVEL,
        'values': {name: defined(value) for name, value in values.items()},
        'no_skill': {
            name: defined(value) if name in shown else None for name, value in without.items()
        },
        'intervals': intervals,
        'reason': reason,
    }


def defined(value: float) -> float | None:
    """Return a number for JSON; None for NaN."""
    return float(value) if np.isfinite(value) else None


def counts(queries: OpenSet) -> dict[str, int]:
    """Return the numbers of queries and of individuals on both sides."""
    sizes = {}
    for name, side in (('known', queries.known), ('unknown', ~queries.known)):
        sizes[f'{name}_queries'] = int(side.sum())
        sizes[f'{name}_individuals'] = len(np.unique(queries.individuals[side]))
    return sizes


def no_interval_reason(sizes: Mapping[str, int], draws: int) -> str:
    """Say why there are no intervals, '' if there are.

    Args:
        sizes: From :func:`counts`.
        draws: The number of draws.
    """
    if not draws:
        return 'TEST.BOOTSTRAP is 0'
    both = sizes['known_individuals'], sizes['unknown_individuals']
    if min(both) < LEAST_INDIVIDUALS:
        return (
            f'an interval needs at least {LEAST_INDIVIDUALS} known and {LEAST_INDIVIDUALS} new '
            f'individuals, but there are {both[0]} and {both[1]}'
        )
    return ''
