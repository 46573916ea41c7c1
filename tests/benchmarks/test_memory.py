"""Memory of a call in a process of its own."""

import contextlib
import functools

import numpy as np
import pytest
import torch

from benchmarks import memory
from benchmarks.core import Ways


def test_an_accelerator_is_warm_when_a_call_is_timed(clock, monkeypatch):
    monkeypatch.setattr(memory, 'make_runtime', lambda device: clock.calls.append(device))
    monkeypatch.setattr(torch.accelerator, 'max_memory_allocated', lambda: 7)
    ways = functools.partial(contextlib.nullcontext, Ways(clock.way('ours', [100, 2], None)))
    facts = memory.measure(ways, 'ours', 1, torch.device('meta'))
    assert (
        facts['seconds'] == 2
        and facts['device_peak_bytes'] == 7
        and clock.calls == ['meta', 'ours', 'ours']
    )


@contextlib.contextmanager
def allocate():
    """Ways that touch 30 and 90 MB."""

    def way(megabytes):
        return lambda: np.ones((megabytes, 1_000_000), dtype=np.uint8).sum()

    yield Ways(ours=way(30), plain=way(90))


def test_memory_is_that_of_the_call():
    measured = {name: memory.in_fresh_process(allocate, name, 1) for name in ('ours', 'plain')}
    if measured['ours']['peak_bytes'] is None:
        pytest.skip('no /proc here')
    assert measured['plain']['extra_bytes'] == pytest.approx(90e6, rel=0.2)
    assert measured['ours']['extra_bytes'] == pytest.approx(30e6, rel=0.2)
    assert measured['ours']['peak_bytes'] > measured['ours']['extra_bytes']
    assert memory.memory_ratio(measured) == pytest.approx(1 / 3, rel=0.3)
