"""Parts that need no training, with toy models on a fake GPU."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from benchmarks import stage2
from benchmarks.gpu import measures
from tests.benchmarks.gpu.toys import FAKE, find


@pytest.mark.parametrize('cudnn', [False, True])
def test_the_device_and_tf32(gpu, tmp_path, monkeypatch, cudnn):
    monkeypatch.setattr(measures, 'make_runtime', lambda device: SimpleNamespace(precision='bf16'))
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', cudnn)
    found = find('device', tmp_path)
    assert (
        found.text.startswith('no GPU, 80 GB, capability 9.0; torch ')
        and 'auto is bf16' in found.text
    )
    assert found.wrong == (['float32 is computed in TF32'] if cudnn else [])


@pytest.mark.parametrize('error', [0.0, 1e-3])
def test_features_of_another_precision_are_found(gpu, tmp_path, monkeypatch, error):
    real = measures.relative_difference
    monkeypatch.setattr(
        measures, 'relative_difference', lambda here, there: real(here, there * (1 + error))
    )
    found = find('features', tmp_path)
    assert found.facts.keys() == {'RN50', 'ViT'} and len(found.wrong) == (2 if error else 0)


def test_re_ranking_on_both_devices(gpu, tmp_path, monkeypatch):
    found = find('rerank', tmp_path)
    assert (
        not found.wrong
        and found.facts['difference'] < 1e-5
        and found.facts['deterministic_difference'] < 1e-5
    )
    assert [(one['photos'], one['k1'], one['peak_gb']) for one in found.facts['large']] == [
        (300, 20, 3.0),
        (300, 50, 3.0),
    ]
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize('allowed, wrong', [(1e-2, 0), (0.0, 1)])
def test_steps_and_losses_of_both_formulations(gpu, tmp_path, monkeypatch, allowed, wrong):
    case = replace(stage2.loss_case(FAKE, 'ViT'), tolerance=allowed)
    monkeypatch.setattr(stage2, 'loss_case', lambda *_: case)
    found = find('vit-step', tmp_path)
    assert len(found.wrong) == wrong and 0 < found.facts['losses_difference'] < 1e-2
    assert all(
        word in found.text
        for word in ('s per step of 8 photos', 'idle', 'peak 3.0 GB', 'losses differ by')
    )


def test_kernels_of_cudnn(gpu, tmp_path):
    before = torch.backends.cudnn.benchmark
    assert (
        'with cudnn.benchmark' in find('cudnn', tmp_path).text
        and torch.backends.cudnn.benchmark == before
    )
