"""The page of tools/check_data.py: one HTML file that needs no other. All text of others is
escaped.
"""

from bisect import bisect_right
from collections import Counter
from html import escape

from datasets.records import counts_table
from wildlife.checks.rules import CHECKS
from wildlife.thumbnails import thumbnail

SHOWN = 24  # things of a section
ABREAST = 6  # photos of one thing
THUMBNAIL = 160  # pixels, the longer side
SIDES = (32, 64, 128, 256, 512, 1024, 2048)  # pixels
SHAPES = (0.25, 0.5, 0.75, 1.0, 1.33, 2.0, 4.0)  # height / width

STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 0 1rem 3rem; color: #222;
background: #fff }
h2 { margin: 2rem 0 .3rem } p { margin: .3rem 0 } small, .path { color: #555; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100% } td, th { padding: .2rem .5rem; border-bottom: 1px solid #ddd; text-align: left;
vertical-align: top } td.number { text-align: right } pre { overflow-x: auto; background: #f4f4f4; padding: .6rem }
.wrong { color: #a40000; font-weight: 600 } .warning { color: #7a4b00; font-weight: 600 } .note, .fine { color: #3c6138 }
.things { display: flex; flex-wrap: wrap; gap: .7rem } .thing { border: 1px solid #ccc; border-radius: 6px; padding: .5rem;
max-width: 100%; box-sizing: border-box } .photos { display: flex; flex-wrap: wrap; gap: .5rem }
figure { margin: 0; width: 10rem } figcaption { font-size: .75rem; overflow-wrap: anywhere } img { max-width: 100%;
display: block; background: #eee }
.bar { background: #7a9cc6; height: .8rem }
"""


def make_page(title, findings, lists, photos, size):
    """The page as bytes.

    title: what was checked. findings: list of ``Finding``. lists: ``Lists``. photos: {path:
    ``Photo``}. size: INPUT.SIZE_TRAIN.
    """
    levels = Counter(finding.level for finding in findings)
    verdict = {
        'wrong': 'Training or its results would be wrong',
        'warning': 'It can be trained; look at the warnings',
        'fine': 'Nothing suspicious was found',
    }
    worst = next((level for level in ('wrong', 'warning') if levels[level]), 'fine')
    sections = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width, '
        f'initial-scale=1"><title>Check of {escape(title)}</title><style>{STYLE}</style>'
        f'<h1>Check of <span class="path">{escape(title)}</span></h1>'
        f'<p class="{worst}">{verdict[worst]}: {levels["wrong"]} checks wrong, '
        f'{levels["warning"]} with warnings.</p>',
        f'<h2>Lists</h2><pre>{escape(counts_table(lists.splits))}</pre>',
        _protocol(lists),
        _table(findings),
        *(_section(finding) for finding in findings),
        _histograms(photos.values(), size),
    ]
    return ''.join(sections).encode('utf-8', 'backslashreplace')  # a file name need not be Unicode


def _protocol(lists):
    sources = ''.join(
        f'<p><small>{escape(split)}: {escape(source)}</small></p>'
        for split, source in lists.sources.items()
    )
    if lists.protocol is None:
        return sources
    return f'{sources}<p>Protocol {escape(lists.protocol.name)}: {escape(lists.protocol.text)}</p>'


def _table(findings):
    """All checks, also those that found nothing."""
    found = {finding.check: finding for finding in findings}
    rows = []
    for check, (level, title, _) in CHECKS.items():
        if check in found:
            rows.append(
                f'<tr><td class="{level}">{level}</td><td><a '
                f'href="#{check}">{escape(title)}</a></td>'
                f'<td>{escape(found[check].text)}</td></tr>'
            )
        else:
            rows.append(
                f'<tr><td><small>({level})</small></td><td>{escape(title)}</td><td '
                'class="fine">nothing</td></tr>'
            )
    return (
        '<h2>Checks</h2><p>wrong: training or its results would be, exit code 1. warning: worth '
        'a look. In brackets: '
        f'nothing was found.</p><table>{"".join(rows)}</table>'
    )


def _section(finding):
    things = ''.join(map(_thing, finding.items[:SHOWN]))
    more = len(finding.items) - SHOWN
    rest = f'<p>… and {more} more, all of them in check.json.</p>' if more > 0 else ''
    return (
        f'<h2 id="{finding.check}"><span class="{finding.level}">{finding.level}</span> '
        f'{escape(finding.title)}</h2>'
        f'<p>{escape(finding.text)}.</p><p>{escape(finding.meaning)}</p><div '
        f'class="things">{things}</div>{rest}'
    )


def _thing(item):
    figures = ''.join(map(_figure, item['photos'][:ABREAST]))
    more = len(item['photos']) - ABREAST
    rest = f'<p>… and {more} more photos</p>' if more > 0 else ''
    text = f'<p>{escape(item["text"])}</p>' if item['text'] else ''
    return f'<div class="thing">{text}<div class="photos">{figures}</div>{rest}</div>'


def _figure(photo):
    facts = ', '.join(
        f'{name} {photo[name]}' for name in ('split', 'label', 'encounter') if name in photo
    )
    return (
        f'<figure>{_picture(photo["path"])}<figcaption>{escape(facts.removeprefix("split "))}<br>'
        f'<span class="path">{escape(photo["path"])}</span></figcaption></figure>'
    )


def _picture(path):
    uri = thumbnail(path, THUMBNAIL)
    return f'<img alt="" src="{uri}">' if uri else '<p><small>no picture</small></p>'


def _histograms(photos, size):
    photos = [photo for photo in photos if not photo.error]
    return (
        f'<h2>Sizes</h2><p>INPUT.SIZE_TRAIN is {size[0]} x {size[1]} (height x width), '
        f'height / width {size[0] / size[1]:.2f}.</p>'
        + _bars('shorter side, pixels', [min(photo.width, photo.height) for photo in photos], SIDES)
        + _bars('height / width', [photo.height / photo.width for photo in photos], SHAPES)
    )


def _bars(title, values, edges):
    counts = Counter(bisect_right(edges, value) for value in values)
    names = [
        f'below {edges[0]:g}',
        *(f'{low:g} – {high:g}' for low, high in zip(edges, edges[1:], strict=False)),
        f'{edges[-1]:g} and more',
    ]
    rows = ''.join(
        f'<tr><td>{name}</td><td class="number">{counts[place]}</td><td style="width: 60%"><div '
        'class="bar" '
        f'style="width: {100 * counts[place] / max(1, *counts.values()):.0f}%"></div></td></tr>'
        for place, name in enumerate(names)
    )
    return f'<h3>{title}</h3><table>{rows}</table>'
