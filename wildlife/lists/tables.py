"""Tables of photos in one form, read from CSV, COCO-style JSON or Camtrap DP files."""

import csv
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from datasets.records import read_file
from utils.errors import InputError
from wildlife.crops import Size
from wildlife.lists.cells import simplified

DETECTIONS = 'detections'  # kind of a table or source: the boxes of an animal detector
SEPARATOR = re.compile(r'sep=([,;|\t])', re.IGNORECASE)
ASSET = re.compile(r'(encounter)?mediaasset(\d+)')  # Wildbook writes several photos in one row
SIGHTING = {'encountersightingid', 'sightingsightingid'}  # Wildbook groups several encounters


class LeftOut(NamedTuple):
    """A skipped photo or row.

    Attributes:
        where: The file and row.
    """

    where: str
    path: str
    identity: str
    reason: str


@dataclass
class Table:
    """Content of a file, before the meaning of its columns is known.

    Attributes:
        file: The path of the file.
        frame: Cells, all as unchanged text; the index gives file and row, for messages.
        folders: The folders where the photos may be, most likely first.
        left_out: Skipped rows.
        sizes: Photo -> (width, height) in pixels, if the file gives it.
        shares: Whether boxes are shares of the photo's size; None = judge by their values.
        kind: 'CSV', 'COCO', 'Camtrap DP' or DETECTIONS.
    """

    file: Path
    frame: pd.DataFrame
    folders: list[Path]
    left_out: list[LeftOut] = field(default_factory=list)
    sizes: dict[str, Size] = field(default_factory=dict)
    shares: bool | None = None
    kind: str = 'CSV'

    @property
    def columns(self) -> list[str]:
        """Return the unchanged names of the columns."""
        return list(self.frame.columns)


def make_frame(rows: list[list[str]], columns: list[str], where: list[str]) -> pd.DataFrame:
    """Make a table of unchanged cells; the type ``object`` keeps pandas from converting them."""
    return pd.DataFrame(rows, columns=columns, index=pd.Index(where, dtype=object), dtype=object)


# ---------------------------------------------------------------- CSV


def read_csv(path: Path) -> Table:
    """Read a CSV with a header; a Wildbook bulk import is converted to one row per photo.

    Raises:
        InputError: The file is missing or not a readable CSV.
    """
    frame = read_rows(path)
    assets = [column for column in frame.columns if ASSET.fullmatch(simplified(column))]
    if assets:
        frame = _one_row_per_photo(frame, assets)
    return Table(path, frame, folders_beside(path))


def _one_row_per_photo(frame: pd.DataFrame, assets: list[str]) -> pd.DataFrame:
    """Convert rows that hold an encounter with several photos, by sighting if there is one."""
    sightings = [column for column in frame.columns if simplified(column) in SIGHTING]
    encounters = [
        next(filter(None, ids), where)
        for where, ids in zip(frame.index, frame[sightings].to_numpy())
    ]
    photos = frame[assets].to_numpy().tolist()
    frame = frame.drop(columns=[*assets, 'encounter'], errors='ignore')
    frame = frame.assign(mediaAsset=photos, encounter=encounters).explode('mediaAsset')
    return frame[frame['mediaAsset'] != '']


def read_rows(path: Path) -> pd.DataFrame:
    """Read the cells of a CSV in UTF-8, separated by commas, semicolons or tabs.

    A first line 'sep=…', as Excel writes it, may name another separator. A row may have too few or
    too many empty cells at its end. The standard library reads the file, because pandas does not
    report the line of a row or an unclosed quote, and accepts stray quotes.

    Raises:
        InputError: The file is missing or not a readable CSV; the message names the line.
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
                f"that contains '{delimiter}' in double quotes"
            )
        else:
            missing = len(columns) - len(cells)
            rows.append([*cells[: len(columns)], *[''] * missing])
            where.append(f'{path}:{line}')
    if not rows:
        raise InputError(f'{path}: no rows; expected a header and rows below it')
    frame = make_frame(rows, columns, where)
    return frame.drop(columns='', errors='ignore')


def _delimiter(text: str) -> tuple[str, int]:
    """Return the separator, and the number of lines at the start that only name it."""
    lines = text.splitlines()
    named = SEPARATOR.fullmatch(lines[0]) if lines else None
    if named:
        return named[1], 1
    header = next((line for line in lines if line.strip()), '')
    return max(',;\t', key=header.count), 0


def _split_rows(path: Path, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """Return (first line, cells) of each row; quoted cells may have several lines."""
    reader = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter, strict=True)
    rows, line = [], 1
    try:
        for cells in reader:
            rows.append((line, [cell.strip() for cell in cells]))
            line = reader.line_num + 1
    except csv.Error as error:
        if reader.line_num > line or 'end of data' in str(error):
            raise InputError(
                f'{path}:{line}: a double quote in this row is not closed (read up to line '
                f'{reader.line_num}: {error}); close it, or double it if it is part of the text'
            ) from None
        raise InputError(
            f'{path}:{line}: not a readable CSV ({error}); save it as CSV UTF-8, and double each '
            'double quote that is part of the text'
        ) from None
    return rows


def _check_header(columns: list[str], where: str) -> None:
    double = sorted({name for name in columns if name and columns.count(name) > 1})
    if double:
        raise InputError(f"{where}: the column '{double[0]}' occurs twice; rename one")


# ---------------------------------------------------------------- files


def folders_beside(path: Path) -> list[Path]:
    """Return the folders in which photos of a table are usually stored.

    Example: photos of Wild Me's annotations/instances_train2020.json are in images/train2020.
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
    """Read a file in UTF-8, with or without BOM.

    Args:
        path: The path of the file.
        what: The kind of file, for messages.

    Raises:
        InputError: The file is missing, cannot be read or is not UTF-8.
    """
    content = read_file(path, what, f'{path}: this file does not exist')
    try:
        return content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        line = content.count(b'\n', 0, error.start) + 1
        raise InputError(
            f'{path}:{line}: not UTF-8 text; save it as UTF-8 (in a spreadsheet: CSV UTF-8)'
        ) from None


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file in UTF-8.

    Args:
        path: The path of the file.
        what: The kind of file, for messages.

    Raises:
        InputError: The file cannot be read, or is not JSON.
    """
    try:
        return json.loads(read_utf8(path, what))
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path}: not readable JSON ({str(error)[:100]})') from None
