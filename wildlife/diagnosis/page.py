"""diagnosis.html: what was found about a model, in words, tables, curves and pictures."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from yacs.config import CfgNode

from datasets.images import read_image
from datasets.records import individuals
from processor.results import set_name
from utils.logger import progress
from wildlife.diagnosis.diagnose import Diagnosis
from wildlife.diagnosis.figures import Figure, Figures
from wildlife.diagnosis.views import OnlyPart
from wildlife.diagnosis.words import LOW_HIGH, THRESHOLDS, percent, plain, points
from wildlife.pages import render
from wildlife.report.charts import Chart, Line
from wildlife.thumbnails import data_uri, upright_thumbnails

PICTURED = 6  # photos whose parts are shown
SIDE = 160  # largest width and height of a picture in pixels
NAMES = {
    'whole': 'whole photos',
    'animal': 'the animal alone',
    'background': 'the background alone',
    'outline': 'the outline alone',
    'chance': 'a random ranking',
}
TITLES = {
    'size': 'Size: √(width × height) in pixels',
    'brightness': 'Brightness, 0 … 1',
    'contrast': 'Contrast: standard deviation of brightness',
    'blur': 'Blur, 0 = sharp … 1',
}


def make_page(found: Diagnosis, cfg: CfgNode) -> str:
    """Return the HTML page of a diagnosis.

    Args:
        found: The diagnosis.
        cfg: Its config.
    """
    name = {'DATASETS.NAMES': cfg.DATASETS.NAMES, 'DATASETS.SPECIES': cfg.DATASETS.SPECIES}
    model = Path(found.facts['checkpoint']).name
    return render(
        'diagnosis.html',
        title=f'{set_name(name)}: diagnosis of {model}',
        found=found,
        whitening=cfg.TEST.WHITENING,
        queries=len(found.test.query),
        individuals=individuals(found.test.query),
        findings=found.findings,
        parts=part_rows(found.parts),
        pictures=part_pictures(found),
        tables={
            'Frames of one encounter': encounter_rows(found.encounters),
            'Mirror images': mirror_rows(found.mirror),
            'The other flank': flank_rows(found.flank),
        },
        properties=property_parts(found),
        thresholds={name: round(100 * value) for name, value in THRESHOLDS.items()},
        size=cfg.INPUT.SIZE_TEST,
    )


def part_rows(figures: Figures) -> list[dict[str, Any]]:
    """Return a row for each view: its name, mAP, rank-1, and the difference to whole photos."""
    rows = []
    for view, name in NAMES.items():
        if f'{view}/mAP' not in figures:
            continue
        change = figures.get(f'{view} - whole/mAP')
        share = figures.get(f'{view} share')
        rows.append(
            {
                'name': name,
                'mAP': figures[f'{view}/mAP'],
                'texts': [
                    percent(figures[f'{view}/mAP']),
                    percent(figures[f'{view}/rank1']),
                    points(change) if change else '',
                    percent(share) if share else '',
                ],
            }
        )
    return rows


def encounter_rows(figures: Figures) -> dict[str, str]:
    """Return name -> figure of the table about encounters; {} if they were not examined."""
    if not figures:
        return {}
    names = {'together': 'with', 'apart': 'without'}
    rows = metric_rows(figures, names, ' photos of the own encounter')
    rows['difference of mAP'] = points(figures['together - apart/mAP'])
    rows['nearest photo from the own encounter'] = percent(figures['nearest'])
    return rows


def mirror_rows(figures: Figures) -> dict[str, str]:
    """Return name -> figure of the table about mirror images."""
    return {
        'similarity to the own mirror image': plain(figures['mirror']),
        'similarity to photos of the same individual': plain(figures['same']),
        'similarity to photos of other individuals': plain(figures['other']),
        'mirror image nearer than any other individual': percent(figures['mirror first']),
    }


def flank_rows(figures: Figures) -> dict[str, str]:
    """Return name -> figure of the table about flanks; {} if they were not examined."""
    if not figures:
        return {}
    names = {'flank': 'by the other flank', 'usual': 'the test itself', 'chance': 'at random'}
    rows = metric_rows(figures, names)
    rows['similarity to the other flank'] = plain(figures['similarity'])
    rows['similarity to other individuals'] = plain(figures['other'])
    return rows


def metric_rows(figures: Figures, names: Mapping[str, str], end: str = '') -> dict[str, str]:
    """Return mAP and rank-1 of some groups of figures; ``end`` is added to each name."""
    rows = {}
    for group, name in names.items():
        rows[f'mAP {name}{end}'] = percent(figures[f'{group}/mAP'])
        rows[f'rank-1 {name}{end}'] = percent(figures[f'{group}/rank1'])
    return rows


def part_pictures(found: Diagnosis) -> list[dict[str, Any]]:
    """Return some queries, spread over the list: 'name', and view -> data URI as 'uris'."""
    if not found.views:
        return []
    paths = list(dict.fromkeys(record.path for record in found.test.query))
    count = min(PICTURED, len(paths))
    chosen = [paths[number * len(paths) // count] for number in range(count)]
    return [
        {'name': os.path.basename(path), 'uris': pictures_of(path, found.views)}
        for path in progress(chosen, 'pictures')
    ]


def pictures_of(path: str, views: Mapping[str, OnlyPart]) -> dict[str, str]:
    """Return view -> data URI of a photo and its parts."""
    photo = read_image(path)
    uris = {NAMES['whole']: data_uri(photo.copy(), SIDE)}
    for part, view in views.items():
        uris[NAMES[part]] = data_uri(view(path, photo), SIDE)
    return uris


def property_parts(found: Diagnosis) -> list[dict[str, Any]]:
    """Return chart and example photos of each property that differs between photos."""
    examples = {name: example_photos(found, name) for name in found.properties}
    paths = {path for chosen in examples.values() for path in chosen}
    uris = upright_thumbnails(sorted(paths), SIDE)
    return [
        {
            'chart': property_chart(name, correlation, quarters).draw(),
            'examples': list(map(_example, map(uris.get, examples[name]), quarters)),
        }
        for name, (correlation, quarters) in found.properties.items()
        if quarters
    ]


def _example(uri: str | None, quarter: dict[str, Any]) -> dict[str, Any]:
    values = f'{quarter["low"]:.3g} – {quarter["high"]:.3g}'
    return {'uri': uri, 'text': f'{values}, {quarter["photos"]} photos'}


def example_photos(found: Diagnosis, name: str) -> list[str]:
    """Return the photo nearest to the middle of each quarter of a property."""
    values = found.values[name]
    middles = [(each['low'] + each['high']) / 2 for each in found.properties[name][1]]
    return [str((values - middle).abs().idxmin()) for middle in middles]


def property_chart(name: str, correlation: Figure, quarters: list[dict[str, Any]]) -> Chart:
    """Return the chart of mAP by quarters of a property."""
    figures = [quarter['mAP'] for quarter in quarters]
    known = [figure.interval for figure in figures if figure.interval]
    band = None
    if len(known) == len(figures):
        low, high = np.array(known).T
        band = (low, high)
    first, last = LOW_HIGH[name]
    return Chart(
        title=TITLES[name],
        summary=f'mAP from the quarter of {first.lower()} to that of {last}: '
        f'{", ".join(percent(figure) for figure in figures)}. Rank correlation with average '
        f'precision {plain(correlation)}.',
        x_title='quarter of the photos',
        y_title='mAP',
        lines=[
            Line('mAP', np.arange(1, len(figures) + 1), [f.value for f in figures], 'first', band)
        ],
        percent=True,
        y_limits=(0.0, 1.0),
    )
