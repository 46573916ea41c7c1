"""Writes the table of a grid: table.md, table.csv, table.json, table.png."""

from collections.abc import Sequence
from math import isnan
from pathlib import Path

from utils.files import atomic_write, make_output_dir, write_json
from utils.plots import Bar, interval_bars
from wildlife.experiments.grid import Grid
from wildlife.experiments.plan import Cell
from wildlife.experiments.table import (
    Row,
    as_json,
    frame_of,
    in_words,
    make_rows,
    read_cells,
)


def write_table(folder: Path, grid: Grid, cells: Sequence[Cell]) -> str:
    """Write the table of the results that are there.

    Args:
        folder: The folder of the four files; earlier ones are replaced.
        grid: The grid.
        cells: Its cells.

    Returns:
        The content of table.md; '' if no test has a result, and then nothing is written.
    """
    results = read_cells(cells)
    rows = make_rows(results)
    if not rows:
        return ''
    make_output_dir(folder)
    text = in_words(grid, results, rows)
    with atomic_write(folder / 'table.md') as file:
        file.write(text)
    with atomic_write(folder / 'table.csv') as file:
        file.write(frame_of(rows).to_csv(index=False, lineterminator='\n'))
    write_json(folder / 'table.json', as_json(grid, results, rows))
    _draw(folder / 'table.png', grid, [row for row in rows if row.metric == 'mAP'])
    return text


def _draw(path: Path, grid: Grid, rows: Sequence[Row]) -> None:
    means = [_percent(row.mean, row.interval, None, row.values) for row in rows]
    changes = [
        _percent(
            row.difference,
            row.individuals.interval if row.individuals else None,
            row.of_seeds.interval if row.of_seeds else None,
        )
        for row in rows
    ]
    panels = [
        ('mAP in %; bar: individuals, dots: seeds', means),
        ('difference to the first; bar: individuals, line: seeds', changes),
    ]
    interval_bars(path, [row.name for row in rows], panels, grid.question or grid.path.stem)


def _percent(
    value: float,
    wide: tuple[float, float] | None,
    thin: tuple[float, float] | None,
    dots: Sequence[float] = (),
) -> Bar | None:
    """Return a bar of fractions in percent; None if the value is NaN."""
    if isnan(value):
        return None
    return Bar(100 * value, _times_100(wide), _times_100(thin), [100 * dot for dot in dots])


def _times_100(pair: tuple[float, float] | None) -> tuple[float, float] | None:
    return pair and (100 * pair[0], 100 * pair[1])
