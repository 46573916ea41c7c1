"""Memory that ends and waits for the device, on a fake GPU."""

import warnings

import pytest
import torch

from benchmarks.gpu import __main__ as check
from benchmarks.gpu import limits, trainings
from tests.benchmarks.gpu.toys import find
from utils.errors import InputError


def test_waits_that_grow_with_the_iterations_are_found(gpu, tmp_path, monkeypatch):
    """The fake device notes waits by itself; on a GPU they are warnings of torch."""
    modes, real = [], limits.train
    monkeypatch.setattr(torch.cuda, 'set_sync_debug_mode', modes.append)

    def train(arguments):
        real(arguments)
        for _ in range(2 if 'output32' in ' '.join(arguments) else 4):
            warnings.warn_explicit(
                'called a synchronizing CUDA operation', UserWarning, '/somewhere/loop.py', 7
            )

    monkeypatch.setattr(limits, 'train', train)
    found = find('waits', tmp_path)
    assert modes == ['warn', 'default'] * 2
    assert found.facts['waits'] == [{'loop.py:7': 2}, {'loop.py:7': 4}] and found.wrong == [
        'loop.py:7 waits 2 more times'
    ]


@pytest.mark.parametrize(
    'error, wrong',
    [
        (torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 MiB.'), 0),
        (InputError('no photos'), 1),
        (None, 1),
    ],
)
def test_memory_that_ends(gpu, tmp_path, monkeypatch, error, wrong):
    shares = []
    monkeypatch.setattr(
        torch.cuda,
        'set_per_process_memory_fraction',
        lambda share, index: shares.append((share, index)),
    )

    def forward(*_, **__):
        raise error

    if error:
        monkeypatch.setattr('model.reid_model.ReIDModel.forward', forward)
    found = find('memory', tmp_path)
    assert shares == [(pytest.approx(2 / 80), 0)] and len(found.wrong) == wrong
    assert found.text.startswith('out of memory (CUDA') or wrong


def test_a_rank_without_memory(gpu, monkeypatch):
    shares, arguments = [], ['--config_file', 'a.yml', 'MODEL.DEVICE', 'cuda']
    monkeypatch.setattr(
        torch.cuda,
        'set_per_process_memory_fraction',
        lambda share, index: shares.append((share, index)),
    )
    monkeypatch.setattr(trainings.train_clipreid, 'main', shares.append)
    monkeypatch.setenv('LOCAL_RANK', '1')
    check.main(['--starve', *arguments])
    assert shares == [(pytest.approx(1e-3 / 80), 1), arguments]
