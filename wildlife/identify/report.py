"""Reports an open-set test: the files FILES, and lines of text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datasets.records import Record
from utils.files import atomic_write, keep_earlier, write_json, writing
from utils.intervals import LEAST_INDIVIDUALS
from utils.logistic import Reliability, reliability
from utils.open_sets import oscr_curve
from utils.plots import reliability_diagram
from wildlife.identify.calibration_file import save_calibrator
from wildlife.identify.open_set import OpenSetTest, Row, as_dicts, percent, sentences
from wildlife.identify.run import OpenSetResult
from wildlife.pages import render
from wildlife.report.charts import Chart, Line
from wildlife.words import number_text

FORMAT = 1  # version of open_set.json
FILES = (
    *('open_set.json', 'open_set.html', 'open_set_answers.csv', 'reliability.png'),
    'calibrator.json',
)
GRID = np.linspace(0, 1, 101)  # rates of false matches of the drawn curve
BINS = 40  # of the drawn similarities


def write_open_set(
    folder: Path, result: OpenSetResult, query: Sequence[Record], names: dict[int, str]
) -> None:
    """Write the files of a test; earlier ones in the folder are kept and numbered.

    Args:
        folder: The folder, made if it is missing.
        result: The result.
        query: The queries of the lists.
        names: Label -> name of the individual.

    Raises:
        InputError: The folder cannot be written.
    """
    words = _words(result)
    page = html_page(result, words)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    table, html, answers, picture, calibrator = (folder / name for name in FILES)
    for file in (table, html, answers, picture, calibrator):
        keep_earlier(file)
    content = {'format': FORMAT, **result.facts, 'measures': as_dicts(result.rows)}
    write_json(table, content | {'words': words})
    bins = pooled(result.tests)
    title = f'Are the probabilities right? {int(bins.count.sum())} answers'
    reliability_diagram(picture, bins.predicted, bins.observed, bins.count, title)
    if result.facts['mode'] == 'lists':
        with atomic_write(answers) as stream:
            frame = answers_frame(result.tests[0], query, names)
            frame.to_csv(stream, index=False, lineterminator='\n')
    if result.calibrator:
        save_calibrator(result.calibrator, calibrator)
    with atomic_write(html) as stream:
        stream.write(page)


def answers_frame(
    test: OpenSetTest, query: Sequence[Record], names: dict[int, str]
) -> pd.DataFrame:
    """Return one row per query: its first photo, what it shows, and the answer."""
    answers, found = test.answers, test.found
    frame = pd.DataFrame(
        {
            'photo': [query[number].path for number in test.table.queries.tolist()],
            'photos': test.table.sizes,
            'individual': [names[label] for label in answers.individuals.tolist()],
            'in_catalogue': answers.known.astype(int),
            'best': [names[label] for label in answers.best.tolist()],
            'right': answers.right.astype(int),
            'similarity': answers.score.round(6),
            'gap': answers.gap.round(6),
            'p_best': found.best.round(6),
            'p_new': found.new.round(6),
        }
    )
    for rate, decisions in test.decisions.items():
        frame[f'decision_{rate:g}'] = decisions
    return frame


def table_lines(result: OpenSetResult) -> list[str]:
    """Return lines of text: what was tested, the measures, and the result in sentences."""
    lines = [tested_text(result.facts), '']
    lines.append(f'{"":66}{"value":>7}  {"95 % interval":16}{"no skill":>9}')
    for row in result.rows:
        pair = '[{:.3f}, {:.3f}]'.format(*row.pair) if row.pair else ''
        value, guess = number_text(row.value), number_text(row.no_skill)
        lines.append(f'{row.label:66}{value:>7}  {pair:16}{guess:>9}'.rstrip())
    return [*lines, '', *missing_texts(result), *_words(result)]


def _words(result: OpenSetResult) -> list[str]:
    return sentences(result.rows, result.facts['catalogue'], result.facts['units'])


def tested_text(facts: dict[str, Any]) -> str:
    """Return a sentence that says what was tested."""
    units = f'{facts["units"]}s'
    if facts['mode'] == 'lists':
        sizes = facts['counts']
        return (
            f'Queries: {sizes["known_queries"]} {units} of {sizes["known_individuals"]} known '
            f'individuals (the catalogue has {facts["catalogue"]}) and {sizes["unknown_queries"]} '
            f'{units} of {sizes["unknown_individuals"]} new ones.'
        )
    groups = {name: _range(pair) for name, pair in facts['individuals'].items()}
    return (
        f'Means over {facts["draws_of_individuals"]} draws from {facts["counts"]["individuals"]} '
        f'individuals ({facts["counts"]["photos"]} photos): {groups["fit"]} to calibrate, '
        f'{groups["known"]} enrolled with half of their encounters, {groups["unknown"]} never '
        f'enrolled. Queries are {units}.'
    )


def _range(pair: Sequence[int]) -> str:
    low, high = pair
    return str(low) if low == high else f'{low} to {high}'


def missing_texts(result: OpenSetResult) -> list[str]:
    """Return sentences that say which intervals and measures are missing, and why."""
    found = []
    if not result.facts['bootstrap']:
        found.append('No intervals: TEST.BOOTSTRAP is 0.')
    elif not any(row.pair for row in result.rows if row.name == 'AUROC'):
        found.append(
            f'No intervals: they need at least {LEAST_INDIVIDUALS} known and {LEAST_INDIVIDUALS} '
            'new individuals.'
        )
    low = [row.text for row in result.rows if row.value is None and row.name.startswith('DIR@')]
    if low:
        found.append(
            f'No {" and ".join(low)}: a rate of 1 % needs 100 {result.facts["units"]}s of new '
            'animals, a rate of 10 % needs 10.'
        )
    return found


# -------------------------------------------------------------------------------------------- page


def html_page(result: OpenSetResult, words: Sequence[str]) -> str:
    """Return the page of a test, which needs no other files and no network."""
    return render(
        'open_set.html',
        facts=result.facts,
        tested=tested_text(result.facts),
        words=words,
        rows=[row for row in result.rows if row.rate is None],
        decisions=decision_table(result.rows),
        has_spread=any(row.spread is not None for row in result.rows),
        number=number_text,
        missing=missing_texts(result),
        charts=[chart.draw() for chart in charts(result.tests, result.rows)],
    )


def decision_table(rows: Sequence[Row]) -> dict[str, dict[str, Row]]:
    """Return the rows about decisions: what -> stated rate, such as '5 %', -> row."""
    table: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row.rate is not None:
            table.setdefault(row.text, {})[percent(row.rate)] = row
    return table


def charts(tests: Sequence[OpenSetTest], rows: Sequence[Row]) -> list[Chart]:
    """Return the curve of right answers, the similarities, and the reliability."""
    return [_oscr_chart(tests, rows), _score_chart(tests), _reliability_chart(tests)]


def _oscr_chart(tests: Sequence[OpenSetTest], rows: Sequence[Row]) -> Chart:
    curves = []
    for test in tests:
        fpir, ccr = oscr_curve(test.queries)
        curves.append(ccr[np.searchsorted(fpir, GRID, 'right') - 1])
    mean = np.mean(curves, axis=0)
    top = next(row.value for row in rows if row.name == 'rank1') or 0.0
    return Chart(
        title='Correct identifications against false matches (OSCR)',
        summary='Share of known animals that are identified correctly, if this share of new '
        f'animals is mistaken for known ones: {100 * mean[10]:.0f} % at 10 %. The dotted line is '
        'reached without any skill in recognising new animals.',
        x_title='new animals mistaken for known ones',
        y_title='known animals identified correctly',
        lines=[Line('this test', GRID, mean, 'first'), Line('no skill', GRID, top * GRID, 'guide')],
        percent=True,
        y_limits=(0.0, 1.0),
    )


def _score_chart(tests: Sequence[OpenSetTest]) -> Chart:
    known = np.concatenate([test.answers.score[test.answers.known] for test in tests])
    new = np.concatenate([test.answers.score[~test.answers.known] for test in tests])
    both = np.concatenate([known, new])
    edges = np.histogram_bin_edges(both, BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    lines = []
    for name, scores, kind in (('known', known, 'first'), ('new', new, 'second')):
        share = np.histogram(scores, edges)[0] / len(scores)
        lines.append(Line(f'{name} animals', middles, share, kind, filled=True))
    return Chart(
        title='Similarity of the best individual',
        summary='The less the two curves overlap, the better new animals can be told from known '
        f'ones. Medians: known {np.median(known):.2f}, new {np.median(new):.2f}.',
        x_title='cosine similarity',
        y_title='share of the queries',
        lines=lines,
        percent=True,
    )


def _reliability_chart(tests: Sequence[OpenSetTest]) -> Chart:
    bins = pooled(tests)
    return Chart(
        title='Are the probabilities right?',
        summary='Answers in bins of about equal size: their mean P(best), and the share of them '
        f'that is right. On the dotted line both are equal. {int(bins.count.sum())} answers.',
        x_title='P(best)',
        y_title='share that is right',
        lines=[
            Line('answers', bins.predicted, bins.observed, 'first'),
            Line('perfect', np.array([0.0, 1.0]), np.array([0.0, 1.0]), 'guide'),
        ],
        y_limits=(0.0, 1.0),
    )


def pooled(tests: Sequence[OpenSetTest]) -> Reliability:
    """Return the reliability of P(best) over the queries of all tests."""
    best = np.concatenate([test.found.best for test in tests])
    right = np.concatenate([test.answers.right for test in tests])
    return reliability(best, right)
