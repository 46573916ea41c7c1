"""Fixtures that all tests share; ``tests.helpers`` has the functions."""

import os
import signal
from types import SimpleNamespace

import pytest
import torch
from torch._subclasses import fake_tensor

from tests.forked import Zygote
from tests.helpers import TOY, World, toy_clip_state
from utils.logger import close_logger

torch.set_num_threads(1)  # on toy tensors two threads are slower than one


@pytest.fixture(scope='session')
def toy_weights(tmp_path_factory):
    """{name: path of a toy CLIP's weights}"""
    folder = tmp_path_factory.mktemp('weights')
    for name in TOY:
        torch.save(toy_clip_state(name), folder / f'{name}.pth')
    return {name: str(folder / f'{name}.pth') for name in TOY}


@pytest.fixture
def world(tmp_path, toy_weights):
    return World(tmp_path, toy_weights)


@pytest.fixture(scope='session')
def zygote():
    """Starts our programs as processes of their own, in a moment."""
    if not hasattr(os, 'fork'):
        pytest.skip('needs os.fork')
    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.fixture(autouse=True)
def _runs_ended(request):
    yield
    if 'zygote' in request.fixturenames:
        request.getfixturevalue('zygote').end_runs()


@pytest.fixture
def no_pictures(monkeypatch):
    """Tests of models draw no ranked_lists.png, which takes longer than all else in a toy world."""
    monkeypatch.setattr('processor.results.ranked_lists', lambda *_, **__: None)


@pytest.fixture
def cuda(monkeypatch):
    """torch says that there is a GPU. For tensors on it enter ``fake_cuda()``, or this fixture, a
    ``FakeTensorMode``.
    """
    answers = {
        'is_available': True,
        'is_bf16_supported': True,
        'device_count': 1,
        'get_device_name': 'no GPU',
        'get_device_capability': (9, 0),
        'max_memory_allocated': 0,
        'get_rng_state': torch.zeros(16, dtype=torch.uint8),
        'set_rng_state': None,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, _answer=answer, **__: _answer)
    stream = SimpleNamespace(is_capturing=lambda: False)
    monkeypatch.setattr(
        torch.accelerator, 'current_stream', lambda *_: stream
    )  # asked for by the optimizers
    monkeypatch.setattr(fake_tensor.FakeTensorMode, 'avoid_device_init', True)
    monkeypatch.setattr(fake_tensor, 'init_gpu_context', lambda *_: None)
    return fake_tensor.FakeTensorMode(allow_non_fake_inputs=True)


@pytest.fixture(autouse=True)
def _logs_closed():
    yield
    close_logger()


@pytest.fixture(autouse=True)
def _signals_arrive():
    """Tests that run in the background or under nohup may have inherited ignored signals."""
    earlier = {
        number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    earlier[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in earlier.items():
        signal.signal(number, handler)
