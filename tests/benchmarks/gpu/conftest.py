"""A fake GPU."""

from types import SimpleNamespace

import pytest
import torch

from benchmarks import profiling
from tests.fake_cuda import fake_cuda


@pytest.fixture
def gpu(cuda, monkeypatch):
    """A fake GPU of 80 GB, for code that asks for its properties, its memory and its waits."""
    properties = SimpleNamespace(name='no GPU', major=9, minor=0, total_memory=80_000_000_000)
    monkeypatch.setattr(torch.cuda, 'get_device_properties', lambda *_: properties)
    for name in ('reset_peak_memory_stats', 'synchronize'):
        monkeypatch.setattr(torch.accelerator, name, lambda *_: None)
    for name in ('memory_allocated', 'max_memory_allocated'):
        monkeypatch.setattr(torch.accelerator, name, lambda *_: 3_000_000_000)
    monkeypatch.setattr(profiling, 'product_peak', lambda *_: 1e12)
    with fake_cuda() as waits:
        yield waits
