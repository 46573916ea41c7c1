"""Calibrators as files: they come back, or are rejected in one line."""

import json

import numpy as np
import pytest

from tests.wildlife.identify.worlds import random_table
from utils.errors import InputError
from wildlife.identify.calibration_file import FORMAT, load_calibrator, save_calibrator
from wildlife.identify.fitting import fit_calibrator, leave_out

MODEL = {'model_sha256': 'abc', 'whitening': None}


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp('calibrator') / 'calibrator.json'
    calibrator = fit_calibrator(leave_out(random_table(individuals=20), 0), draws=100)
    save_calibrator(calibrator.with_facts(**MODEL), path)
    return calibrator, path


def test_it_comes_back(saved):
    calibrator, path = saved
    again = load_calibrator(path, MODEL)
    table = random_table(seed=3, individuals=20)
    expected = calibrator.label_probabilities(table)
    np.testing.assert_array_equal(again.label_probabilities(table), expected)
    assert again.thresholds(0.05) == calibrator.thresholds(0.05)
    assert again.set_limits == calibrator.set_limits and again.alpha == calibrator.alpha
    assert again.tells_new == calibrator.tells_new
    assert again.facts['log_loss'] == calibrator.facts['log_loss']


def test_another_model_is_rejected(saved):
    with pytest.raises(InputError, match="its model_sha256 is 'abc', here it is 'xyz'; simil"):
        load_calibrator(saved[1], {'model_sha256': 'xyz'})


@pytest.mark.parametrize(
    'change, said',
    [
        ({'format': 9}, 'has format 9, but this version reads'),
        ({'format': 1, 'errors': {}}, 'has format 1, but this version reads 2; fit one'),
        ({'format': None}, 'has format None'),
        ({'kind': 'forest'}, 'is damaged'),
        ({'right': {'weights': [1, 2, 3, 4, 5], 'intercept': 0}}, 'is damaged'),
        ({'right': {'weights': 'x', 'intercept': 0}}, 'is damaged'),
        ({'known': None}, 'is damaged'),
        ({'share': None}, 'is damaged'),
        ({'sharpness': float('nan')}, 'is damaged'),
        ({'set_limits': [0.9, float('nan')]}, 'is damaged'),
        ({'set_limits': 0.9}, 'is damaged'),
        ({'errors': [{'new_scores': [0.5, 7], 'new_doubts': []}]}, 'is damaged'),
        ({'errors': [{'new_scores': [], 'new_doubts': [[0.5]]}]}, 'is damaged'),
        ({'facts': 3}, 'is damaged'),
    ],
)
def test_damage_is_one_line(saved, tmp_path, change, said):
    content = json.loads(saved[1].read_text()) | change
    path = tmp_path / 'c.json'
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        load_calibrator(path, {})
    assert said in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('text', ['', '[]', '3', '{', '\x00', '{"format": 2}'])
def test_other_files_are_rejected(tmp_path, text):
    path = tmp_path / 'c.json'
    path.write_text(text)
    with pytest.raises(InputError, match='not a calibrator, or is damaged'):
        load_calibrator(path, {})
    with pytest.raises(InputError, match='not a calibrator'):
        load_calibrator(tmp_path / 'gone.json', {})


def test_the_format_is_in_the_file(saved):
    assert json.loads(saved[1].read_text())['format'] == FORMAT
