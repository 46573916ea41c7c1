"""Tables of photos, whatever the file: CSV, COCO-style JSON, Camtrap DP."""

import csv
import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from datasets.records import read_file
from utils.errors import InputError
from wildlife.crops import Size
from wildlife.lists.cells import simple

SEPARATOR = re.compile(r'sep=([,;|\t])', re.IGNORECASE)
ASSET = re.compile(r'(encounter)?mediaasset(\d+)')  # Wildbook: several photos in one row
SIGHTING = {'encountersightingid', 'sightingsightingid'}  # Wildbook: of several encounters


class LeftOut(NamedTuple):
    """A photo or row that is of no use.

    where: file and row.
    """

    where: str
    path: str
    identity: str
    reason: str


@dataclass
class Table:
    """What a file says, before anybody knows what its columns mean.

    Attributes:
        file: its path.
        frame: the cells, all of them text, as they stand; its index says file and row, for
            messages.
        folders: where the photos may be, likeliest first.
        left_out: rows that are of no use.
        sizes: photo -> (width, height) in pixels, where the file says so.
        shares: whether boxes are shares of the photo's size, None = their values tell.
    """

    file: Path
    frame: pd.DataFrame
    folders: list[Path]
    left_out: list[LeftOut] = field(default_factory=list)
    sizes: dict[str, Size] = field(default_factory=dict)
    shares: bool | None = None

    @property
    def columns(self) -> list[str]:
        """Names as they stand."""
        return list(self.frame.columns)


def make_frame(rows: list[list[str]], columns: list[str], where: list[str]) -> pd.DataFrame:
    """Cells as they are written: ``object`` keeps pandas from guessing, and holds any name."""
    return pd.DataFrame(rows, columns=columns, index=pd.Index(where, dtype=object), dtype=object)


# ---------------------------------------------------------------- CSV


def read_csv(path: Path) -> Table:
    """Read a CSV with a header; a Wildbook bulk import becomes one row per photo.

    Raises:
        InputError: where it is no such file.
    """
    frame = read_rows(path)
    assets = [column for column in frame.columns if ASSET.fullmatch(simple(column))]
    if assets:
        frame = _one_row_per_photo(frame, assets)
    return Table(path, frame, folders_beside(path))


def _one_row_per_photo(frame: pd.DataFrame, assets: list[str]) -> pd.DataFrame:
    """A row is an encounter with its photos side by side, of a sighting of several or none."""
    sightings = [column for column in frame.columns if simple(column) in SIGHTING]
    encounters = [
        next(filter(None, ids), where)
        for where, ids in zip(frame.index, frame[sightings].to_numpy())
    ]
    photos = frame[assets].to_numpy().tolist()
    frame = frame.drop(columns=[*assets, 'encounter'], errors='ignore')
    frame = frame.assign(mediaAsset=photos, encounter=encounters).explode('mediaAsset')
    return frame[frame['mediaAsset'] != '']


def read_rows(path: Path) -> pd.DataFrame:
    """Read the cells of a CSV in UTF-8, apart by commas, semicolons or tabs.

    Excel's first line 'sep=…' may name another separator. Empty cells at the end of a row may be
    missing or too many. The standard library reads it: pandas knows neither the line where a row
    or an unclosed quote begins, nor refuses quotes that are part of a text.

    Raises:
        InputError: where it is no such file, with the line.
    """
    text = read_utf8(path, 'table')
    delimiter, skip = _delimiter(text)
    columns: list[str] = []
    rows, where = [], []
    for line, cells in _split_rows(path, text, delimiter):
        if line <= skip or not any(cells):
            continue
        if not columns:
            columns = cells
            _check_header(columns, f'{path}:{line}')
        elif any(cells[len(columns) :]):
            raise InputError(
                f'{path}:{line}: {len(cells)} cells, but the header has {len(columns)}; put a cell '
                f"that holds '{delimiter}' in double quotes"
            )
        else:
            missing = len(columns) - len(cells)
            rows.append([*cells[: len(columns)], *[''] * missing])
            where.append(f'{path}:{line}')
    if not rows:
        raise InputError(f'{path}: no rows; a header and one photo a row are expected')
    frame = make_frame(rows, columns, where)
    return frame.drop(columns='', errors='ignore')


def _delimiter(text: str) -> tuple[str, int]:
    """The separator, and how many lines at the start only name it."""
    lines = text.splitlines()
    named = SEPARATOR.fullmatch(lines[0]) if lines else None
    if named:
        return named[1], 1
    header = next((line for line in lines if line.strip()), '')
    return max(',;\t', key=header.count), 0


def _split_rows(path: Path, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """(line where it begins, cells) of each row; cells in quotes may have several lines."""
    reader = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter, strict=True)
    rows, line = [], 1
    try:
        for cells in reader:
            rows.append((line, [cell.strip() for cell in cells]))
            line = reader.line_num + 1
    except csv.Error as error:
        if reader.line_num > line or 'end of data' in str(error):
            raise InputError(
                f'{path}:{line}: a double quote opens in this row and is not closed (read on to '
                f'line {reader.line_num}: {error}); close it, or double one that is part of the '
                'text'
            ) from None
        raise InputError(
            f'{path}:{line}: not a readable CSV ({error}); save it as CSV UTF-8, with each double '
            'quote that is part of the text doubled'
        ) from None
    return rows


def _check_header(columns: list[str], where: str) -> None:
    double = sorted({name for name in columns if name and columns.count(name) > 1})
    if double:
        raise InputError(f"{where}: the column '{double[0]}' is there twice; rename one")


# ---------------------------------------------------------------- files


def folders_beside(path: Path) -> list[Path]:
    """Folders in which the photos of a table are found in practice.

    Those of Wild Me's annotations/instances_train2020.json are in images/train2020.
    """
    above = path.parent
    split = re.sub('^instances_', '', path.stem)
    return [
        above,
        above / 'images',
        above / 'photos',
        above.parent / 'images' / split,
        above.parent / 'images',
        above.parent,
    ]


def read_utf8(path: Path, what: str) -> str:
    """Read a file in UTF-8, with or without BOM; ``what`` it is, for messages."""
    content = read_file(path, what, f'{path}: there is no such file')
    try:
        return content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        line = content.count(b'\n', 0, error.start) + 1
        raise InputError(
            f'{path}:{line}: not UTF-8 text; save it as UTF-8 (in a spreadsheet: CSV UTF-8)'
        ) from None
