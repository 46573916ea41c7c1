"""Line charts as SVG, drawn by the template ``report/chart.svg``."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wildlife.pages import render

WIDTH, HEIGHT = 480, 270  # of the whole chart, in units of the drawing
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 12, 42  # around the lines


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: Its name in the legend.
        x: (N,) values.
        y: (N,) values.
        kind: The CSS class with its colour and dashes: 'first' … 'fifth', or 'guide'.
        band: Lower and upper limits (N,) of an interval around it.
        filled: Whether the area below it is filled.
    """

    name: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    kind: str
    band: tuple[np.ndarray, np.ndarray] | None = None
    filled: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart with one or several lines.

    Attributes:
        title: The title above it.
        summary: What it shows, in a sentence, for people who cannot see it and as its caption.
        x_title: What the x axis shows.
        y_title: What the y axis shows.
        lines: The lines, each with at least one point.
        percent: Whether y values are fractions, shown as percentages.
        y_limits: The limits of the y axis; by default 0, or the lowest value if that is lower, and
            the highest value.
    """

    title: str
    summary: str
    x_title: str
    y_title: str
    lines: list[Line]
    percent: bool = False
    y_limits: tuple[float, float] | None = None

    def draw(self) -> str:
        """Return the chart as an HTML figure; all text in it is escaped."""
        x = _Scale.of(self.lines, 'x', LEFT, WIDTH - RIGHT)
        y = _Scale.of(self.lines, 'y', HEIGHT - BOTTOM, TOP)
        if self.y_limits:
            y = _Scale(*self.y_limits, y.start, y.stop)
        return render(
            'report/chart.svg',
            chart=self,
            size=(WIDTH, HEIGHT),
            box=(LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM),
            x_ticks=[(x(value), f'{value:g}') for value in x.ticks(7)],
            y_ticks=[(y(value), self._y_text(value)) for value in y.ticks(5)],
            shapes=[_Shape(line, x, y) for line in self.lines],
        )

    def _y_text(self, value: float) -> str:
        return f'{100 * value:g} %' if self.percent else f'{value:g}'


@dataclass(frozen=True)
class _Scale:
    """Maps values from [low, high] to positions from ``start`` to ``stop``."""

    low: float
    high: float
    start: float
    stop: float
    least_step: float = 0.0  # between ticks

    @classmethod
    def of(cls, lines: Sequence[Line], axis: str, start: float, stop: float) -> '_Scale':
        values = np.concatenate([np.asarray(getattr(line, axis), dtype=float) for line in lines])
        low, high = float(values.min()), float(values.max())
        if axis == 'y':
            low = min(low, 0.0)
        if high == low:
            high = low + 1
            low = low - 1 if axis == 'x' else low
        least = 1.0 if axis == 'x' and (values == values.round()).all() else 0.0
        return cls(low, high, start, stop, least)

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)

    def ticks(self, most: int) -> list[float]:
        """Return round values within the limits, at most ``most`` + 1."""
        rough = max((self.high - self.low) / most, self.least_step)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(number * step, 10) for number in range(first, last + 1)]


class _Shape:
    """The drawing of a line: 'x,y x,y …' for the line itself, its area and its band."""

    def __init__(self, line: Line, x: _Scale, y: _Scale) -> None:
        self.kind, self.single = line.kind, len(line.x) == 1
        self.points = _points(line.x, line.y, x, y)
        self.area = self.band = ''
        if line.filled:
            floor = f'{x(line.x[-1])},{y(y.low)} {x(line.x[0])},{y(y.low)}'
            self.area = f'{self.points} {floor}'
        if line.band:
            low, high = line.band
            back = _points(line.x[::-1], low[::-1], x, y)
            self.band = f'{_points(line.x, high, x, y)} {back}'
        self.spot = x(line.x[0]), y(line.y[0])


def _points(
    across: Sequence[float] | np.ndarray,
    up: Sequence[float] | np.ndarray,
    x: _Scale,
    y: _Scale,
) -> str:
    pairs = zip(np.asarray(across).tolist(), np.asarray(up).tolist(), strict=True)
    return ' '.join(f'{x(right)},{y(above)}' for right, above in pairs)
