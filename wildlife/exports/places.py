"""The table of places: where each detector was, and from when to when it worked."""

import math
import re
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from utils.errors import InputError
from wildlife.lists.cells import known_text, simplified
from wildlife.lists.dates import read_dates
from wildlife.lists.tables import read_rows

# Meaning -> names of its column, in lower case and without punctuation; the first present counts.
# They are those of Camtrap DP's deployments, of camtrapR's station table, and plain ones.
COLUMNS = {
    'name': (
        *('deploymentid', 'detector', 'place', 'station', 'stationid', 'camera', 'cameraid'),
        *('trap', 'trapid', 'location', 'locationid', 'locationname', 'site', 'name'),
    ),
    'latitude': ('latitude', 'lat', 'decimallatitude'),
    'longitude': ('longitude', 'lon', 'long', 'lng', 'decimallongitude'),
    'x': ('x', 'utmx', 'easting'),
    'y': ('y', 'utmy', 'northing'),
    'start': ('start', 'deploymentstart', 'setupdate'),
    'end': ('end', 'deploymentend', 'retrievaldate'),
}
LIMITS = {'latitude': 90.0, 'longitude': 180.0, 'x': math.inf, 'y': math.inf}
COORDINATES = re.compile(r'\(?\s*(-?\d{1,2}(?:\.\d+)?)\s*[,; ]\s*(-?\d{1,3}(?:\.\d+)?)\s*\)?')


@dataclass(frozen=True)
class Place:
    """Where a detector was.

    Attributes:
        name: The name of the detector, as the photos have it.
        latitude: Degrees north, WGS 84; None = unknown.
        longitude: Degrees east, WGS 84; None = unknown.
        x: Metres east in any grid; None = unknown.
        y: Metres north in the same grid; None = unknown.
        start: When it began to work; None = unknown.
        end: When it was taken away; None = unknown.
    """

    name: str
    latitude: float | None = None
    longitude: float | None = None
    x: float | None = None
    y: float | None = None
    start: datetime | None = None
    end: datetime | None = None

    @property
    def on_earth(self) -> tuple[float, float] | None:
        """Return (latitude, longitude), or None if one of them is unknown."""
        if self.latitude is None or self.longitude is None:
            return None
        return self.latitude, self.longitude

    @property
    def on_grid(self) -> tuple[float, float] | None:
        """Return (x, y), or None if one of them is unknown."""
        return None if self.x is None or self.y is None else (self.x, self.y)

    def works(self, first: date, last: date) -> bool:
        """Return whether the detector worked on a day from ``first`` to ``last``."""
        after = self.start is not None and last < self.start.date()
        before = self.end is not None and first > self.end.date()
        return not (after or before)


def read_places(path: Path) -> dict[str, Place]:
    """Read a CSV of places: name of the detector -> place.

    It needs a column of names, and latitude and longitude, or x and y, or both; start and end may
    be missing. ``COLUMNS`` has the names of the columns.

    Raises:
        InputError: The file cannot be read, a column is missing, a name occurs twice, or a cell is
            not a number or a date.
    """
    frame = read_rows(path)
    columns = _columns(path, frame)
    cells = {meaning: frame[name].map(known_text) for meaning, name in columns.items()}
    where = [str(row) for row in frame.index]
    names = cells['name'].tolist()
    _check_names(names, where)
    parts: dict[str, list[Any]] = {}
    for meaning in filter(cells.__contains__, LIMITS):
        parts[meaning] = list(map(partial(_number, meaning), cells[meaning], where))
    for meaning in filter(cells.__contains__, ('start', 'end')):
        parts[meaning] = _dates(path, columns[meaning], cells[meaning])
    if 'end' in parts:
        parts['end'] = [_end_of_day(moment) for moment in parts['end']]
    rows = [dict(zip(parts, values)) for values in zip(*parts.values())]
    places = {name: Place(name, **row) for name, row in zip(names, rows)}
    for place, row in zip(places.values(), where):
        if place.start and place.end and place.end < place.start:
            raise InputError(f"{row}: '{place.name}' ends before it starts; correct the dates")
    return places


def _columns(path: Path, frame: pd.DataFrame) -> dict[str, str]:
    """Return meaning -> column."""
    known = {simplified(str(column)): str(column) for column in reversed(frame.columns)}
    found = {}
    for meaning, names in COLUMNS.items():
        present = [known[name] for name in names if name in known]
        if present:
            found[meaning] = present[0]
    complete = {'latitude', 'longitude'} <= found.keys() or {'x', 'y'} <= found.keys()
    if 'name' not in found or not complete:
        raise InputError(
            f'{path}: a table of places needs a column place (or station, camera, deploymentID) '
            'and latitude and longitude, or x and y in metres; its columns are '
            f'{", ".join(map(str, frame.columns))}'
        )
    return found


def _check_names(names: list[str], where: list[str]) -> None:
    seen: set[str] = set()
    for name, row in zip(names, where):
        if not name:
            raise InputError(f'{row}: the name of the place is missing')
        if name in seen:
            raise InputError(
                f"{row}: the place '{name}' occurs twice; write one row for each, from its first "
                'start to its last end'
            )
        seen.add(name)


def _number(meaning: str, text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text.replace(',', '.'))
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or abs(number) > LIMITS[meaning]:
        limit = LIMITS[meaning]
        allowed = 'a number' if math.isinf(limit) else f'a number from {-limit:g} to {limit:g}'
        raise InputError(f"{where}: {meaning} '{text[:40]}' is not {allowed}; correct the cell")
    return number


def _dates(path: Path, column: str, cells: pd.Series) -> list[datetime | None]:
    dates, strange = read_dates(cells.tolist())
    if strange:
        raise InputError(
            f"{path}: '{strange[0][:40]}' in the column {column} is not a date; write it as "
            '2023-05-01 or 2023-05-01 12:00:00'
        )
    return dates


def _end_of_day(moment: datetime | None) -> datetime | None:
    """Return the last second of a date that was written without a time."""
    if moment is None or moment.time() != time():
        return moment
    return moment.replace(hour=23, minute=59, second=59)


def place_of_text(name: str, text: str) -> Place | None:
    """Return the place of a text with coordinates, such as '-27.85, 32.47'; None = it has none.

    Args:
        name: The name of the detector.
        text: Degrees north and east.
    """
    found = COORDINATES.fullmatch(text.strip())
    if not found or not re.search('[.,;]', text):  # '1 2' may be a name
        return None
    latitude, longitude = float(found[1]), float(found[2])
    if abs(latitude) > LIMITS['latitude'] or abs(longitude) > LIMITS['longitude']:
        return None
    return Place(name, latitude, longitude)
