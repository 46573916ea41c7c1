"""Thousands of inputs that hypothesis makes up: a reader gives a value or one line, at once, and
touches nothing.
"""

import itertools
import math
import os
import pathlib
import signal
import sys
import time
from contextlib import contextmanager

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs import ConfigError, flatten, load_cfg
from datasets.images import read_image
from datasets.protocols import read_atrw
from datasets.records import check_contiguous, locate, read_list
from model.clip.archive import archive_state
from utils.checkpoint import load_state, load_tree
from utils.errors import InputError

from . import made_up

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings('ignore')]
SECONDS = 20  # for one input, on a busy machine
TIMES = int(os.environ.get('FUZZ_TIMES', 1))  # so many times the inputs, for a night


# ---------------------------------------------------------------------------- what a reader may do


class Hang(BaseException):
    """No Exception, so that no reader takes it for a damaged file."""


class Touch(BaseException):
    """A reader writes, deletes, or starts a program."""


WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FORBIDDEN = {
    'os.system',
    'os.exec',
    'os.posix_spawn',
    'os.fork',
    'subprocess.Popen',
    'socket.connect',
    'shutil.rmtree',
    *(
        f'os.{name}'
        for name in ('mkdir', 'remove', 'rmdir', 'rename', 'link', 'symlink', 'chmod', 'truncate')
    ),
}
watching = False


def _watch(event, args):
    if watching and (
        event in FORBIDDEN or (event == 'open' and isinstance(args[2], int) and args[2] & WRITING)
    ):
        raise Touch(event, args)


sys.addaudithook(_watch)


@contextmanager
def only_reading():
    """Within, a file that is opened for writing, a program that is started or 20 seconds are an
    error.
    """
    global watching

    def hang(*_):
        raise Hang(f'no answer after {SECONDS} s')

    before = signal.signal(signal.SIGALRM, hang)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    watching = True
    try:
        yield
    finally:
        watching = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def told(reader, *args, error=InputError, **options):
    """(value, None) or (None, line): what the reader says; anything else fails."""
    try:
        with only_reading():
            return reader(*args, **options), None
    except error as caught:
        line = str(caught)
        assert 0 < len(line) < 1000
        assert not set(line) & set('\n\r\0\x1b\x85\u2028\u2029'), line
        return None, line


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
    monkeypatch.setattr(sys.modules[__name__], 'SECONDS', 0.2)
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


@pytest.mark.parametrize(
    ('kind', 'strategy'), [('text', made_up.LISTS), ('bytes', made_up.RAW_LISTS)]
)
def test_lists(kind, strategy, tmp_path, try_all):
    root, write = tmp_path / 'photos', written(tmp_path)
    made_up.make_photos(root, tmp_path / 'outside')

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
            str(root),
            skip_missing,
            what=path,
            key='KEY',
            allow_outside=allow_outside,
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
        for imgid, (entity, group, frame) in (truth or {}).items():
            assert (
                type(imgid) is type(entity) is int
                and group in ('sing', 'multi')
                and len(frame) == 3
            )
        return truth

    assert try_all('ground truths', made_up.GROUND_TRUTHS, check) > 10


def test_photos(tmp_path, try_all):
    write = written(tmp_path)

    def check(content):
        image, _ = told(read_image, write(content))
        assert image is None or (image.mode == 'RGB' and min(image.size) > 0)
        return image

    assert try_all('photos', made_up.photos(), check) > 100
    assert os.listdir(tmp_path) == ['input']


def sound(cfg):
    """The values: all keys are there, each of the type of its default, and finite."""
    values = flatten(cfg)
    assert cfg.is_frozen()
    assert {key: type(value) for key, value in values.items()} == {
        key: type(value) for key, value in made_up.DEFAULTS.items()
    }
    assert all(math.isfinite(value) for value in values.values() if isinstance(value, float))
    return values


@pytest.mark.parametrize(
    ('kind', 'strategy'),
    [('values', made_up.YMLS), ('text', made_up.YML_PIECES), ('bytes', made_up.RAW_YMLS)],
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

    assert try_all('overrides', made_up.OVERRIDES, check) > 100


def tensors_of(value):
    if isinstance(value, torch.Tensor):
        return [value]
    values = (
        value.values()
        if isinstance(value, dict)
        else value
        if isinstance(value, list | tuple)
        else ()
    )
    return [tensor for part in values for tensor in tensors_of(part)]


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
        'mutated': made_up.checkpoints('victim'),
        'archives': made_up.torchscripts(),
        'pickles': made_up.PICKLES,
        'safetensors': made_up.SAFETENSORS,
        'bytes': made_up.RAW_CHECKPOINTS,
    }[kind]

    def check(content):
        value, line = told(reader, write(content), key='TEST.WEIGHT')
        assert line is None or line.startswith('TEST.WEIGHT: ')
        for tensor in tensors_of(value):
            tensor.double().sum().item()  # all of its memory is there
        return line is None

    assert try_all('checkpoints', strategy, check) >= fewest
    assert os.listdir(tmp_path) == ['input']
