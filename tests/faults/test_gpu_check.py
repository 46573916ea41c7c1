"""The parts of `make gpu` that start, stop and kill trainings, rehearsed on the CPU."""

import pytest
import torch

from benchmarks.core import Settings
from benchmarks.gpu import stops

pytestmark = pytest.mark.slow

CPU = Settings(quick=True, device=torch.device('cpu'))


def test_two_trainings_and_a_resumed_one_end_alike(tmp_path):
    found = stops.deterministic(CPU, tmp_path)
    assert (
        found.wrong == []
        and found.facts['exit_code'] == 143
        and len(set(found.facts['hashes'])) == 1
    )


def test_two_processes_train_as_one_and_one_that_is_killed_is_noticed(tmp_path):
    found = stops.processes(CPU, tmp_path)
    code, line, seconds = found.facts['killed']
    assert found.wrong == [] and code == 2 and 'another process ended' in line and seconds < 60
