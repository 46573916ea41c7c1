"""report.html: the result of a test as one page that needs no network."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets.loaders import TestSet
from datasets.records import individuals
from processor.inference import Result
from processor.results import SEED, set_name, shown_metrics
from utils.ranking import Ranking
from wildlife.names import names_of_labels
from wildlife.pages import render
from wildlife.report.charts import Chart, Line
from wildlife.report.curves import cmc_curve, training_curves
from wildlife.report.page_data import RankedTest, page_data
from wildlife.report.pairs import PairDistances, pair_distances
from wildlife.report.runs import save_text

logger = logging.getLogger('transreid.test')

MEANINGS = {  # metrics in the headline, in words
    'mmAP': 'mean of the groups’ mAPs',
    'mAP': 'mean average precision: 100 % if all photos of the same individual come first',
    'rank1': 'the nearest photo shows the same individual',
    'rank5': 'one of the five nearest photos does',
    'rank10': 'one of the ten nearest photos does',
    'mINP': 'how early the last photo of the same individual comes: its number of photos, divided '
    'by the rank of the last',
    'macro/mAP': 'every individual counts the same, however many photos it has',
    'macro/rank1': 'every individual counts the same',
    'rank1_above_chance': '0 % is guessing, 100 % is perfect',
}
LINES = ('first', 'second', 'third', 'fourth', 'fifth')  # CSS classes of the lines of a chart
LOSSES = {  # the terms of a loss, in words
    'i2t_loss': 'photo to text',
    't2i_loss': 'text to photo',
    'id_loss': 'which individual',
    'triplet_loss': 'same ones near, others far',
    'center_loss': 'same ones near their mean',
}
DRAWN_BINS = 50
SCALES = (0.1, 0.2, 0.5)  # right ends, else 1 of the drawn intervals


def write_report(
    folder: Path,
    test: TestSet,
    result: Result,
    facts: Mapping[str, Any],
    explain: Callable[[dict[int, str]], dict[str, Any] | None] | None = None,
) -> Path:
    """Write report.html beside the other results of a test.

    Args:
        folder: OUTPUT_DIR; an earlier report there is kept and numbered.
        test: The test set.
        result: Its result.
        facts: The facts of results.json: 'config', 'measures', 're_ranking', 'checkpoint' …
        explain: From the names of the labels to what shows where the model looks, see
            ``wildlife.explain.run.looks_for_report``; None = it is not shown.

    Returns:
        The path of the report.
    """
    names = names_of_labels([*test.query, *test.gallery], facts['config'])
    material = RankedTest(test, result.rankings[0], result.distance, names)
    metrics = _headline(result.metrics, facts['measures'])
    page = render(
        'report.html',
        title=_title(facts),
        facts=facts,
        metrics=metrics,
        scale=_scale(metrics),
        test=test,
        shown=_counts(test, material.ranking),
        charts=_charts(material, facts['measures']),
        training=_training(folder),
        looks=explain(names) if explain else None,
        data=page_data(material, folder),
    )
    path = folder / 'report.html'
    save_text(path, page)
    logger.info('Report: %s (open it in a browser)', path)
    return path


def _title(facts: Mapping[str, Any]) -> str:
    return f'{set_name(facts["config"])}: test of {Path(facts["checkpoint"]).name}'


def _headline(metrics: Mapping[str, float], measures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the headline: name, meaning, value, and low and high or None."""
    rows = []
    for row in shown_metrics(measures['values'] or metrics, measures['intervals']):
        low, high = row.interval or (None, None)
        meaning = MEANINGS.get(row.name, 'queries of this group')
        facts = {'name': row.text, 'meaning': meaning, 'value': row.value}
        rows.append(facts | {'low': low, 'high': high})
    return rows


def _scale(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the right end of the drawn intervals, a round fraction."""
    largest = max(max(row['value'], row['high'] or 0) for row in rows)
    return next((limit for limit in SCALES if largest <= limit), 1.0)  # 1 + rounding errors


def _counts(test: TestSet, ranking: Ranking) -> dict[str, int]:
    """Count what the sentence above the table says."""
    return {
        'queries': len(test.query),
        'individuals': individuals(test.query),
        'gallery': len(test.gallery),
        'right': int((ranking.counted & ranking.found_within(1)).sum()),
        'counted': int(ranking.counted.sum()),
        'without_match': int((ranking.positives == 0).sum()),
    }


def _charts(material: RankedTest, measures: Mapping[str, Any]) -> list[str]:
    """Draw the CMC curve and the distances."""
    pairs = pair_distances(material.distance, material.test)
    return [_cmc_chart(material, measures).draw(), _distance_chart(pairs).draw()]


def _cmc_chart(material: RankedTest, measures: Mapping[str, Any]) -> Chart:
    identities = np.array([record.pid for record in material.test.query])
    draws = measures['draws'] if measures['intervals'] else 0
    cmc = cmc_curve(material.ranking, identities, draws, SEED)
    ranks = np.arange(1, len(cmc.share) + 1)
    band = ' The band is the 95 % interval.' if cmc.band else ''
    return Chart(
        title='Found among the first k photos (CMC)',
        summary='Share of the queries with a photo of the same individual among the first k: '
        f'{_at_ranks(cmc.share)}. Guessing: {_at_ranks(cmc.chance)}.{band}',
        x_title='k',
        y_title='queries',
        lines=[
            Line('this test', ranks, cmc.share, 'first', band=cmc.band),
            Line('guessing', ranks, cmc.chance, 'guide'),
        ],
        percent=True,
        y_limits=(0.0, 1.0),
    )


def _at_ranks(shares: np.ndarray) -> str:
    """Say the values of a curve at some ranks."""
    ranks = [rank for rank in (1, 5, 10, 20, 50) if rank <= len(shares)]
    return ', '.join(f'{100 * shares[rank - 1]:.0f} % at {rank}' for rank in ranks)


def _distance_chart(pairs: PairDistances) -> Chart:
    merged = [
        counts.reshape(DRAWN_BINS, -1).sum(axis=1) for counts in (pairs.same, pairs.different)
    ]
    same, different = (counts / max(1, counts.sum()) for counts in merged)
    limits = pairs.edges[:: len(pairs.same) // DRAWN_BINS]
    middles = (limits[:-1] + limits[1:]) / 2
    drawn = np.flatnonzero(merged[0] + merged[1])
    part = slice(drawn[0], drawn[-1] + 1) if len(drawn) else slice(None)
    separation = pairs.separation()
    words = (
        ''
        if np.isnan(separation)
        else (
            f' A pair of the same individual is nearer than a pair of different ones in '
            f'{100 * separation:.0f} % of cases (50 % is guessing).'
        )
    )
    return Chart(
        title='Distances of the compared pairs',
        summary=f'{pairs.same.sum():,} pairs of photos of the same individual, '
        f'{pairs.different.sum():,} of different ones.{words}',
        x_title='distance',
        y_title='share of the pairs',
        lines=[
            Line('same individual', middles[part], same[part], 'first', filled=True),
            Line('different individuals', middles[part], different[part], 'second', filled=True),
        ],
        percent=True,
    )


def _training(folder: Path) -> list[str]:
    """Draw the curves of the training run in a folder, if there was one."""
    charts = []
    for title, curves in training_curves(folder).items():
        lines = []
        for kind, (name, points) in zip(LINES, curves.items()):
            epochs, values = zip(*points, strict=True)
            words = f'{name} ({LOSSES[name]})' if name in LOSSES else name
            lines.append(Line(words, epochs, values, kind))
        is_share = title == 'Validation'
        last = ', '.join(f'{name} {points[-1][1]:.3g}' for name, points in curves.items())
        chart = Chart(
            title=title,
            summary=f'After the last epoch: {last}.',
            x_title='epoch',
            y_title='mAP' if is_share else 'loss',
            lines=lines,
            percent=is_share,
        )
        charts.append(chart.draw())
    return charts
