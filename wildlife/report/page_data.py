"""What the report's JavaScript shows: photos, queries with their rankings, individuals."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from datasets.loaders import TestSet
from datasets.records import Record
from utils.metrics import distance_text, ranked_gallery
from utils.ranking import Ranking
from wildlife.thumbnails import upright_thumbnails

TOP = 10  # photos shown per ranking
MOST_QUERIES = 3000  # on a page; the hardest ones
MOST_INDIVIDUALS = 2000  # in the table; the hardest ones
MOST_CONFUSIONS = 24
MOST_THUMBNAILS = 2000
MOST_BYTES = 14_000_000  # of all thumbnails; the page stays below 20 MB
SIDE = 144  # largest width and height of a thumbnail in pixels, which makes about 5 KB
SIDES = ('left', 'right')
HARD_SHARE = 0.25  # queries whose average precision is in the lowest quarter are called hard


@dataclass(frozen=True)
class RankedTest:
    """The (first) trial of a test, as the report needs it.

    Attributes:
        test: The test set.
        ranking: The results of the Q queries.
        distance: (Q, G) distances.
        names: Label -> name of the individual.
    """

    test: TestSet
    ranking: Ranking
    distance: np.ndarray
    names: dict[int, str]

    @cached_property
    def heads(self) -> list[list[tuple[int, bool]]]:
        """The first photos of each query's ranking: gallery index, and whether it is a match."""
        test = self.test
        return list(ranked_gallery(self.distance, test.query, test.gallery, test.protocol, TOP))

    @cached_property
    def hardest(self) -> list[int]:
        """The queries by rising average precision; those without a match come last."""
        return np.lexsort((self.ranking.ap, self.ranking.positives == 0)).tolist()

    def shown_records(self, query: int) -> Iterator[Record]:
        """Yield the query and the first photos of its ranking."""
        yield self.test.query[query]
        for index, _ in self.heads[query]:
            yield self.test.gallery[index]


@dataclass
class _Photos:
    """The photos of the page, each once."""

    whos: dict[int, int]  # label -> index of the individual on the page
    records: dict[str, Record] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)

    def place(self, record: Record) -> int:
        """Return the index of a photo on the page, and add the photo if it is new."""
        self.records.setdefault(record.path, record)
        return self.places.setdefault(record.path, len(self.places))

    def rows(self, thumbnails: dict[str, str], base: str) -> list[dict[str, Any]]:
        """Return the photos; facts that are unknown are left out."""
        rows = []
        for path, record in self.records.items():
            facts = {
                'side': None if record.side is None else SIDES[record.side],
                'encounter': record.encounter,
                'camera': record.camera,
                'thumb': thumbnails.get(path),
            }
            known = {name: value for name, value in facts.items() if value is not None}
            rows.append({'path': shown_path(path, base), 'who': self.whos[record.pid]} | known)
        return rows


def page_data(material: RankedTest, folder: Path) -> dict[str, Any]:
    """Return the data of the page, for JSON.

    Args:
        material: The test.
        folder: The folder of the page, from which it finds the photos.

    Returns:
        'root' (address of the photos' folder relative to the page), 'names', 'photos', 'queries',
        'individuals', 'confusions', and 'totals' (how many there are, shown or not).
    """
    whos = {label: number for number, label in enumerate(sorted(material.names))}
    photos = _Photos(whos)
    kept = sorted(material.hardest[:MOST_QUERIES])
    queries = query_rows(material, kept, photos)
    thumbnails = make_thumbnails(thumbnail_paths(material))
    root, base = photo_root(photos.records, folder)
    individuals = individual_rows(material, kept, whos)
    return {
        'root': root,
        'names': [material.names[label] for label in whos],
        'photos': photos.rows(thumbnails, base),
        'queries': queries,
        'individuals': individuals[:MOST_INDIVIDUALS],
        'confusions': confusion_rows(material, kept, whos),
        'totals': {
            'queries': len(material.test.query),
            'individuals': len(individuals),
            'without_thumbnail': len(photos.records.keys() - thumbnails.keys()),
        },
    }


def query_rows(material: RankedTest, kept: Sequence[int], photos: _Photos) -> list[dict[str, Any]]:
    """Return the queries ``kept``, each with the first photos of its ranking."""
    ranking, rows = material.ranking, []
    found = ranking.positives > 0
    limit = np.quantile(ranking.ap[found], HARD_SHARE) if found.any() else 0
    for query in kept:
        record = material.test.query[query]
        ranked = [
            [
                photos.place(material.test.gallery[index]),
                distance_text(material.distance[query, index]),
                int(match),
            ]
            for index, match in material.heads[query]
        ]
        row = {
            'number': query + 1,
            'photo': photos.place(record),
            'group': record.group,
            'ap': round(float(ranking.ap[query]), 4),
            'hard': bool(found[query] and ranking.ap[query] <= limit),
            'ranked': ranked,
        }
        numbers = ('first_hit', 'last_hit', 'positives', 'compared')
        rows.append(row | {name: int(getattr(ranking, name)[query]) for name in numbers})
    return rows


def individual_rows(
    material: RankedTest, kept: Sequence[int], whos: dict[int, int]
) -> list[dict[str, Any]]:
    """Return the individuals of the queries, the hardest first.

    Returns:
        'who' (index on the page), 'queries' and 'gallery' (photos), 'mAP' and 'rank1' (None if
        none of the queries counts), 'worst' (position in ``kept`` of the query with the lowest
        average precision, None if it is not there).
    """
    ranking, test = material.ranking, material.test
    table = pd.DataFrame(
        {
            'who': [record.pid for record in test.query],
            'ap': ranking.ap,
            'hit': ranking.found_within(1),
            'found': ranking.positives > 0,
        }
    )
    counted = table[ranking.counted].groupby('who')
    means = counted[['ap', 'hit']].mean()
    worst = table[ranking.counted & table.found].groupby('who')['ap'].idxmin()
    gallery = Counter(record.pid for record in test.gallery)
    position = {query: place for place, query in enumerate(kept)}
    rows = []
    for who, queries in table.groupby('who').size().items():
        known = who in means.index
        row = {
            'who': whos[who],
            'queries': int(queries),
            'gallery': gallery[who],
            'mAP': round(float(means.ap[who]), 4) if known else None,
            'rank1': round(float(means.hit[who]), 4) if known else None,
            'worst': position.get(int(worst[who])) if who in worst.index else None,
        }
        rows.append(row)
    return sorted(rows, key=lambda row: (row['mAP'] is None, row['mAP']))


def confusion_rows(
    material: RankedTest, kept: Sequence[int], whos: dict[int, int]
) -> list[dict[str, Any]]:
    """Return the pairs of individuals that are confused most often.

    Returns:
        'who' is taken for 'other' in 'count' of 'queries' queries: the nearest photo shows the
        other one. 'example' is the position in ``kept`` of such a query, the one that is nearest
        to the wrong photo.
    """
    labels = [record.pid for record in material.test.query]
    totals, counts = Counter(labels), Counter[tuple[int, int]]()
    example: dict[tuple[int, int], tuple[float, int]] = {}
    position = {query: place for place, query in enumerate(kept)}
    for query, (label, head) in enumerate(zip(labels, material.heads, strict=True)):
        if not head or not material.ranking.positives[query] or head[0][1]:
            continue
        nearest = head[0][0]
        pair = label, material.test.gallery[nearest].pid
        counts[pair] += 1
        if query in position:
            candidate = float(material.distance[query, nearest]), position[query]
            example[pair] = min(example.get(pair, candidate), candidate)
    return [
        {
            'who': whos[pair[0]],
            'other': whos[pair[1]],
            'count': count,
            'queries': totals[pair[0]],
            'example': example[pair][1],
        }
        for pair, count in counts.most_common()
        if pair in example
    ][:MOST_CONFUSIONS]


def thumbnail_paths(material: RankedTest) -> list[str]:
    """Return the photos that get a thumbnail: first those of the hardest queries."""
    seen: dict[str, None] = {}
    for query in material.hardest:
        for record in material.shown_records(query):
            seen[record.path] = None
        if len(seen) >= MOST_THUMBNAILS:
            break
    return list(islice(seen, MOST_THUMBNAILS))


def make_thumbnails(paths: Sequence[str]) -> dict[str, str]:
    """Return path -> data URI of the photos that can be read, at most MOST_BYTES in all."""
    found: dict[str, str] = {}
    size = 0
    for path, uri in upright_thumbnails(paths, SIDE).items():
        size += len(uri)
        if uri and size <= MOST_BYTES:
            found[path] = uri
    return found


def photo_root(paths: Iterable[str], folder: Path) -> tuple[str, str]:
    """Find the folder that contains all photos.

    Returns:
        Its address relative to the page, percent-encoded, '' if there is none (photos on several
        drives); and its path, '' if there is none.
    """
    try:
        folders = {os.path.dirname(os.path.abspath(path)) for path in paths}
        base = os.path.commonpath(folders)
    except ValueError:  # several drives
        return '', ''
    try:
        relative = os.path.relpath(base, os.path.abspath(folder))
    except ValueError:  # the page is on another drive
        return Path(base).as_uri(), base
    return quote(os.fsencode(relative.replace(os.sep, '/'))), base


def shown_path(path: str, base: str) -> str:
    """Return the path of a photo relative to ``base``, with '/' between its folders."""
    path = os.path.abspath(path)
    return (os.path.relpath(path, base) if base else path).replace(os.sep, '/')
