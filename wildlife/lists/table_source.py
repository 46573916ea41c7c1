"""Reads sightings from a table: a CSV, a COCO-style JSON or a Camtrap DP."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pandas as pd

from utils.errors import InputError
from wildlife.crops import Box
from wildlife.lists.camtrap import SIGNS, read_camtrap
from wildlife.lists.cells import (
    NUMBERED_SIDES,
    has_decimal_commas,
    known_text,
    read_box,
    read_sides,
    read_split,
    read_theta,
    simplified,
)
from wildlife.lists.coco import read_coco
from wildlife.lists.columns import Columns, choose_columns
from wildlife.lists.dates import read_dates
from wildlife.lists.detections import is_detections, read_detections
from wildlife.lists.meanings import ANGLES, CORNERS
from wildlife.lists.options import ReadOptions
from wildlife.lists.sightings import Sighting, Source
from wildlife.lists.tables import DETECTIONS, Table, read_csv, read_json

# Boxes are taken as shares of the photo's size if this share of their numbers lies between 0 and 1,
# with some tolerance. In boxes in pixels, half of the numbers (width and height) are larger.
SHARES, OVERSHOOT = 0.9, 0.05
SAMPLE = 200  # number of paths that are looked up to find the folder of the photos


def read_table_source(
    path: Path, options: ReadOptions, by_pattern: bool, sure: bool = False
) -> Source:
    """Read a table and find the folder of its photos; no photo is opened.

    Args:
        path: The path of the table.
        options: The options of the command.
        by_pattern: Whether --name-pattern gives the individual, and not a column.
        sure: Whether a column must be called so to be the individual; see ``choose_columns``.

    Raises:
        InputError: The table cannot be read or used.
    """
    table = read_table(path, options)
    needed = ['path'] if by_pattern or table.kind == DETECTIONS else ['identity', 'path']
    columns, notes = choose_columns(table, options.column, needed, sure)
    if 'bbox' not in columns:
        columns.pop('theta', None)
    used = {name for names in columns.values() for name in names}
    source = Source(
        kind=table.kind,
        root=Path(),
        sightings=[],
        columns={
            meaning: names[0] if len(names) == 1 else names for meaning, names in columns.items()
        },
        unused=[name for name in table.columns if name not in used],
        left_out=table.left_out,
        notes=notes,
        sizes={_with_slashes(photo.strip()): size for photo, size in table.sizes.items()},
        skip_bad=options.skip_bad,
    )
    _check_species(table, columns, options)
    _add_sightings(source, table.frame, columns, options)
    _note_angles(source, table.frame, columns)
    source.shares = _are_shares(source) if table.shares is None else table.shares
    source.root = _find_root(source, options.photos, table)
    return source


def _check_species(table: Table, columns: Columns, options: ReadOptions) -> None:
    if options.species and 'species' not in columns:
        raise InputError(
            f'--species {options.species}: {table.file} has no species column; name it with '
            '--column species=…'
        )


def read_table(path: Path, options: ReadOptions) -> Table:
    """Read a table file, or a Camtrap DP folder.

    Raises:
        InputError: The table cannot be read, or has another file type.
    """
    if path.is_dir() or path.name in SIGNS:
        return read_camtrap(path if path.is_dir() else path.parent)
    suffix = path.suffix.lower()
    if suffix in ('.csv', '.tsv'):
        return read_csv(path)
    if suffix != '.json':
        raise InputError(
            f'{path}: the source must be a folder, .csv, .tsv or .json; save a spreadsheet as CSV '
            'UTF-8'
        )
    tree = read_json(path, 'annotations')
    if is_detections(tree):
        return read_detections(path, tree, options)
    return read_coco(path, tree)


def _with_slashes(path: str) -> str:
    return path.replace('\\', '/')


def _add_sightings(
    source: Source, frame: pd.DataFrame, columns: Columns, options: ReadOptions
) -> None:
    """Add the rows as sightings; invalid rows are rejected."""

    def cells(meaning: str, sign: str = '') -> list[str]:
        return _joined(frame, columns.get(meaning, []), sign)

    written = cells('side')
    sides = read_sides(written)
    thetas = [read_theta(text, where) for text, where in zip(cells('theta'), frame.index)]
    sightings = map(
        Sighting,
        map(_with_slashes, cells('path')),
        frame.index,
        cells('identity'),
        sides,
        map(known_text, cells('camera')),
        _dates(frame, columns, options.date_format, source),
        map(known_text, cells('encounter')),
        [None] * len(frame),
        map(read_split, cells('split')),
        map(known_text, cells('species')),
    )
    boxes = cells('bbox', ';')
    corners = _has_corners(columns, options.box_format)
    commas = has_decimal_commas(boxes)
    for sighting, text, theta in zip(sightings, boxes, thetas, strict=True):
        if not _is_complete(source, sighting):
            continue
        try:
            box = _with_theta(read_box(text, corners, sighting.where, commas), theta, sighting)
        except InputError as error:
            source.reject(sighting, 'impossible box', str(error))
        else:
            source.sightings.append(replace(sighting, box=box))
    _note_sides(source, written, sides)


def _with_theta(box: Box | None, theta: float, sighting: Sighting) -> Box | None:
    if theta and not box:
        raise InputError(f'{sighting.where}: theta {theta:g} turns a box, but the row has no box')
    return (*box, theta) if box and theta else box


def _joined(frame: pd.DataFrame, columns: list[str], sign: str) -> list[str]:
    """Return the cells of a column, or of several joined; '' if all are empty."""
    if not columns:
        return [''] * len(frame)
    rows = frame[columns].itertuples(index=False, name=None)
    return [sign.join(row) if any(row) else '' for row in rows]


def _has_corners(columns: Columns, box_format: str) -> bool:
    """Return whether boxes are written as two corners."""
    spread = columns.get('bbox', [])
    if box_format or len(spread) < 3:
        return box_format == 'xyxy'
    return simplified(spread[2]) in CORNERS


def _is_complete(source: Source, sighting: Sighting) -> bool:
    """Return whether a row has a path and a valid name; others are rejected."""
    if not sighting.path:
        source.reject(sighting, 'no path', f'{sighting.where}: the path of the photo is empty')
        return False
    if len(sighting.identity.splitlines()) > 1:
        source.reject(
            sighting,
            'name of several lines',
            f"{sighting.where}: the individual's name {repr(sighting.identity)[:60]} has "
            'several lines; check for a double quote that is not closed',
        )
        return False
    return True


def _dates(
    frame: pd.DataFrame, columns: Columns, date_format: str, source: Source
) -> list[datetime | None]:
    names = columns.get('date', [])
    if not names:
        return [None] * len(frame)
    if len(names) > 1:
        rows = frame[names].itertuples(index=False, name=None)
        texts = [_from_parts(parts) for parts in rows]
    else:
        clock = frame[names + columns.get('time', [])].map(known_text)
        texts = [' '.join(filter(None, cells)) for cells in clock.to_numpy()]
    dates, strange = read_dates(texts, date_format)
    if strange:
        source.notes.append(
            f'date: {len(strange)} cells are not dates and count as unknown, for example '
            f"{shown_counts(strange)}; give the format with --date-format, such as '%d %b %Y'"
        )
    return dates


def _from_parts(parts: Iterable[str]) -> str:
    """Join year, month, day and, if known, hour and minute: '2023-5-1 12:30'; '' if unknown.

    If only some are known, the result, such as '2023--1', is not a date, so that it is counted.
    """
    year, month, day, *clock = (known_text(part).removesuffix('.0') for part in parts)
    date = f'{year}-{month}-{day}'.strip('-')
    hour, minute = (*clock, '', '')[:2]
    return f'{date} {hour}:{minute.zfill(2)}' if hour and date else date


def shown_counts(words: Iterable[str]) -> str:
    """Return the most frequent words with their counts: "'NA' 4, 'x' 1"."""
    counts = Counter(words).most_common(6)
    return ', '.join(f"'{word}' {count}" for word, count in counts)


def _note_sides(source: Source, written: list[str], sides: list[int | None]) -> None:
    strange = [text for text, side in zip(written, sides) if known_text(text) and side is None]
    if strange:
        source.notes.append(
            f'side: neither left nor right, so counted as unknown: {shown_counts(strange)}'
        )
    if any(side is not None and text in NUMBERED_SIDES for text, side in zip(written, sides)):
        source.notes.append('side: 0 was read as left and 1 as right, as in the lists')


def _note_angles(source: Source, frame: pd.DataFrame, columns: Columns) -> None:
    """Add notes about the column that turns boxes, and about columns that might."""
    if any(len(sighting.box or ()) > 4 for sighting in source.sightings):
        source.notes.append(
            f"boxes are turned about their centre by column '{columns['theta'][0]}', in radians, "
            'clockwise; corners outside the photo are black'
        )
    for column in source.unused if 'bbox' in columns else ():
        angles = [text for text in frame[column] if known_text(text).strip('0.,')]
        if simplified(column) in ANGLES and angles:
            source.notes.append(
                f"column '{column}' ({shown_counts(angles)}) was not read; if it turns the boxes, "
                f"write it in radians and name it with --column theta='{column}'"
            )


def _are_shares(source: Source) -> bool:
    """Return whether boxes are shares of the photo's size, judging by their values."""
    boxes = [sighting.box[:4] for sighting in source.sightings if sighting.box]
    numbers = [number for box in boxes for number in box]
    near = sum(-OVERSHOOT <= number <= 1 + OVERSHOOT for number in numbers)
    return bool(numbers) and near >= SHARES * len(numbers)


def _find_root(source: Source, photos: str, table: Table) -> Path:
    """Return the usual folder in which most photos of the table are found."""
    if photos:
        if not Path(photos).is_dir():
            raise InputError(f'--photos {photos}: this folder does not exist')
        return Path(photos)
    paths = sorted({sighting.path for sighting in source.sightings})
    some = paths[:: max(1, len(paths) // SAMPLE)]
    folders = [folder for folder in dict.fromkeys(table.folders) if folder.is_dir()]
    return max(folders, key=lambda folder: sum(os.path.isfile(folder / path) for path in some))
