"""report.html, report.json and photos.csv of tools/make_lists.py: what was read, decided and left
out.
"""

import csv
from collections import Counter
from html import escape
from statistics import median

from wildlife.lists.sources import Sighting
from wildlife.lists.splits import SIDES
from wildlife.thumbnails import thumbnail

BUCKETS = (
    (1, 1),
    (2, 2),
    (3, 3),
    (4, 5),
    (6, 9),
    (10, 19),
    (20, 49),
    (50, None),
)  # photos per individual
THUMBNAILS, THUMBNAIL = 6, 128  # of a split; pixels

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #222 }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 1.8em; border-bottom: 1px solid #ccc }
table { border-collapse: collapse } td, th { padding: .15em .8em .15em 0; text-align: left; vertical-align: top }
td.n, th.n { text-align: right } code, pre { background: #f3f3f0; padding: .1em .3em } pre { padding: .8em; overflow-x: auto }
figure { display: inline-block; margin: 0 .6em .6em 0; text-align: center; font-size: .8em }
.charts > div { display: inline-block; margin-right: 2em }
rect { fill: #4a7a5c } text { font: 11px system-ui, sans-serif; fill: #444 }
"""


def photo_rows(source, split, records):
    """Rows of photos.csv, sorted: one for each photo or row that was read, listed or left out."""
    splits, listed = {}, {}
    for name, photos in split.parts().items():
        for photo, record in zip(photos, records[name], strict=True):
            splits.setdefault(photo, []).append(name)
            listed[photo] = record
    rows = [
        _row(
            photo.sighting,
            split=' '.join(splits[photo]),
            label=record.pid,
            listed=record.path,
            encounter='' if record.encounter is None else record.encounter,
        )
        for photo, record in listed.items()
    ]
    rows += [_row(photo.sighting, left_out=reason) for photo, reason in split.left_out]
    rows += [
        _row(Sighting(path, where, identity), left_out=reason)
        for where, path, identity, reason in source.left_out
    ]
    return sorted(
        rows, key=lambda row: (row['source'], row['row'], row['identity'], row['left_out'])
    )


def _row(sighting, split='', label='', listed='', encounter='', left_out=''):
    box = ' '.join(f'{number:g}' for number in sighting.box) if sighting.box else ''
    return {
        'source': sighting.path,
        'row': sighting.where,
        'identity': sighting.identity,
        'side': SIDES.get(sighting.side, ''),
        'camera': sighting.camera,
        'date': str(sighting.date or ''),
        'encounter': encounter,
        'box': box,
        'split': split,
        'label': label,
        'listed': listed,
        'left_out': left_out,
    }


def write_photos_csv(file, rows):
    """rows: of ``photo_rows``; their keys are the header."""
    writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)


def split_facts(photos):
    """Numbers of one list, for the table of splits."""
    sizes = Counter(photo.identity for photo in photos)
    encounters = {photo.encounter for photo in photos if photo.encounter}
    sides = Counter(
        'unknown' if photo.sighting.side is None else SIDES[photo.sighting.side] for photo in photos
    )
    return {
        'photos': len(photos),
        'individuals': len(sizes),
        'fewest': min(sizes.values()),
        'median': median(sizes.values()),
        'most': max(sizes.values()),
        'encounters': len(encounters),
        'photos_without_encounter': sum(photo.encounter is None for photo in photos),
        'left': sides['left'],
        'right': sides['right'],
        'side_unknown': sides['unknown'],
        'cameras': len({photo.sighting.camera for photo in photos} - {''}),
        'histogram': _histogram(sizes.values()),
    }


def _histogram(sizes):
    """{'1': individuals with one photo, …, '50+': …}"""
    return {
        _bucket(low, high): sum(low <= size <= (high or size) for size in sizes)
        for low, high in BUCKETS
    }


def _bucket(low, high):
    return f'{low}+' if high is None else str(low) if low == high else f'{low}–{high}'


COLUMNS = {
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


def html_page(facts, pictures):
    """The report as one page without anything from outside.

    facts: as in report.json; pictures: {split: [(caption, data URI)]}.
    """
    name, source, protocol, splits = (
        escape(facts['name']),
        facts['source'],
        facts['protocol'],
        facts['splits'],
    )
    columns = [
        (what, column if isinstance(column, str) else ', '.join(column))
        for what, column in source['columns'].items()
    ]
    found = [
        (test, f'{count} of {splits["query"]["photos"]}')
        for test, count in protocol['queries_with_positive'].items()
    ]
    unused = ', '.join(source['unused_columns'])
    return '\n'.join(
        [
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}: split '
            'lists</title>'
            f'<style>{STYLE}</style></head><body><h1>{name}: split lists</h1>',
            f'<p>{source["photos"]} photos of {source["individuals"]} individuals from '
            f'<code>{escape(source["path"])}</code> '
            f'({source["kind"]}). The lists name files below '
            f'<code>{escape(source["photos_folder"])}</code>.</p>',
            f'<h2>Splits: {escape(protocol["split"])}</h2>',
            _table(
                ['split', *COLUMNS.values()],
                [[split, *(f'{part[key]:g}' for key in COLUMNS)] for split, part in splits.items()],
            ),
            '<ul>',
            *(f'<li>{escape(note)}</li>' for note in facts['notes']),
            '</ul>',
            f'<h2>Test: {escape(protocol["test"])}</h2><p>{escape(protocol["text"])}.</p>',
            _table(['protocol', 'queries with a right answer'], found),
            '<h2>Photos per individual</h2><div class="charts">',
            *(
                f'<div><b>{split}</b><br>{_chart(part["histogram"])}</div>'
                for split, part in splits.items()
            ),
            '</div>',
            '<h2>Read from</h2>',
            _table(['what', 'from'], columns),
            f'<p>Not used: {escape(unused)}</p>' if unused else '',
            '<h2>Left out</h2>',
            _table(
                ['photos or rows', 'why'],
                [(str(count), why) for why, count in facts['left_out'].items()],
            )
            if facts['left_out']
            else '<p>nothing</p>',
            (
                '<p>Each photo, where it came from and where it went: '
                '<code>photos.csv</code>.</p><h2>Some photos</h2>'
            ),
            *(
                f'<p><b>{split}</b></p>'
                + ''.join(
                    f'<figure><img src="{uri}" alt=""><br>{escape(who)}</figure>'
                    for who, uri in some
                )
                for split, some in pictures.items()
            ),
            '<h2>Next</h2>',
            f'<pre>{escape(chr(10).join(facts["commands"]))}</pre></body></html>',
            '',
        ]
    )


def _table(header, rows):
    kind = ' class="n"' if len(header) > 2 else ''  # numbers, but for the first column
    lines = [['th', header], *(['td', row] for row in rows)]
    return (
        '<table>'
        + '\n'.join(
            '<tr>'
            + ''.join(
                f'<{tag}{kind if place else ""}>{escape(cell)}</{tag}>'
                for place, cell in enumerate(cells)
            )
            + '</tr>'
            for tag, cells in lines
        )
        + '</table>'
    )


def _chart(histogram):
    """Bars, one for each bucket, with the number of individuals above."""
    step, height, top = 42, 80, max(histogram.values()) or 1
    bars = []
    for number, (label, count) in enumerate(histogram.items()):
        tall, middle = round(height * count / top), number * step + step // 2
        bars.append(
            f'<rect x="{middle - 11}" y="{16 + height - tall}" width="22" height="{tall}"/>'
            f'<text x="{middle}" y="{12 + height - tall}" text-anchor="middle">{count or ""}</text>'
            f'<text x="{middle}" y="{height + 31}" text-anchor="middle">{label}</text>'
        )
    return (
        f'<svg width="{step * len(histogram)}" height="{height + 36}" '
        f'role="img">{"".join(bars)}</svg>'
    )


def thumbnails(parts, root):
    """{split: [(caption, data URI)]} of a few photos of different individuals, without those that
    cannot be decoded: tools/check_data.py tells of them. parts: {split: photos}; root: folder of
    their paths.
    """
    pictures = {}
    for name, photos in parts.items():
        first = {}
        for photo in photos:
            first.setdefault(photo.identity, photo)
        some = list(first.values())[:: max(1, len(first) // THUMBNAILS)][:THUMBNAILS]
        pictures[name] = [
            (photo.identity, uri)
            for photo in some
            if (uri := thumbnail(root / photo.path, THUMBNAIL))
        ]
    return pictures
