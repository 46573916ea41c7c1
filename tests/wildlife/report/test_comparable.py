"""Which results can be compared, and what differs between them."""

import pytest

from configs import ignored_keys
from tests.wildlife.report.runs import DATA, random_ranks
from utils.errors import InputError
from wildlife.report.comparable import (
    check_comparable,
    differing_settings,
    settings,
    why_not_comparable,
)


@pytest.fixture
def result(make):
    """``result(name, KEY, VALUE, …)``: all have the same ranks."""
    return lambda name, *options, **facts: make(name, random_ranks(0), *options, **facts)


def test_the_same_photos_and_protocol_can_be_compared(result):
    a = result('a')
    b = result('b', 'MODEL.NAME', 'ViT-B-16', re_ranking={'k1': 20})
    assert why_not_comparable(a, b) == ''
    check_comparable(a, b)


@pytest.mark.parametrize(
    'facts, words',
    [
        ({'protocol': 'all'}, "protocols differ: 'query_apart' and 'all'"),
        ({'protocol_text': 'other'}, "protocols differ: 'nothing is dropped' and 'other'"),
        (
            {'data': DATA | {'gallery': {'photos': 36, 'sha256': 64 * 'c'}}},
            'gallery lists differ: 36 photos, fingerprint bbbbbbbb and 36 photos, fingerprint cccc',
        ),
        ({'data': {'query': DATA['query']}}, 'gallery lists differ: 36 photos, fingerprint'),
        ({'data': DATA | {'more': DATA['query']}}, 'more lists differ: none and 36 photos'),
    ],
)
def test_other_photos_and_protocols_are_rejected(result, facts, words):
    a, b = result('a'), result('b', **facts)
    with pytest.raises(InputError) as caught:
        check_comparable(a, b)
    assert words in str(caught.value) and 'test both checkpoints with' in str(caught.value)


def test_seed_folder_and_checkpoint_are_no_setting(result, tmp_path):
    own = ('SOLVER.RESUME', 'auto', 'TEST.BOOTSTRAP', 0, 'TEST.REPORT', False, 'TEST.WEIGHT', '/x')
    a = result('a', *own, 'SOLVER.SEED', 1, 'MODEL.PRETRAIN_PATH', tmp_path / 'a/x.pth')
    b = result('b', 'SOLVER.SEED', 2, 'MODEL.PRETRAIN_PATH', tmp_path / 'b/x.pth')
    assert settings(a) == settings(b)
    assert settings(a)['MODEL.PRETRAIN_PATH'] == '<run>/x.pth'
    assert differing_settings([a, b]) == {}


def test_settings_that_differ(result):
    a = result('a', 'MODEL.I2T_LOSS_WEIGHT', 0.5)
    b = result('b', 'MODEL.PRETRAIN_PATH', '/elsewhere/x.pth')
    del b.config['TEST.RE_RANKING']  # of an older version: this one's default counts
    b.config['MODEL.GONE'] = 1  # of another version
    assert differing_settings([a, b, b]) == {
        'MODEL.I2T_LOSS_WEIGHT': [0.5, 1.0, 1.0],
        'MODEL.PRETRAIN_PATH': ['', '/elsewhere/x.pth', '/elsewhere/x.pth'],
        'MODEL.GONE': [None, 1, 1],
    }


def test_a_checkpoint_without_a_folder_changes_no_path(result):
    """It was tested from within its folder; 'lists' is not below that of the run."""
    a = result('a', 'DATASETS.LIST_DIR', 'lists', checkpoint='RN50_80.pth')
    b = result('b', 'DATASETS.LIST_DIR', 'lists')
    assert settings(a)['DATASETS.LIST_DIR'] == 'lists' and settings(a) == settings(b)


def test_paths_are_those_below_the_folders_of_the_run(result, tmp_path):
    """First its OUTPUT_DIR, then the folder of its checkpoint; a name is not a path."""
    places = ('MODEL.PRETRAIN_PATH', tmp_path / 'a/x.pth', 'DATASETS.LIST_DIR', tmp_path / 'lists')
    found = settings(result('a', *places, checkpoint=str(tmp_path / 'RN50_80.pth')))
    assert found['MODEL.PRETRAIN_PATH'] == '<run>/x.pth'
    assert found['DATASETS.LIST_DIR'] == '<run>/lists'
    assert settings(result('b', checkpoint='RN50/RN50_80.pth'))['MODEL.NAME'] == 'RN50'


def test_a_file_of_features_is_in_no_run(result, tmp_path):
    """It may lie beside the lists, whose folder is then no folder of a run."""
    a = result('a', 'DATASETS.LIST_DIR', tmp_path / 'lists', checkpoint=str(tmp_path / 'x.npz'))
    a.facts['features'] = {'file': str(tmp_path / 'x.npz')}
    assert settings(a)['DATASETS.LIST_DIR'] == str(tmp_path / 'lists')


def test_keys_without_effect_are_no_setting(result):
    a = result('a')
    a.config.update(dict.fromkeys(ignored_keys(), 'x'))
    assert ignored_keys() and differing_settings([a, result('b')]) == {}
