"""Writes matches.csv and matches.html for tools/rank_photos.py."""

import csv
import os
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from utils.files import atomic_write
from wildlife.matches.ranking import Row
from wildlife.pages import render
from wildlife.thumbnails import thumbnail

COLUMNS = ('photo', 'rank', 'individual', 'distance', 'known_photo', 'problem')
SHOWN = 200  # most photos on the page
SIDE = 160  # pixels: largest width and height of a picture on the page


def problem_rows(problems: dict[str, str]) -> list[Row]:
    """Return the rows for unreadable photos, given as {path: why it cannot be read}."""
    empty: Row = dict.fromkeys(COLUMNS, '')
    return [empty | {'photo': path, 'problem': problem} for path, problem in problems.items()]


def write_matches(folder: Path, rows: list[Row]) -> None:
    """Write matches.csv and matches.html into a folder."""
    with atomic_write(folder / 'matches.csv') as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator='\n')
        table.writeheader()
        table.writerows(rows)
    with atomic_write(folder / 'matches.html') as file:
        file.write(make_page(rows))


def make_page(rows: Iterable[Row]) -> str:
    """Return the HTML page: first the unreadable photos, then one line per new photo."""
    candidates = defaultdict(list)
    problems = []
    for row in rows:
        if row['problem']:
            problems.append(row)
        else:
            candidates[row['photo']].append(row)
    return render(
        'matches.html',
        problems=problems,
        photos=dict(list(candidates.items())[:SHOWN]),
        more=len(candidates) - SHOWN,
        basename=os.path.basename,
        thumbnail=partial(thumbnail, side=SIDE, upright=True),
    )
