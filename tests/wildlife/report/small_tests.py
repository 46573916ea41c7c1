"""A small test and its result: distances of random features, photos on the disk if needed."""

from pathlib import Path

import numpy as np

from configs import flatten, load_cfg
from datasets.loaders import TestSet, Trial
from datasets.protocols import PROTOCOLS
from datasets.records import Record
from processor.inference import Result
from tests.helpers import write_photo
from utils.intervals import measure
from utils.metrics import rank_queries, summarize

INDIVIDUALS, PHOTOS = 14, 5
LONELY = 13  # an individual with a single encounter: no match in 'cross-encounter'
EVIL = 'x</script><img src=q onerror=alert(1)>'  # a folder in a folder: 'x<' and 'script>…'


def records(folder, individuals=INDIVIDUALS, photos=PHOTOS):
    """The photos of a test, each in the query list and in the gallery."""
    found = []
    for individual in range(individuals):
        for number in range(photos):
            name = f'{EVIL}/{number} #1%.png' if individual == 0 else f'{individual}/{number}.png'
            found.append(
                Record(
                    str(folder / 'photos' / name),
                    individual,
                    side=number % 2,
                    encounter=10 * individual + (0 if individual == LONELY else number // 2),
                )
            )
    return found


def distances(labels, seed=0, spread=1.6):
    """Cosine distances (N, N) float32 of random features with one centre per label."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(labels) + 1, 8))
    features = centres[labels] + spread * rng.normal(size=(len(labels), 8))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return (1 - features @ features.T).astype(np.float32)


def small_test(folder, protocol='cross-encounter', trials=1, **sizes):
    """Return (TestSet, Result, facts); no photo is written."""
    photos, rules = records(folder, **sizes), PROTOCOLS[protocol]
    labels = [record.pid for record in photos]
    distance = distances(labels)
    ranking = rank_queries(distance, photos, photos, rules)
    trial = Trial(photos, photos, None, None)
    test = TestSet(None, photos, photos, rules, {}, [trial] * trials)
    groups = [''] * len(photos)
    result = Result(summarize(ranking, groups), distance, {}, {}, [ranking])
    measures = measure(ranking, labels, groups, 200, 0)
    return test, result, facts_of(folder, measures)


def facts_of(folder, measures):
    """What the report needs of results.json."""
    options = ('DATASETS.NAMES', 'animals', 'DATASETS.SPECIES', 'toy & co')
    roots = ('DATASETS.TEST_ROOT_DIR', str(folder / 'photos'), 'DATASETS.LIST_DIR', str(folder))
    return {
        'config': flatten(load_cfg(opts=[*options, *roots])),
        'measures': measures,
        're_ranking': None,
        'checkpoint': str(folder / 'RN50_80.pth'),
        'version': '0',
        'device': 'cpu',
    }


def write_photos(test):
    """Write a photo for each record."""
    for number, record in enumerate(test.query):
        write_photo(Path(record.path), record.pid, number, (96, 64))
