"""Figures with intervals over the individuals of the queries."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from processor.results import SEED
from utils.intervals import (
    Average,
    Averages,
    Interval,
    draw_individuals,
    interval,
    no_interval_reason,
    resample,
)

Values = dict[str, Any]  # name -> a number, or those of all draws
Combine = Callable[[Values], Values]


@dataclass(frozen=True)
class Figure:
    """A number that was measured.

    Attributes:
        value: NaN if it is undefined.
        interval: Its 95 % interval; None = there is none, so nothing is claimed from it.
    """

    value: float
    interval: Interval | None = None

    def above(self, limit: float) -> bool:
        """Whether the whole interval is above a limit."""
        return self.interval is not None and self.interval[0] > limit

    def below(self, limit: float) -> bool:
        """Whether the whole interval is below a limit."""
        return self.interval is not None and self.interval[1] < limit

    def as_json(self) -> dict[str, Any]:
        """Return value and interval, None if undefined."""
        known = np.isfinite(self.value)
        return {'value': float(self.value) if known else None, 'interval': self.interval}


Figures = dict[str, Figure]


def average(values: np.ndarray, counted: np.ndarray) -> Average:
    """Return the mean of values (Q,) over the queries that count; NaN never counts."""
    known = counted & np.isfinite(values)
    return Average(np.where(known, values, 0.0), known.astype(float))


@dataclass(frozen=True)
class Bootstrap:
    """Draws of the individuals of the queries; all figures of a diagnosis share them.

    Attributes:
        identities: (Q,), the individual of each query.
        draws: How many; 0 = no intervals.
    """

    identities: np.ndarray
    draws: int

    def reason(self, counted: np.ndarray) -> str:
        """Say why queries (Q,) bool have no intervals, '' if they have."""
        return no_interval_reason(self.draws, len(np.unique(self.identities[counted])))

    def figures(self, averages: Averages, combine: Combine = dict) -> Figures:
        """Return the figures of averages over queries.

        Args:
            averages: Name -> average.
            combine: From the values of the averages to all figures; it works on numbers and on
                arrays (draws,).
        """
        counted = np.any([average.weights > 0 for average in averages.values()], axis=0)
        values = combine({name: np.float64(each.mean()) for name, each in averages.items()})
        intervals: dict[str, Interval | None] = {}
        if not self.reason(counted):
            drawn = combine(resample(averages, self.identities, self.draws, SEED))
            intervals = {name: interval(each) for name, each in drawn.items()}
        return {name: Figure(float(value), intervals.get(name)) for name, value in values.items()}

    def figure_of(self, measure: Callable[[np.ndarray], float], counted: np.ndarray) -> Figure:
        """Return the figure of a measure that is no average.

        Args:
            measure: From how often each query counts, (Q,), to a number.
            counted: (Q,) bool, the queries that count.
        """
        value = measure(counted.astype(float))
        if self.reason(counted):
            return Figure(value)
        _, index = np.unique(self.identities[counted], return_inverse=True)
        times = np.zeros(len(counted))
        drawn = []
        for each in draw_individuals(int(index.max()) + 1, self.draws, SEED):
            times[counted] = each[index]
            drawn.append(measure(times))
        return Figure(value, interval(np.array(drawn)))


def as_json(figures: Mapping[str, Figure]) -> dict[str, Any]:
    """Return name -> value and interval."""
    return {name: figure.as_json() for name, figure in figures.items()}
