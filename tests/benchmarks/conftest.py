"""The clock that only passes when a way says so."""

import pytest

from benchmarks import core
from tests.benchmarks.toys import Clock


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(core.time, 'perf_counter', lambda: clock.now)
    return clock
