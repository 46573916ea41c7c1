"""Records, distances and golden numbers for tests of the metrics."""

import json

import numpy as np
import pytest

from datasets.records import Record
from tests.helpers import GOLDEN, PUBLISHED_LISTS

EVAL = json.loads((GOLDEN / 'eval.json').read_text())
ATRW_NAMES = {
    'mmAP': 'mmAP',
    'sing_mAP': 'sing/mAP',
    'sing_top1': 'sing/rank1',
    'sing_top5': 'sing/rank5',
    'multi_mAP': 'multi/mAP',
    'multi_top1': 'multi/rank1',
    'multi_top5': 'multi/rank5',
}


def records(pids, camids=None):
    camids = [0] * len(pids) if camids is None else camids
    return [
        Record(f'{index}.jpg', int(pid), int(cam))
        for index, (pid, cam) in enumerate(zip(pids, camids))
    ]


def subset_of(metrics, expected):
    return {name: metrics[name] for name in expected}


def tiger_set():
    """Features of the 1764 test photos by the rule of README-eval.md, and their records."""
    if not (PUBLISHED_LISTS / 'mytest.txt').exists():
        pytest.skip('the tiger lists are not here')
    lines = [
        line.split()
        for line in (PUBLISHED_LISTS / 'mytest.txt').read_text().splitlines()
        if line.strip()
    ]
    truth = {
        entry['imgid']: entry
        for entry in json.loads((PUBLISHED_LISTS / 'gt_test_plain.json').read_text())
    }
    entries = [truth[int(name.removesuffix('.jpg'))] for name, *_ in lines]
    photos = [
        Record(name, int(label), frame=tuple(entry['frame']), group=entry['query'])
        for (name, label, *_), entry in zip(lines, entries)
    ]
    facts = EVAL['tiger']['A']
    _, label = np.unique([photo.pid for photo in photos], return_inverse=True)
    sequences = sorted({photo.frame[:2] for photo in photos})
    sequence = [sequences.index(photo.frame[:2]) for photo in photos]
    generator = np.random.default_rng(facts['seed'] + 30000)
    centre, scene, noise = (
        generator.standard_normal((size, facts['dim']))
        for size in (label.max() + 1, len(sequences), len(photos))
    )
    x = (centre[label] + facts['rho'] * scene[sequence] + facts['sigma'] * noise).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True), photos
