"""Profiles: kernels, functions and the arithmetic limit."""

import pytest
import torch

from benchmarks import profiling, table
from benchmarks.core import Ways

PEAKS = {torch.float32: 1e9, torch.bfloat16: 16e9}


def test_the_limit_is_that_of_the_rows_precision(monkeypatch):
    monkeypatch.setattr(profiling, 'product_peak', lambda threads, device, dtype: PEAKS[dtype])
    ways = Ways(lambda: None, flops=lambda: 1e9, dtype=torch.bfloat16)
    facts = profiling.profile(ways, 0.5, 1, torch.device('cpu'))
    assert facts['share_of_limit'] == pytest.approx(2e9 / 16e9)
    row = {'name': 'a', 'threads': 1, 'profile': facts}
    assert (
        '12% of the arithmetic limit 16 GFLOP/s (bfloat16 products)' in table.profile_lines(row)[-1]
    )


def test_the_peak_is_measured_in_the_asked_precision(monkeypatch):
    monkeypatch.setattr(profiling, 'PRODUCT', 64)
    dtypes = []
    monkeypatch.setattr(profiling, 'linear', lambda a, b: dtypes.append(a.dtype))
    assert profiling.product_peak.__wrapped__(1, torch.device('cpu'), torch.bfloat16) > 0
    assert set(dtypes) == {torch.bfloat16}


def test_profile_names_the_kernel_and_the_arithmetic(monkeypatch):
    monkeypatch.setattr(profiling, 'product_peak', lambda threads, device, dtype: PEAKS[dtype])
    a = torch.ones(200, 200)
    flops = profiling.count_flops(lambda: a @ a)
    assert flops == 2 * 200**3
    facts = profiling.profile(
        Ways(lambda: [a @ a for _ in range(50)], flops=lambda: flops), 0.1, 1, torch.device('cpu')
    )
    assert (
        facts['share_of_limit'] == pytest.approx(2 * 200**3 / 0.1 / 1e9)
        and facts['dtype'] == 'float32'
    )
    assert facts['kernels'][0][0] == 'aten::mm' and 0 < facts['kernels'][0][1] <= 1
    assert facts['functions'] and all(share >= 0.01 for _, share in facts['functions'])
