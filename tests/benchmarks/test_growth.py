"""How cost grows."""

import torch

from benchmarks import growth
from benchmarks.core import Settings


def test_growth_times_the_device_it_measures(monkeypatch):
    monkeypatch.setattr(
        growth,
        'in_fresh_process',
        lambda ways, name, threads, accelerator=None: (name, accelerator),
    )
    cpu, other = torch.device('cpu'), torch.device('meta')
    assert growth._rerank(1000, Settings(device=cpu))['ours'] == ('ours', None)
    found = growth._rerank(1000, Settings(device=other))
    assert (found['ours'], found['plain']) == (('ours', other), ('plain', None))
