"""Thousands of inputs that hypothesis makes up: a reader gives a value or one line, at once, and
touches nothing.
"""

import itertools
import math
import os
import pathlib
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs import ConfigError, flatten, load_cfg
from datasets.atrw import read_atrw
from datasets.folders import PhotoFolder, locate
from datasets.images import read_image
from datasets.records import check_contiguous, read_list
from model.clip.archive import archive_state
from utils.checkpoint import load_state, load_tree
from utils.errors import InputError

from .made_up import checkpoints, configs, lists, photos
from .only_reading import Hang, Touch, told

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings('ignore')]
TIMES = int(os.environ.get('FUZZ_TIMES', 1))  # so many times the inputs, for a night


# ---------------------------------------------------------------------------- what a reader may do


@pytest.mark.parametrize(
    ('reader', 'error'),
    [
        (lambda path: pathlib.Path(path).touch(), Touch),
        (lambda path: os.open(path, os.O_CREAT), Touch),
        (lambda path: os.mkdir(path), Touch),
        (lambda path: os.system(f'touch {path}'), Touch),
        (lambda path: time.sleep(9), Hang),
        (lambda path: {}[path], KeyError),
    ],
)
def test_what_must_not_happen_is_noticed(tmp_path, monkeypatch, reader, error):
    monkeypatch.setattr('tests.faults.only_reading.SECONDS', 0.2)
    with pytest.raises(error):
        told(reader, str(tmp_path / 'victim'))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('line', ['', 'a\nb', 'a\x1b[31mb', 'x' * 5000])
def test_what_is_no_single_line_is_noticed(line):
    def reader():
        raise InputError(line)

    with pytest.raises(AssertionError):
        told(reader)


# ------------------------------------------------------------------------------------- the readers


@pytest.fixture
def try_all(record_property):
    """A function (name, strategy, check, examples): ``check(value)``, True where it was read, for
    so many values.

    Returns how many were read; the number of values goes into the suite's summary. The same values
    each time.
    """

    def run(name, strategy, check, examples=2000):
        tried = good = 0

        @settings(
            max_examples=TIMES * examples,
            derandomize=True,
            database=None,
            deadline=None,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def one(value):
            nonlocal tried, good
            tried += 1
            good += bool(check(value))

        one()
        assert tried >= TIMES * examples
        record_property('inputs', [name, tried])
        return good

    return run


def written(folder, name='input'):
    """A function that writes bytes to the one file and returns its path."""

    def write(content):
        (folder / name).write_bytes(content)
        return str(folder / name)

    return write


@pytest.mark.parametrize(('kind', 'strategy'), [('text', lists.LISTS), ('bytes', lists.RAW_LISTS)])
def test_lists(kind, strategy, tmp_path, try_all):
    root, write = tmp_path / 'photos', written(tmp_path)
    lists.make_photos(root, tmp_path / 'outside')

    def check(drawn):
        content, allow_outside, skip_missing = drawn
        path = write(content.replace(b'{outside}', str(tmp_path / 'outside').encode()))
        records, _ = told(read_list, path, allow_outside)
        if records is None:
            return False
        assert records and all(record.path and record.viewid in (0, 1) for record in records)
        assert min(torch.tensor([record.pid for record in records])) >= 0
        told(check_contiguous, records, path)
        found, _ = told(
            locate,
            records,
            PhotoFolder(str(root), 'KEY', skip_missing, allow_outside),
            path,
        )
        for record in found or ():
            assert os.path.isfile(record.path)
            assert allow_outside or os.path.realpath(record.path).startswith(f'{root}/')
        return found

    assert try_all('lists', st.tuples(strategy, st.booleans(), st.booleans()), check) > 10
    assert sorted(os.listdir(tmp_path)) == ['input', 'outside', 'photos']


def test_ground_truths(tmp_path, try_all):
    write = written(tmp_path)

    def check(content):
        truth, _ = told(read_atrw, write(content))
        for record in (truth or {}).values():
            assert type(record.pid) is int and int(record.path) < 2**63
            assert record.group in ('sing', 'multi') and len(record.frame) == 3
        return truth

    assert try_all('ground truths', lists.GROUND_TRUTHS, check) > 10


def test_photos(tmp_path, try_all):
    write = written(tmp_path)

    def check(content):
        image, _ = told(read_image, write(content))
        assert image is None or (image.mode == 'RGB' and min(image.size) > 0)
        return image

    assert try_all('photos', photos.photos(), check) > 100
    assert os.listdir(tmp_path) == ['input']


def sound(cfg):
    """The values: all keys are there, each of the type of its default, and finite."""
    values = flatten(cfg)
    assert cfg.is_frozen()
    assert {key: type(value) for key, value in values.items()} == {
        key: type(value) for key, value in configs.DEFAULTS.items()
    }
    assert all(math.isfinite(value) for value in values.values() if isinstance(value, float))
    return values


@pytest.mark.parametrize(
    ('kind', 'strategy'),
    [('values', configs.YMLS), ('text', configs.YML_PIECES), ('bytes', configs.RAW_YMLS)],
)
def test_config_files(kind, strategy, tmp_path, try_all):
    write = written(tmp_path, 'input.yml')
    (tmp_path / 'other.yml').write_text('_BASE_: input.yml\nMODEL: {NAME: RN101}')

    def check(content):
        cfg, _ = told(load_cfg, write(content), error=ConfigError)
        if cfg is not None:
            values = sound(cfg)
            assert sound(load_cfg(write(cfg.dump().encode()))) == values  # as a run's config.yml
        return cfg

    assert try_all('config files', strategy, check) > 5
    assert sorted(os.listdir(tmp_path)) == ['input.yml', 'other.yml']


def test_overrides(try_all):
    def check(words):
        cfg, _ = told(load_cfg, '', words, error=ConfigError)
        return cfg is not None and sound(cfg)

    assert try_all('overrides', configs.OVERRIDES, check) > 100


def tensors_of(value):
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return []
    return list(itertools.chain.from_iterable(map(tensors_of, value)))


@pytest.mark.parametrize(
    ('reader', 'kind', 'fewest'),
    [
        *itertools.product([load_state, load_tree], ['mutated', 'pickles'], [30]),
        *itertools.product([load_state, load_tree], ['safetensors', 'bytes'], [0]),
        (load_state, 'archives', 0),
        (archive_state, 'archives', 50),
    ],
)
def test_checkpoints(reader, kind, fewest, tmp_path, monkeypatch, try_all):
    monkeypatch.chdir(tmp_path)
    write = written(tmp_path)
    strategy = {
        'mutated': checkpoints.checkpoints('victim'),
        'archives': checkpoints.torchscripts(),
        'pickles': checkpoints.PICKLES,
        'safetensors': checkpoints.SAFETENSORS,
        'bytes': checkpoints.RAW_CHECKPOINTS,
    }[kind]

    def check(content):
        value, line = told(reader, write(content), key='TEST.WEIGHT')
        assert line is None or line.startswith('TEST.WEIGHT: ')
        for tensor in tensors_of(value):
            tensor.double().sum().item()  # all of its memory is there
        return line is None

    assert try_all('checkpoints', strategy, check) >= fewest
    assert os.listdir(tmp_path) == ['input']
