"""Re-ranking on an accelerator."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.oracles.reranking import re_ranking_plain
from tests.utils.reranking_inputs import (
    ARRAYS,
    CASES,
    SETTINGS,
    exact_features,
    features,
    photos_with_copies,
    settings,
    similarities,
)
from utils import blockwise
from utils.reranking import (
    re_rank_features,
    re_ranking,
)


@pytest.fixture
def _accelerator(monkeypatch):
    """Everything as on CUDA, where the sparse product fails for many photos."""

    def fails(*_):
        raise RuntimeError(
            'CUDA error: insufficient resources when calling `cusparseSpGEMM_workEstimation()`'
        )

    monkeypatch.setattr(blockwise, 'on_cpu', lambda tensor: False)
    monkeypatch.setattr(torch.sparse, 'mm', fails)


@pytest.mark.usefixtures('_accelerator')
@pytest.mark.parametrize('pairs', [1, 7, blockwise.PAIRS])
@pytest.mark.parametrize('k1, k2, lambda_value', SETTINGS)
def test_an_accelerator_ranks_as_the_plain_way(monkeypatch, k1, k2, lambda_value, pairs):
    monkeypatch.setattr(blockwise, 'PAIRS', pairs)  # from a photo to all at a time
    x = photos_with_copies(k1)
    blocks = similarities(x[:37], x[37:])
    expected = re_ranking_plain(*blocks, k1, k2, lambda_value, 'index')
    np.testing.assert_allclose(
        re_ranking(*blocks, k1, k2, lambda_value), expected, atol=2e-6, rtol=0
    )


@pytest.mark.usefixtures('_accelerator')
def test_an_accelerator_gives_the_golden_numbers():
    for name in CASES:
        if 'copies' not in name:
            result = re_ranking(*similarities(*features(name.split('/')[0])), **settings(name))
            np.testing.assert_allclose(result, ARRAYS[name], atol=1e-5, rtol=0)


class AnyOrder(TorchDispatchMode):
    """Context in which sums are added in random order, as the threads of an accelerator do."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.overloadpacket in (torch.ops.aten.scatter_add_, torch.ops.aten.index_add_):
            target, dim, index, value = args
            order = torch.randperm(len(index))
            args = target, dim, index[order], value[order]
        return function(*args, **(kwargs or {}))


@pytest.mark.usefixtures('_accelerator')
def test_an_accelerator_gives_the_same_bits_each_time():
    x = photos_with_copies(0)
    results = []
    for seed in range(3):
        torch.manual_seed(seed)
        with AnyOrder():
            results.append(re_rank_features(x, np.arange(40), np.arange(20, 150)))
    assert all(np.array_equal(result, results[0]) for result in results)


@pytest.mark.skipif(not torch.accelerator.is_available(), reason='no accelerator here')
def test_an_accelerator_gives_the_same():
    device = torch.accelerator.current_accelerator()
    x = torch.from_numpy(exact_features(3))
    query, gallery = np.arange(50), np.arange(20, 120)
    expected = re_rank_features(x, query, gallery)
    np.testing.assert_allclose(
        re_rank_features(x.to(device), query, gallery), expected, atol=1e-5, rtol=0
    )
    blocks = [block.to(device) for block in similarities(x[query], x[gallery])]
    np.testing.assert_allclose(re_ranking(*blocks), expected, atol=1e-5, rtol=0)
