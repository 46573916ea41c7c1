"""Runs that differ only in their seed: mean and spread, intervals, and paired differences.

Two kinds of chance are kept apart. The spread over seeds says how much training varies on the same
photos. An interval over individuals says how much a metric would vary with other query animals.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from processor.results import SEED, SHOWN
from utils.errors import InputError
from utils.intervals import (
    LEAST_INDIVIDUALS,
    LEVEL,
    Interval,
    interval,
    no_interval_reason,
    paired_p,
    query_averages,
    resample,
    with_combinations,
)
from utils.ranking import group_names
from wildlife.report.comparable import check_comparable, settings, test_identity
from wildlife.report.results import TestResult
from wildlife.report.student import bound_of_share, share_within

DRAWS = 1000  # of the bootstrap over individuals


@dataclass(frozen=True)
class SeedGroup:
    """Results of the same photos, protocol and settings, each of another seed.

    Attributes:
        results: One result or more, in the order of their seeds.
    """

    results: tuple[TestResult, ...]

    @property
    def first(self) -> TestResult:
        """The result with the lowest seed; all have its photos, protocol and settings."""
        return self.results[0]

    @property
    def seeds(self) -> list[int]:
        """The value of SOLVER.SEED of each result."""
        return [seed_of(result) for result in self.results]

    def values(self, metric: str) -> np.ndarray:
        """Return a metric of each result, (S,); NaN where it is undefined."""
        return np.array([metric_of(result, metric) for result in self.results])

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over the seeds; NaN if it is undefined."""
        return float(self.values(metric).mean())

    def sd(self, metric: str) -> float:
        """Return the standard deviation over the seeds (divisor S - 1); NaN for one seed."""
        values = self.values(metric)
        return float(values.std(ddof=1)) if len(values) > 1 else float('nan')

    @property
    def no_interval_reason(self) -> str:
        """Why there are no :meth:`intervals`, '' if there are."""
        own = self.first.measures['reason']
        return own if len(self.results) == 1 else why_no_interval(self.first)

    def intervals(self) -> dict[str, Interval | None]:
        """Return metric -> 95 % interval over individuals of its mean over the seeds.

        A single result has its own intervals. Empty if :attr:`no_interval_reason` says why there
        are none.
        """
        if self.no_interval_reason:
            return {}
        if len(self.results) == 1:
            return self.first.measures['intervals']
        return {name: interval(each) for name, each in mean_draws(self).items()}


@dataclass(frozen=True)
class Difference:
    """The difference B - A of a metric.

    Attributes:
        a: The metric of A, a mean over its seeds.
        b: The metric of B, a mean over its seeds.
        interval: The 95 % interval of the difference; None if it is undefined.
        p: Two-sided, 0 … 1: how easily chance alone gives such a difference.
    """

    a: float
    b: float
    interval: Interval | None
    p: float

    @property
    def difference(self) -> float:
        """B - A."""
        return self.b - self.a


def seed_of(result: TestResult) -> int:
    """Return SOLVER.SEED of a result."""
    return result.config['SOLVER.SEED']


def metric_of(result: TestResult, metric: str) -> float:
    """Return a metric of a result as a fraction; NaN if it is unknown or undefined."""
    value = result.metrics.get(metric)
    return float('nan') if value is None else float(value)


def settings_key(result: TestResult) -> str:
    """Return a text that is equal for results that differ only in their seed."""
    same = [test_identity(result), settings(result), result.facts['re_ranking']]
    return json.dumps([*same, result.checkpoint_name], sort_keys=True)


def group_by_seed(results: Sequence[TestResult]) -> list[SeedGroup]:
    """Group the results that differ only in their seed.

    They share photos, protocol, re-ranking, the checkpoint's file name and all settings but those
    in ``comparable.OWN_KEYS``. A seed counts once: a second result of the same settings and seed
    starts another group.

    Returns:
        The groups in the order of their first result.
    """
    groups = defaultdict(list)
    seen: Counter[tuple[str, int]] = Counter()
    for result in results:
        key = settings_key(result)
        seen[key, seed_of(result)] += 1
        groups[key, seen[key, seed_of(result)]].append(result)
    return [SeedGroup(tuple(sorted(group, key=seed_of))) for group in groups.values()]


def t_interval(values: Sequence[float] | np.ndarray, level: float = LEVEL) -> Interval | None:
    """Return the interval of the mean by Student's t; None for fewer than two values."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return None
    half = bound_of_share(level, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean() - half), float(values.mean() + half)


def why_no_interval(result: TestResult, draws: int = DRAWS) -> str:
    """Say why a result cannot have intervals over individuals, '' if it can."""
    if result.facts['trials'] > 1:
        return result.measures['reason']
    return no_interval_reason(draws, result.measures['individuals'])


def mean_draws(group: SeedGroup, draws: int = DRAWS) -> dict[str, np.ndarray]:
    """Resample the query individuals, the same ones for all seeds and for all groups.

    Returns:
        Metric -> (draws,): its mean over the seeds of the group.
    """
    of_seeds = [_draws(result, draws) for result in group.results]
    means = {}
    for name in of_seeds[0]:
        means[name] = np.mean([each[name] for each in of_seeds], axis=0)
    return means


def _draws(result: TestResult, draws: int) -> dict[str, np.ndarray]:
    groups = result.queries['group'].to_numpy()
    averages = query_averages(result.ranking, result.identities, groups)
    resampled = resample(averages, result.identities, draws, SEED)
    return with_combinations(resampled, group_names(groups))


def difference_over_individuals(
    a: SeedGroup, b: SeedGroup, draws: int = DRAWS
) -> dict[str, Difference]:
    """Compare the seed means of two groups by a paired bootstrap over query individuals.

    Args:
        a: One result or more.
        b: One result or more, of the same photos and protocol.
        draws: The number of draws, the same individuals for both.

    Returns:
        Metric -> difference, for all metrics that are defined; those in the log come first.

    Raises:
        InputError: The photos or protocols differ, or there are too few individuals.
    """
    check_comparable(a.first, b.first)
    if reason := why_no_interval(a.first, draws):
        raise InputError(
            f'{a.first.folder} and {b.first.folder} cannot be compared: {reason}; compare tests of '
            f'one trial and at least {LEAST_INDIVIDUALS} individuals'
        )
    first, second = mean_draws(a, draws), mean_draws(b, draws)
    found = {}
    for name in [each for each in metric_names(a.first) if each in first and each in second]:
        change = np.round(second[name] - first[name], 12)  # rounding errors would break ties
        change = change[np.isfinite(change)]
        if len(change) and np.isfinite(b.mean(name)):
            found[name] = Difference(a.mean(name), b.mean(name), interval(change), paired_p(change))
    return found


def difference_over_seeds(a: SeedGroup, b: SeedGroup, metric: str) -> Difference | None:
    """Compare two groups by a paired t-test over their seeds: is it more than training's noise?

    Returns:
        None if the groups have different seeds, or fewer than two.
    """
    change = b.values(metric) - a.values(metric) if a.seeds == b.seeds else np.empty(0)
    pair = t_interval(change)
    if pair is None:
        return None
    error = float(change.std(ddof=1)) / len(change) ** 0.5
    if error:
        p = 1 - share_within(abs(float(change.mean())) / error, len(change) - 1)
    else:  # the same difference for every seed
        p = float(change.mean() == 0)
    return Difference(a.mean(metric), b.mean(metric), pair, p)


def metric_names(result: TestResult) -> list[str]:
    """Return the metrics of a result that a comparison shows, in the order of the log."""
    known = [name for name, value in result.metrics.items() if value is not None]
    first = [name for name in SHOWN if name in known]
    return [*first, *(name for name in known if name not in SHOWN and name != 'chance')]
