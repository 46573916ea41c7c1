"""Results of tests, as test_clipreid.py writes them, from the rank of each query's only match."""

import csv
import json

import numpy as np

from configs import flatten, load_cfg
from processor.results import FORMAT
from utils.intervals import measure
from utils.ranking import Ranking

INDIVIDUALS, PHOTOS = 12, 3  # of the queries
LABELS = np.repeat(np.arange(INDIVIDUALS), PHOTOS)
COMPARED = 10  # gallery photos of each query
DATA = {name: {'photos': 36, 'sha256': 64 * sign} for name, sign in zip(('query', 'gallery'), 'ab')}


def random_ranks(seed, worst=4):
    """The rank of each query's match, 1 … worst."""
    return np.random.default_rng(seed).integers(1, worst + 1, len(LABELS))


def write_run(folder, ranks, *options, labels=LABELS, groups=None, **facts):
    """Write results.json, queries.csv and ranked_lists.csv.

    Args:
        folder: OUTPUT_DIR.
        ranks: (Q,), from 1: the rank of the only match of each query.
        options: KEY, VALUE, … of the config.
        labels: (Q,).
        groups: (Q,), '' = none.
        facts: Other facts of results.json.
    """
    folder.mkdir(parents=True)
    groups = groups or [''] * len(labels)
    one = np.ones(len(labels), dtype=int)
    ranks = np.asarray(ranks)
    ranking = Ranking(1 / ranks, ranks, ranks, one, COMPARED * one, one.astype(bool))
    measures = measure(ranking, labels, groups, 200, 0)
    names = ('mAP', 'rank1', 'rank5', 'rank10')
    config = flatten(load_cfg(opts=['OUTPUT_DIR', str(folder), *map(str, options)]))
    usual = {
        'format': FORMAT,
        'metrics': {name: measures['values'][name] for name in names},
        'trials': 1,
        'protocol': 'query_apart',
        'protocol_text': 'nothing is dropped',
        'data': DATA,
        'checkpoint': str(folder / 'RN50_80.pth'),
        're_ranking': None,
        'config': config,
        'measures': measures,
    }
    (folder / 'results.json').write_text(json.dumps(usual | facts))
    _write_queries(folder / 'queries.csv', labels, groups, ranking)
    _write_rankings(folder / 'ranked_lists.csv', labels, ranks)
    return folder


def _write_queries(path, labels, groups, ranking):
    columns = [column.tolist() for column in ranking]
    with path.open('w', newline='') as file:
        table = csv.writer(file)
        about = ('query', 'query_label', 'group', 'side', 'camera', 'encounter')
        table.writerow([*about, *Ranking._fields])
        for number, (label, group, *values) in enumerate(zip(labels, groups, *columns)):
            table.writerow([f'test/q{number}.png', label, group, '', '', '', *values])


def _write_rankings(path, labels, ranks):
    with path.open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['query', 'query_label', 'rank', 'photo', 'label', 'distance', 'right'])
        for number, (label, match) in enumerate(zip(labels, ranks)):
            for rank in range(1, COMPARED + 1):
                found = label if rank == match else 99
                row = [label, rank, f'test/g{number}_{rank}.png', found, rank / 10, rank == match]
                table.writerow([f'test/q{number}.png', *row[:-1], int(row[-1])])
