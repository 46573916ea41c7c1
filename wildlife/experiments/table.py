"""The results of a grid as a table: each cell's metrics, and its difference to the first cell."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from utils.intervals import Interval
from wildlife.experiments.grid import Grid
from wildlife.experiments.plan import Cell, name_of
from wildlife.experiments.progress import is_tested
from wildlife.report.comparable import why_not_comparable
from wildlife.report.compare import p_text
from wildlife.report.results import TestResult, read_result
from wildlife.report.seeds import (
    Difference,
    SeedGroup,
    difference_over_individuals,
    difference_over_seeds,
    seed_of,
    why_no_interval,
)
from wildlife.report.table import interval_text, markdown, mean_text

METRICS = {'mAP': 'mAP', 'rank1': 'rank-1'}  # name in results.json -> in the table
UNKNOWN = (np.nan, np.nan)
NOTES = (
    '±: standard deviation over the seeds. [ ]: 95 % intervals. Numbers are percent, '
    'differences percentage points.',
    '"Individuals": how much the number would vary with other query animals; a bootstrap over '
    'individuals, the gallery is fixed. "Seeds": how much it varies with the random numbers of the '
    "training; Student's t.",
    '"Difference": to the first row. Over individuals it is paired by the animals that are drawn, '
    'of the means over the seeds; over seeds it is paired by the seed. p is two-sided and not '
    'corrected for the number of rows.',
)


@dataclass(frozen=True)
class CellResult:
    """A cell with the results that are there.

    Attributes:
        cell: The cell.
        group: Its results, one for each seed; None if there are none.
    """

    cell: Cell
    group: SeedGroup | None


@dataclass(frozen=True)
class Row:
    """A metric of a cell, as fractions; unknown numbers are NaN or None.

    Attributes:
        labels: Axis -> name of its value.
        metric: A name in ``METRICS``.
        seeds: The number of seeds.
        mean: The mean over the seeds.
        sd: The standard deviation over the seeds.
        values: The metric of each seed.
        interval: The interval of the mean over individuals.
        individuals: The difference to the first cell, paired over individuals.
        of_seeds: The same difference, paired over seeds.
    """

    labels: dict[str, str]
    metric: str
    seeds: int
    mean: float
    sd: float
    values: list[float]
    interval: Interval | None
    individuals: Difference | None
    of_seeds: Difference | None

    @property
    def name(self) -> str:
        """The names of the cell's values."""
        return name_of(self.labels)

    @property
    def difference(self) -> float:
        """The difference to the first cell; NaN if it is unknown."""
        known = self.individuals or self.of_seeds
        return known.difference if known else float('nan')


def read_cells(cells: Sequence[Cell]) -> list[CellResult]:
    """Read the results of all cells; tests that have failed are missing."""
    found = []
    for cell in cells:
        results = [read_result(test.folder) for test in cell.tests if is_tested(test)]
        group = SeedGroup(tuple(sorted(results, key=seed_of))) if results else None
        found.append(CellResult(cell, group))
    return found


def make_rows(cells: Sequence[CellResult]) -> list[Row]:
    """Return the rows of the table: for each metric all cells that have results."""
    first = cells[0].group
    of_cells = [_rows(first, each.cell.labels, each.group) for each in cells if each.group]
    return list(chain.from_iterable(zip(*of_cells, strict=True)))


def _rows(first: SeedGroup | None, labels: dict[str, str], group: SeedGroup) -> list[Row]:
    """Return a row for each metric of a cell."""
    intervals = group.intervals()
    individuals, of_seeds = _differences(first, group)
    return [
        Row(
            labels=labels,
            metric=metric,
            seeds=len(group.results),
            mean=group.mean(metric),
            sd=group.sd(metric),
            values=group.values(metric).tolist(),
            interval=intervals.get(metric),
            individuals=individuals.get(metric),
            of_seeds=of_seeds.get(metric),
        )
        for metric in METRICS
    ]


def _differences(
    first: SeedGroup | None, group: SeedGroup
) -> tuple[dict[str, Difference], dict[str, Difference | None]]:
    """Return metric -> difference over individuals and over seeds, of the seeds that both have."""
    if first is None or first is group or why_not_comparable(first.first, group.first):
        return {}, {}
    both = set(first.seeds) & set(group.seeds)
    if not both:
        return {}, {}
    a, b = _only(first, both), _only(group, both)
    individuals = {} if why_no_interval(a.first) else difference_over_individuals(a, b)
    return individuals, {metric: difference_over_seeds(a, b, metric) for metric in METRICS}


def _only(group: SeedGroup, seeds: set[int]) -> SeedGroup:
    return SeedGroup(tuple(result for result in group.results if seed_of(result) in seeds))


def frame_of(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the rows as numbers, for table.csv."""
    return pd.DataFrame([_flat(row) for row in rows])


def _flat(row: Row) -> dict[str, Any]:
    flat: dict[str, Any] = {**row.labels, 'metric': row.metric, 'seeds': row.seeds}
    flat |= {'mean': row.mean, 'sd': row.sd}
    flat['low'], flat['high'] = row.interval or UNKNOWN
    flat['difference'] = row.difference
    for name, difference in (('individuals', row.individuals), ('seeds', row.of_seeds)):
        low, high = (difference and difference.interval) or UNKNOWN
        p = difference.p if difference else np.nan
        flat |= {f'{name} low': low, f'{name} high': high, f'{name} p': p}
    return flat


def as_json(grid: Grid, cells: Sequence[CellResult], rows: Sequence[Row]) -> dict[str, Any]:
    """Return the content of table.json; unknown numbers are None."""
    return {
        'grid': str(grid.path),
        'question': grid.question,
        'config': grid.config,
        'seeds': list(grid.seeds),
        'cells': [_about(each.cell) for each in cells],
        'rows': [_without_nan(asdict(row)) for row in rows],
    }


def _about(cell: Cell) -> dict[str, Any]:
    folders = [str(test.folder) for test in cell.tests]
    return {'labels': cell.labels, 'changes': cell.changes, 'folders': folders}


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    unknown = [key for key, value in values.items() if isinstance(value, float) and isnan(value)]
    return values | dict.fromkeys(unknown)


def in_words(grid: Grid, cells: Sequence[CellResult], rows: Sequence[Row]) -> str:
    """Return the content of table.md: a table for each metric, and notes."""
    parts = [f'# {grid.question or grid.path.stem}\n']
    for metric, title in METRICS.items():
        parts.append(markdown(_words([row for row in rows if row.metric == metric], title)))
    notes = [*NOTES, *_remarks(grid, cells)]
    return '\n'.join([*parts, ''.join(f'- {note}\n' for note in notes)])


def _words(rows: Sequence[Row], title: str) -> pd.DataFrame:
    lines = []
    for row in rows:
        line: dict[str, Any] = {**row.labels, 'seeds': row.seeds}
        line[title] = mean_text(row.mean, row.sd)
        line['individuals'] = interval_text(row.interval)
        line['difference'] = '' if np.isnan(row.difference) else f'{100 * row.difference:+.1f}'
        line['over individuals'] = _difference_text(row.individuals)
        line['over seeds'] = _difference_text(row.of_seeds)
        lines.append(line)
    return pd.DataFrame(lines)


def _difference_text(difference: Difference | None) -> str:
    if difference is None:
        return ''
    return f'{interval_text(difference.interval)} p {p_text(difference.p)}'.strip()


def _remarks(grid: Grid, cells: Sequence[CellResult]) -> list[str]:
    """Return what is special about these results."""
    groups = [each.group for each in cells if each.group]
    remarks = [f'Config: {grid.config}; seeds: {", ".join(map(str, grid.seeds))}.']
    reasons = dict.fromkeys(group.no_interval_reason for group in groups)
    remarks += [f'No interval over individuals: {reason}.' for reason in reasons if reason]
    if first := cells[0].group:
        remarks += _not_comparable(first.first, cells)
    else:
        remarks.append(f'No differences: {cells[0].cell.name}, the first of the grid, has failed.')
    for each in cells:
        missing = len(each.cell.tests) - (len(each.group.results) if each.group else 0)
        if missing:
            remarks.append(f'{each.cell.name}: {missing} of {len(each.cell.tests)} runs failed.')
    return remarks


def _not_comparable(first: TestResult, cells: Sequence[CellResult]) -> list[str]:
    remarks = []
    for each in cells:
        reason = why_not_comparable(first, each.group.first) if each.group else ''
        if reason:
            remarks.append(f'{each.cell.name}: no difference to the first row, {reason}.')
    return remarks
