"""The log lines and files of a test: results.json, ranked_lists.csv and ranked_lists.png."""

import csv
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datasets.images import read_image
from datasets.make_dataloader_clipreid import TestSet
from datasets.protocols import Protocol
from datasets.records import individuals
from processor.inference import Result
from utils.files import atomic_write, keep_earlier, write_json
from utils.intervals import measure
from utils.metrics import distance_text, ranked_gallery
from utils.plots import ranked_lists
from utils.ranking import Ranking

logger = logging.getLogger('transreid.test')

Heads = list[list[tuple[int, bool]]]  # for each query: (gallery index, whether it is a match)

FORMAT = 2  # version of results.json and queries.csv; 1 had no intervals and no queries.csv
SHOWN = {  # metrics in the log's table of intervals, with their names there
    'mmAP': 'mmAP',
    'mAP': 'mAP',
    'rank1': 'rank-1',
    'rank5': 'rank-5',
    'rank10': 'rank-10',
    'mINP': 'mINP',
    'macro/mAP': 'mAP, mean over individuals',
    'macro/rank1': 'rank-1, mean over individuals',
    'rank1_above_chance': 'rank-1 above chance (NGR)',
}
QUERY_COLUMNS = ('query', 'query_label', 'group', 'side', 'camera', 'encounter')
SEED = 0  # of the bootstrap; the same for all tests, so that equal results get equal intervals
TOP = 10  # photos per ranking in the table and the picture
PICTURED = 12  # most queries in the picture
ATRW_LINE = (
    'mmAP: {mmAP:.1%}, mAP(single_cam): {sing/mAP:.1%}, top-1(single_cam): {sing/rank1:.1%}, '
    'top-5(single_cam): {sing/rank5:.1%}, mAP(cross_cam): {multi/mAP:.1%},'
    'top-1(cross_cam): {multi/rank1:.1%},top-5(cross_cam): {multi/rank5:.1%}'
)


def report_test(
    result: Result, test: TestSet, draws: int, logger: logging.Logger
) -> dict[str, Any]:
    """Log the metrics of a test, the effect of copies, and intervals.

    The arguments and the result are those of :func:`report_intervals`.
    """
    report(result.metrics, logger, result.without_positive)
    report_copies(result, test.protocol, logger)
    return report_intervals(result, test, draws, logger)


def report(
    metrics: Mapping[str, float],
    logger: logging.Logger,
    without_positive: Mapping[str, Any] | None = None,
) -> None:
    """Log the metrics in the published format, and the effect of queries without a match."""
    if 'mmAP' in metrics:
        for split, prefix in (('public_split', 'public/'), ('private_split', '')):
            if f'{prefix}mmAP' in metrics:
                names = [name for name in metrics if name.startswith(prefix)]
                found = {name.removeprefix(prefix): metrics[name] for name in names}
                shares = defaultdict(float, found)
                logger.info('%s: %s', split, ATRW_LINE.format_map(shares))
    else:
        logger.info('mAP: %s', f'{metrics["mAP"]:.1%}')
        for rank in (1, 5, 10):
            logger.info('CMC curve, Rank-%-3d:%s', rank, f'{metrics[f"rank{rank}"]:.1%}')
    if without_positive and without_positive['queries']:
        logger.info(
            'Queries with no match in the gallery: %g. Counted as 0: %s; left out: %s',
            without_positive['queries'],
            _short_line(without_positive['as_zero']),
            _short_line(without_positive['left_out']),
        )


def report_copies(result: Result, protocol: Protocol, logger: logging.Logger) -> None:
    """Log how many queries have copies in the gallery, and how these change the metrics."""
    copies = result.copies
    if copies['queries'] and protocol.never_itself:
        logger.info(
            'Byte-for-byte copies of queries in the gallery: %g (of %g queries). They are ignored',
            copies['photos'],
            copies['queries'],
        )
    elif copies['queries']:
        logger.warning(
            "Byte-for-byte copies of queries in the gallery: %g (of %g queries). Protocol '%s' "
            'counts them as matches: %s. Without them: %s',
            copies['photos'],
            copies['queries'],
            protocol.name,
            _short_line(result.metrics),
            _short_line(copies['without']),
        )


def report_intervals(
    result: Result, test: TestSet, draws: int, logger: logging.Logger
) -> dict[str, Any]:
    """Log the intervals of the metrics, and chance; return ``measures`` of results.json.

    Args:
        result: The result of the test.
        test: The test set.
        draws: The number of draws of the bootstrap over individuals; 0 = no intervals.
        logger: The logger to use.
    """
    if len(test.trials) > 1:
        reason = f'the metrics are means over {len(test.trials)} trials'
        logger.info('No intervals: %s', reason)
        return {'individuals': 0, 'draws': 0, 'values': {}, 'intervals': {}, 'reason': reason}
    labels = [record.pid for record in test.query]
    groups = [record.group for record in test.query]
    found = measure(result.rankings[0], labels, groups, draws, SEED)
    if found['reason']:
        logger.info('No intervals: %s', found['reason'])
    else:
        logger.info('%s', interval_table(found))
    logger.info('Chance (rank-1 of a random ranking): %.1f%%', 100 * found['values']['chance'])
    return found


def interval_table(measures: Mapping[str, Any]) -> str:
    """Return the intervals of ``measures`` (utils.intervals.measure) as lines of text."""
    lines = [
        f'{100 * measures["level"]:.0f} % intervals ({measures["individuals"]} query individuals, '
        f'drawn {measures["draws"]} times with replacement; the gallery is fixed):'
    ]
    for row in shown_metrics(measures['values'], measures['intervals']):
        if row.interval:
            low, high = row.interval
            lines.append(f'{row.text:30}{row.value:7.1%}  [{low:.1%}, {high:.1%}]')
    return '\n'.join(lines)


class ShownMetric(NamedTuple):
    """A metric that people are shown.

    Attributes:
        name: Its name in results.json.
        text: Its name for people.
        value: A fraction.
        interval: Its low and high limit; None = no interval.
    """

    name: str
    text: str
    value: float
    interval: Sequence[float] | None


def shown_metrics(
    values: Mapping[str, float | None], intervals: Mapping[str, Sequence[float] | None]
) -> list[ShownMetric]:
    """Return the metrics that people are shown, without undefined ones; groups come last.

    Args:
        values: Name -> fraction; None = undefined.
        intervals: Name -> low and high limit, for those that have an interval.
    """
    groups = [name for name in values if name.endswith(('/mAP', '/rank1'))]
    names = SHOWN | {name: name for name in groups if name not in SHOWN}
    return [
        ShownMetric(name, text, value, intervals.get(name))
        for name, text in names.items()
        if (value := values.get(name)) is not None
    ]


def _short_line(metrics: Mapping[str, float]) -> str:
    names = [name for name in ('mmAP', 'mAP', 'rank1', 'rank5', 'rank10') if name in metrics]
    words = [f'{name.replace("rank", "Rank-")} {metrics[name]:.1%}' for name in names]
    return ', '.join(words) or 'no query is left'


def write_results(folder: Path, test: TestSet, result: Result, facts: dict[str, Any]) -> None:
    """Write the metrics, those of each query, and the first photos of the rankings.

    Args:
        folder: OUTPUT_DIR; earlier results there are kept and numbered.
        test: The test set.
        result: Its result.
        facts: Further facts about the run, for results.json.
    """
    names = ('results.json', 'queries.csv', 'ranked_lists.png', 'ranked_lists.csv')
    table, queries, picture, rankings = (folder / name for name in names)
    for file in (table, queries, picture, rankings):
        keep_earlier(file)
    splits = {'query': test.query, 'gallery': test.gallery}
    results = {
        'format': FORMAT,
        'metrics': result.metrics,
        'queries_without_positive': result.without_positive,
        'copies_in_gallery': result.copies,
        'trials': len(test.trials),
        'protocol': test.protocol.name,
        'protocol_text': test.protocol.text,
        'counts': {
            name: {'photos': len(records), 'individuals': individuals(records)}
            for name, records in splits.items()
        },
        'data': test.fingerprints,
    }
    write_json(table, results | facts)
    _write_queries(queries, test, result.rankings[0])
    heads = list(ranked_gallery(result.distance, test.query, test.gallery, test.protocol, TOP))
    _draw_rankings(picture, test, heads, facts)
    _write_rankings(rankings, test, heads, result.distance)
    logger.info('Results: %s, picture: %s, all rankings: %s', table, picture, rankings)


def _write_queries(path: Path, test: TestSet, ranking: Ranking) -> None:
    """Write a row for each query of the (first) trial; '' stands for an unknown value."""
    with atomic_write(path) as file:
        table = csv.writer(file, lineterminator='\n')
        table.writerow([*QUERY_COLUMNS, *ranking._fields])
        columns = [array.tolist() for array in ranking]
        for record, *numbers in zip(test.trials[0].query, *columns, strict=True):
            about = (record.path, record.pid, record.group)
            table.writerow([*about, record.side, record.camera, record.encounter, *numbers])


def _draw_rankings(path: Path, test: TestSet, heads: Heads, facts: dict[str, Any]) -> None:
    number = min(PICTURED, len(test.query))  # spread evenly over the list
    rows = []
    for query in (row * len(test.query) // number for row in range(number)):
        ranked = [(test.gallery[index].path, match) for index, match in heads[query]]
        rows.append((test.query[query].path, ranked))
    name = set_name(facts['config'])
    reranked = 're-ranked, ' if facts['re_ranking'] else ''
    title = f'{name}: first photos for a dozen queries, {reranked}green = match'
    if score := _score(facts['measures']):
        title += f'; {score}'
    ranked_lists(path, rows, title, read_image)


def set_name(config: Mapping[str, Any]) -> str:
    """Return what a flat config trains and tests on: the species, or the name of the set."""
    name = config['DATASETS.NAMES']
    return config['DATASETS.SPECIES'] if name == 'animals' else name


def _score(measures: Mapping[str, Any]) -> str:
    """Return mAP and rank-1 with their intervals, '' without intervals."""
    words = []
    for name, text in (('mAP', 'mAP'), ('rank1', 'rank-1')):
        if pair := measures['intervals'].get(name):
            low, high = pair
            words.append(f'{text} {measures["values"][name]:.1%} [{low:.1%}, {high:.1%}]')
    return ', '.join(words)


def _write_rankings(path: Path, test: TestSet, heads: Heads, distance: np.ndarray) -> None:
    with atomic_write(path) as file:
        table = csv.writer(file, lineterminator='\n')
        table.writerow(['query', 'query_label', 'rank', 'photo', 'label', 'distance', 'right'])
        for query, (asked, head) in enumerate(zip(test.query, heads, strict=True)):
            for rank, (index, match) in enumerate(head, start=1):
                photo, text = test.gallery[index], distance_text(distance[query, index])
                table.writerow(
                    [asked.path, asked.pid, rank, photo.path, photo.pid, text, int(match)]
                )
