"""The rows themselves: their names and precisions."""

from types import SimpleNamespace

import torch

from benchmarks import cases, stage1, stage2
from benchmarks.core import Settings
from utils.device import make_runtime


def test_rows_of_mixed_precision_say_so(monkeypatch):
    runtime = make_runtime('cpu', 'bf16')
    trainings = SimpleNamespace(step=lambda way: None, reset=lambda: None)
    monkeypatch.setattr(stage1, 'random_model', lambda *_: (runtime, None, None))
    monkeypatch.setattr(stage2, 'make_runtime', lambda device: runtime)
    monkeypatch.setattr(stage2, 'TwoTrainings', lambda *_: trainings)
    for row in (stage1._texts(Settings(), 3), stage2._step(Settings(), 'RN50')):
        with row as ways:
            assert ways.dtype == torch.bfloat16


def test_names_are_unique_and_of_both_settings():
    for quick in (False, True):
        names = [case.name for case in cases.all_cases(Settings(quick=quick))]
        assert len(names) == len(set(names)) > 4
