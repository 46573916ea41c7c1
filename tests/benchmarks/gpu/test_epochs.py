"""Trainings in this process, with toy models on a fake GPU."""

import pytest
import torch
from torch._dynamo.utils import counters

from benchmarks.core import Settings
from benchmarks.gpu import epochs, trainings
from tests.benchmarks.gpu.toys import find


def test_an_epoch(gpu, tmp_path):
    found = find('rn50-epoch', tmp_path)
    assert not found.wrong and found.facts['epoch_s'] > 0 and found.facts['device_memory_gb'] == 0
    assert len(trainings.of_event(found.facts['lines'], 'stage2_epoch')) == 3


@pytest.mark.parametrize('again', [0, 1])
def test_graphs_compiled_after_the_first_epoch_are_found(gpu, tmp_path, monkeypatch, again):
    made = iter([2, 2, 2 + again])

    class Graphs(dict):
        def __getitem__(self, name):
            return next(made)

    monkeypatch.setitem(counters, 'stats', Graphs())
    monkeypatch.setattr('utils.device._try_compiler', lambda device: None)
    monkeypatch.setattr(torch.nn.Module, 'compile', lambda self: None)
    found = find('compile', tmp_path)
    assert found.facts['graphs'] == [2, 2, 2 + again] and len(found.wrong) == again


def test_the_demo(gpu, tmp_path):
    found = find('demo-fp16', tmp_path)
    assert (
        not found.wrong and 0 <= found.facts['metrics']['mAP'] <= 1 and found.facts['amp'] == 'fp16'
    )


def test_a_demo_beyond_the_seeds_spread_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(epochs, 'demo_arguments', lambda *_: ['OUTPUT_DIR', str(tmp_path)])
    monkeypatch.setattr(epochs, 'train', lambda _: [])
    (tmp_path / 'RN50_15.pth').touch()
    for score, wrong in ((0.60, 0), (0.50, 1), (float('nan'), 1)):
        monkeypatch.setattr(
            epochs.test_clipreid, 'main', lambda _, score=score: {'mAP': score, 'rank1': 0.7}
        )
        assert len(epochs.demo('off', Settings(), tmp_path).wrong) == wrong
