"""Writes the comparison of two results: text for the terminal, tables, JSON and a page."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from datasets.records import Record
from processor.results import SHOWN
from utils.files import atomic_write, keep_earlier, write_json, writing
from wildlife.names import names_of_labels
from wildlife.pages import render
from wildlife.report.compare import Comparison, as_json, metrics_frame, p_text, sentence
from wildlife.report.results import TestResult, file_name
from wildlife.report.table import interval_text
from wildlife.thumbnails import upright_thumbnails
from wildlife.words import counted

PICTURED = 200  # most queries on the page
TOP = 5  # photos of each ranking on the page
SIDE = 144  # pixels: largest width and height of a picture on the page
FILES = ('compare.json', 'compare.csv', 'changed.csv', 'compare.html')

Photo = dict[str, Any]  # a row of ranked_lists.csv


def write_comparison(folder: str | Path, comparison: Comparison) -> int:
    """Write the files of a comparison; earlier ones in the folder are kept and numbered.

    Returns:
        The number of photos for the page that were not found or cannot be read.

    Raises:
        InputError: The folder cannot be written.
    """
    folder = Path(folder)
    queries = pictured_queries(comparison)
    thumbnails = make_thumbnails(queries)
    missing = sum(not uri for uri in thumbnails.values())
    page = make_page(comparison, queries, thumbnails)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    table, metrics, changed, html = (folder / name for name in FILES)
    for file in (table, metrics, changed, html):
        keep_earlier(file)
    write_json(table, as_json(comparison) | {'photos_not_found': missing})
    for file, frame in ((metrics, metrics_frame(comparison)), (changed, comparison.changed)):
        with atomic_write(file) as stream:
            frame.to_csv(stream, index=False, lineterminator='\n')
    with atomic_write(html) as stream:
        stream.write(page)
    return missing


def summary(comparison: Comparison) -> list[str]:
    """Return the comparison as lines of text."""
    facts, counts = comparison.b.facts, comparison.counts
    lines = [
        *(f'{name}: {_about(result)}' for name, result in _named(comparison)),
        f'{counted(comparison.queries, "query")} of {comparison.b.measures["individuals"]} '
        f'individuals, protocol {facts["protocol"]}',
        '',
        f'{"":30}{"A":>8}{"B":>8}{"B - A":>8}  {"95 % interval":16}{"p":>6}',
    ]
    for row in metric_rows(comparison):
        lines.append(
            f'{row["name"]:30}{row["a"]:>8}{row["b"]:>8}{row["difference"]:>8}  '
            f'{row["interval"]:16}{row["p"]:>6}'
        )
    lines += [
        '',
        f'Rank 1: {counted(counts["won"], "query")} won (a match comes first in B only), '
        f'{counts["lost"]} lost (in A only)',
    ]
    lines += [f'{key}: A {a}, B {b}' for key, (a, b) in comparison.settings.items()]
    return [*lines, sentence(comparison)]


def metric_rows(comparison: Comparison) -> list[dict[str, str]]:
    """Return name, a, b (percent), difference, interval (points) and p of each metric, as text."""
    return [
        {
            'name': SHOWN.get(name, name),
            'a': f'{100 * found.a:.1f}',
            'b': f'{100 * found.b:.1f}',
            'difference': f'{100 * found.difference:+.1f}',
            'interval': interval_text(found.interval),
            'p': p_text(found.p),
        }
        for name, found in comparison.differences.items()
    ]


def _named(comparison: Comparison) -> list[tuple[str, TestResult]]:
    return [('A', comparison.a), ('B', comparison.b)]


def _about(result: TestResult) -> str:
    reranked = ', re-ranked' if result.facts['re_ranking'] else ''
    return f'{result.folder} ({result.checkpoint_name}{reranked})'


def names_of(result: TestResult) -> dict[int, str]:
    """Return label -> name of the individual, as in photos.csv of make_lists, else its label."""
    ranked = result.ranked_lists.drop_duplicates('photo')
    paths = [*result.queries['query'], *ranked['photo']]
    labels = [*result.identities.tolist(), *ranked['label']]
    records = [Record(path, label) for path, label in zip(paths, labels, strict=True)]
    return names_of_labels(records, result.config)


def pictured_queries(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the changed queries for the page, those with the largest change first.

    Returns:
        For each query its row of ``Comparison.changed`` with 'photo', the query, and 'rankings',
        'A' and 'B' -> the first photos. Only ``PICTURED`` queries.
    """
    shown = comparison.changed.head(PICTURED)
    paths = {name: result.queries['query'][shown.index] for name, result in _named(comparison)}
    heads = {name: _heads(result, paths[name]) for name, result in _named(comparison)}
    found = []
    for number, row in shown.to_dict('index').items():
        own = {name: queries[number] for name, queries in paths.items()}
        photo = own['B'] if os.path.isfile(own['B']) else own['A']
        rankings = {name: heads[name].get(path, []) for name, path in own.items()}
        found.append(row | {'photo': photo, 'rankings': rankings})
    return found


def _heads(result: TestResult, queries: pd.Series) -> dict[str, list[Photo]]:
    """Return path of a query -> its first photos: rank, photo, label, distance, right."""
    lists = result.ranked_lists
    first = lists[lists['query'].isin(queries) & (lists['rank'] <= TOP)]
    return {
        query: rows.drop_duplicates('rank').to_dict('records')
        for query, rows in first.groupby('query')
    }


def make_thumbnails(queries: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return path -> data URI of each photo on the page, '' if it cannot be read."""
    paths = dict.fromkeys(path for query in queries for path in _photos_of(query))
    return upright_thumbnails(paths, SIDE)


def _photos_of(query: dict[str, Any]) -> list[str]:
    ranked = [photo['photo'] for head in query['rankings'].values() for photo in head]
    return [query['photo'], *ranked]


def make_page(
    comparison: Comparison, queries: Sequence[dict[str, Any]], thumbnails: dict[str, str]
) -> str:
    """Return the HTML page.

    Args:
        comparison: The comparison.
        queries: From :func:`pictured_queries`.
        thumbnails: From :func:`make_thumbnails`.
    """
    return render(
        'compare.html',
        sentence=sentence(comparison),
        results={name: _about(result) for name, result in _named(comparison)},
        facts=comparison.b.facts,
        individuals=comparison.b.measures['individuals'],
        draws=comparison.draws,
        metrics=metric_rows(comparison),
        settings=comparison.settings,
        counts=comparison.counts,
        queries=queries,
        more=len(comparison.changed) - len(queries),
        names=names_of(comparison.a) | names_of(comparison.b),
        thumbnails=thumbnails,
        missing=sum(not uri for uri in thumbnails.values()),
        basename=file_name,
        top=TOP,
    )
