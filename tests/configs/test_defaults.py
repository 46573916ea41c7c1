"""The published values: the defaults, and the ymls of the species."""

import pytest

from configs import load_cfg
from tests.configs.common import PUBLISHED, plain
from tests.helpers import ROOT

NEW = {
    'DATASETS.LIST_DIR': 'datalist',
    'DATASETS.TRAIN_LIST': '',
    'DATASETS.VAL_LIST': '',
    'DATASETS.QUERY_LIST': '',
    'DATASETS.GALLERY_LIST': '',
    'DATASETS.PROTOCOL': '',
    'DATASETS.GROUND_TRUTH': '',
    'DATASETS.SKIP_MISSING': False,
    'DATASETS.SKIP_BROKEN': False,
    'MODEL.PROMPT': '',
    'MODEL.PROMPT_START': 'random',
    'MODEL.TRIPLET_DISTANCE': 'euclidean',
    'MODEL.FREEZE_STEM': False,
    'MODEL.FREEZE_NORMS': False,
    'MODEL.ACTIVATION': 'auto',
    'DATASETS.TEST_SIZE': 800,
    'SOLVER.AMP': 'auto',
    'MODEL.COMPILE': False,
    'MODEL.SYNC_BN': False,
    'DATASETS.ALLOW_OUTSIDE': False,
    'SOLVER.DETERMINISTIC': False,
    'SOLVER.RESUME': '',
    'SOLVER.RESUME_PERIOD': 1,
    'SOLVER.CHECKPOINT_MINUTES': 0.0,
    'SOLVER.CHECKPOINT_FORMAT': 'pth',
    'DATALOADER.CACHE_GB': 8.0,
    'TEST.RERANK_TIES': 'index',
    'TEST.RERANK_K1': 20,
    'TEST.RERANK_K2': 6,
    'TEST.RERANK_LAMBDA': 0.3,
    'TEST.BOOTSTRAP': 1000,
    'TEST.REPORT': True,
    'TEST.EXPLAIN': 8,
    'TEST.WHITENING': '',
    'TEST.PRECISION': 'fp32',
    'TEST.BASELINES': True,
}


def golden(values):
    types = {
        **PUBLISHED['_types'],
        'SOLVER.STAGE2.STEPS': 'tuple',
    }  # the file shows tuples as lists
    return {key: (types[key], value) for key, value in values.items()}


def test_defaults_are_the_published_ones():
    ours = plain(load_cfg())
    theirs = golden(PUBLISHED['_defaults'])
    assert theirs.pop('MODEL.NAME') == ('str', 'resnet50')  # which the original could not build
    assert ours.pop('MODEL.NAME') == ('str', 'RN50')
    assert {key: ours.pop(key) for key in NEW} == {
        key: (type(value).__name__, value) for key, value in NEW.items()
    }
    assert ours == theirs


@pytest.mark.parametrize('file', sorted(PUBLISHED['loads']))
def test_species_yml(file):
    ours = plain(load_cfg(ROOT / file))
    assert {key: ours.pop(key)[1] for key in NEW} == NEW
    assert ours == golden(PUBLISHED['loads'][file])
    assert 6 <= len((ROOT / file).read_text().splitlines()) <= 15


def test_there_are_twelve():
    files = {
        f'configs/{species}/{kind}_clipreid{photos}.yml'
        for species in ('tiger', 'yak', 'elephant')
        for kind in ('cnn', 'vit')
        for photos in ('', '_ori')
    }
    assert files == set(PUBLISHED['loads'])
    assert files == {
        str(p.relative_to(ROOT))
        for s in ('tiger', 'yak', 'elephant')
        for p in (ROOT / 'configs' / s).iterdir()
    }
