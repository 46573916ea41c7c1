"""The page of tools/check_data.py: one self-contained HTML file."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from datasets.records import counts_table
from wildlife.checks.lists import Lists
from wildlife.checks.photos import Photo
from wildlife.checks.rules import CHECKS, Finding
from wildlife.pages import render
from wildlife.thumbnails import thumbnail

ITEMS_SHOWN = 24  # per finding
PHOTOS_SHOWN = 6  # per item
THUMBNAIL = 160  # pixels of the longer side
SIDES = (32, 64, 128, 256, 512, 1024, 2048)  # pixels
SHAPES = (0.25, 0.5, 0.75, 1.0, 1.33, 2.0, 4.0)  # width / height
VERDICTS = {
    'wrong': 'Training or its results would be wrong',
    'warning': 'Fit for training; look at the warnings',
    'fine': 'Fit for training; nothing suspicious was found',
}


class Bar(NamedTuple):
    """One bar of a chart; ``percent`` is its length relative to the longest bar."""

    name: str
    photos: int
    percent: int


class Chart(NamedTuple):
    """A histogram."""

    title: str
    bars: list[Bar]


def make_page(
    title: str,
    findings: Sequence[Finding],
    lists: Lists,
    photos: Iterable[Photo],
    size: Sequence[int],
) -> str:
    """Return the page of a check.

    Args:
        title: Name of what was checked.
        findings: Findings in the order of ``CHECKS``.
        lists: Lists of the config.
        photos: All photos that were read.
        size: INPUT.SIZE_TRAIN, (height, width) in pixels.
    """
    levels = Counter(finding.level for finding in findings)
    worst = next((level for level in ('wrong', 'warning') if levels[level]), 'fine')
    return render(
        'check.html',
        title=title,
        worst=worst,
        verdict=VERDICTS[worst],
        levels={level: levels[level] for level in ('wrong', 'warning')},
        counts=counts_table(lists.splits),
        sources=lists.sources,
        protocol=lists.protocol,
        checks=CHECKS,
        findings={finding.check: finding for finding in findings},
        items_shown=ITEMS_SHOWN,
        photos_shown=PHOTOS_SHOWN,
        size=size,
        charts=_charts(photos),
        thumbnail=partial(thumbnail, side=THUMBNAIL),
        facts=_facts,
    )


def _facts(photo: dict) -> str:
    """Describe a photo of a finding, for example 'train, label 3, encounter 7'."""
    known = [f'{name} {photo[name]}' for name in ('label', 'encounter') if name in photo]
    return ', '.join([photo['split'], *known])


def _charts(photos: Iterable[Photo]) -> list[Chart]:
    readable = [photo for photo in photos if not photo.error]
    sides = [min(photo.width, photo.height) for photo in readable]
    shapes = [photo.width / photo.height for photo in readable]
    return [
        Chart('Shorter side in pixels', _bars(sides, SIDES)),
        Chart('Width / height', _bars(shapes, SHAPES)),
    ]


def _bars(values: Iterable[float], edges: Sequence[float]) -> list[Bar]:
    counts = Counter(bisect_right(edges, value) for value in values)
    between = [f'{low:g} – {high:g}' for low, high in pairwise(edges)]
    names = [f'below {edges[0]:g}', *between, f'{edges[-1]:g} and more']
    longest = max(1, *counts.values())
    return [
        Bar(name, counts[number], round(100 * counts[number] / longest))
        for number, name in enumerate(names)
    ]
