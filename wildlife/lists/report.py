"""Content of report.html, report.json and photos.csv: what was read, decided and skipped."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO, Any, NamedTuple

import pandas as pd

from datasets.records import Record
from wildlife.lists.encounters import SIDES, Photo
from wildlife.lists.sightings import Sighting, Source
from wildlife.lists.splits import Split
from wildlife.pages import render
from wildlife.thumbnails import thumbnail

# Photos per individual: smallest number of each bar -> name of the bar.
BUCKETS = {1: '1', 2: '2', 3: '3', 4: '4–5', 6: '6–9', 10: '10–19', 20: '20–49', 50: '50+'}
THUMBNAILS, THUMBNAIL = 6, 128  # pictures per split; pixels
COLUMNS = {  # of the table of splits: fact -> heading
    'photos': 'photos',
    'individuals': 'individuals',
    'fewest': 'photos each: min',
    'median': 'median',
    'most': 'max',
    'encounters': 'encounters',
    'left': 'left',
    'right': 'right',
    'side_unknown': 'side unknown',
    'cameras': 'cameras',
}
BAR_HEIGHT = 80  # pixels: height of the highest bar

Facts = dict[str, Any]  # content of report.json


class Picture(NamedTuple):
    """A thumbnail on the page.

    Attributes:
        source: Data URI.
    """

    caption: str
    source: str


@dataclass(frozen=True)
class Bar:
    """A bar of a chart.

    Attributes:
        height: The height in pixels.
    """

    name: str
    count: int
    height: int


def photo_rows(
    source: Source, split: Split, records: Mapping[str, list[Record]]
) -> list[dict[str, object]]:
    """Return the sorted rows of photos.csv: one per photo or row, listed or skipped."""
    splits: dict[Photo, list[str]] = {}
    listed: dict[Photo, Record] = {}
    for name, photos in split.parts().items():
        for photo, record in zip(photos, records[name], strict=True):
            splits.setdefault(photo, []).append(name)
            listed[photo] = record
    rows = [
        _row(photo.sighting)
        | {
            'encounter': '' if record.encounter is None else record.encounter,
            'split': ' '.join(splits[photo]),
            'label': record.pid,
            'listed': record.path,
        }
        for photo, record in listed.items()
    ]
    rows += [_row(photo.sighting, reason) for photo, reason in split.left_out]
    rows += [
        _row(Sighting(row.path, row.where, row.identity), row.reason) for row in source.left_out
    ]
    keys = ('source', 'row', 'identity', 'left_out')
    return sorted(rows, key=lambda row: [str(row[key]) for key in keys])


def _row(sighting: Sighting, left_out: str = '') -> dict[str, object]:
    return {
        'source': sighting.path,
        'row': sighting.where,
        'identity': sighting.identity,
        'side': '' if sighting.side is None else SIDES[sighting.side],
        'camera': sighting.camera,
        'date': str(sighting.date or ''),
        'encounter': '',
        'box': ' '.join(f'{number:g}' for number in sighting.box or ()),
        'split': '',
        'label': '',
        'listed': '',
        'left_out': left_out,
    }


def write_photos_csv(file: IO[str], rows: list[dict[str, object]]) -> None:
    """Write the rows of ``photo_rows``; their keys become the header."""
    pd.DataFrame(rows, dtype=object).to_csv(file, index=False, lineterminator='\n')


def split_facts(photos: list[Photo]) -> Facts:
    """Count photos, individuals and more in one list, for the table of splits."""
    sizes = Counter(photo.identity for photo in photos)
    encounters = {photo.encounter for photo in photos if photo.encounter}
    sides = Counter(photo.sighting.side for photo in photos)
    return {
        'photos': len(photos),
        'individuals': len(sizes),
        'fewest': min(sizes.values()),
        'median': median(sizes.values()),
        'most': max(sizes.values()),
        'encounters': len(encounters),
        'photos_without_encounter': sum(photo.encounter is None for photo in photos),
        'left': sides[0],
        'right': sides[1],
        'side_unknown': sides[None],
        'cameras': len({photo.sighting.camera for photo in photos} - {''}),
        'histogram': _histogram(sizes.values()),
    }


def _histogram(sizes: Collection[int]) -> dict[str, int]:
    """Return {'1': number of individuals with one photo, …, '50+': …}."""
    least = list(BUCKETS)
    counts = Counter(least[bisect_right(least, size) - 1] for size in sizes)
    return {name: counts[low] for low, name in BUCKETS.items()}


def html_page(facts: Facts, pictures: Mapping[str, list[Picture]]) -> str:
    """Return the report as a single HTML page that needs no other files.

    Args:
        facts: The content of report.json.
        pictures: The thumbnails of each split.
    """
    columns = {
        meaning: column if isinstance(column, str) else ', '.join(column)
        for meaning, column in facts['source']['columns'].items()
    }
    charts = {name: _bars(part['histogram']) for name, part in facts['splits'].items()}
    return render(
        'list_report.html',
        facts=facts,
        split_columns=COLUMNS,
        columns=columns,
        charts=charts,
        bar_height=BAR_HEIGHT,
        pictures=pictures,
    )


def _bars(histogram: Mapping[str, int]) -> list[Bar]:
    """Return one bar per bucket."""
    top = max(histogram.values()) or 1
    return [Bar(name, count, round(BAR_HEIGHT * count / top)) for name, count in histogram.items()]


def thumbnails(parts: Mapping[str, list[Photo]], root: Path) -> dict[str, list[Picture]]:
    """Make thumbnails of a few individuals of each split.

    Photos that cannot be decoded are skipped; tools/check_data.py reports them.

    Args:
        parts: The photos of each split.
        root: The folder that the paths are relative to.
    """
    pictures = {}
    for name, photos in parts.items():
        first: dict[str, Photo] = {}
        for photo in photos:
            first.setdefault(photo.identity, photo)
        some = list(first.values())[:: max(1, len(first) // THUMBNAILS)][:THUMBNAILS]
        sources = [thumbnail(root / photo.path, THUMBNAIL) for photo in some]
        pictures[name] = [
            Picture(photo.identity, source) for photo, source in zip(some, sources) if source
        ]
    return pictures
