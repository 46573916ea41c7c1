"""Re-ranking compared with the plain way on dense matrices, and with a loop from the paper."""

import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.oracles.reranking import re_ranking_euclidean_plain, re_ranking_plain
from tests.utils.reranking_inputs import (
    SETTINGS,
    exact_features,
    features,
    photos_with_copies,
    similarities,
)
from utils import blockwise, photo_distances
from utils.errors import InputError
from utils.reranking import (
    ReRanking,
    re_rank_features,
    re_rank_matrices,
    re_ranking,
)


def squared_distances(query, gallery):
    return [
        ((a[:, None] - b[None]) ** 2).sum(2)
        for a, b in ((query, gallery), (query, query), (gallery, gallery))
    ]


def re_ranking_by_hand(original, num_query, k1, k2, lambda_value):
    """original: (N, N) distances, query first, entry (i, j) divided by the largest of column j,
    then transposed.
    """
    count = len(original)
    distance = []
    for column in zip(*original):
        largest = max(column)
        distance.append([value / largest for value in column])
    order = [sorted(range(count), key=lambda j, row=row: (row[j], j)) for row in distance]

    def reciprocal(i, k):
        return {j for j in order[i][: k + 1] if i in order[j][: k + 1]}

    encoding = []
    for i in range(count):
        own = reciprocal(i, k1)
        grown = set(own)
        for j in own:
            other = reciprocal(j, round(k1 / 2))
            if len(own & other) > 2 / 3 * len(other):
                grown |= other
        total = sum(math.exp(-distance[i][j]) for j in grown)
        encoding.append(
            [math.exp(-distance[i][j]) / total if j in grown else 0.0 for j in range(count)]
        )
    expanded = []
    for i in range(count):
        columns = zip(*(encoding[j] for j in order[i][:k2]))
        expanded.append([sum(column) / k2 for column in columns])

    result = np.zeros((num_query, count - num_query))
    for i in range(num_query):
        for j in range(num_query, count):
            low = sum(map(min, expanded[i], expanded[j]))
            high = sum(map(max, expanded[i], expanded[j]))
            result[i, j - num_query] = (1 - lambda_value) * (
                1 - low / high
            ) + lambda_value * distance[i][j]
    return result


@pytest.mark.parametrize(
    'k1, k2, lambda_value', [(5, 3, 0.3), (7, 1, 0.0), (1, 2, 1.0), (3, 12, 0.5), (29, 30, 0.2)]
)
def test_re_ranking_is_the_loop(k1, k2, lambda_value):
    """The distances are multiples of 1/8: many tie exactly, and the lower index must come first."""
    generator = np.random.default_rng(k1)
    half = generator.integers(-6, 7, (30, 30)) / 8
    similarity = np.triu(half, 1) + np.triu(half, 1).T
    similarity[:9, :9] = half[
        :9, :9
    ]  # not symmetric, as rounding leaves it in practice: rows must not pass for columns
    np.fill_diagonal(similarity, 1)
    similarity = similarity.astype(np.float32)
    blocks = similarity[:9, 9:], similarity[:9, :9], similarity[9:, 9:]
    original = ((2 - 2 * similarity.astype(float)) ** 2).tolist()
    expected = re_ranking_by_hand(original, 9, k1, k2, lambda_value)
    np.testing.assert_allclose(
        re_ranking(*blocks, k1, k2, lambda_value), expected, atol=2e-6, rtol=0
    )


@pytest.mark.parametrize('seed', range(3))
def test_re_ranking_of_features_is_the_loop(seed):
    generator = np.random.default_rng(seed)
    centre = generator.standard_normal((4, 16))
    x = centre[generator.integers(0, 4, 40)] + 0.8 * generator.standard_normal((40, 16))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    original = ((2 - 2 * x @ x.T) ** 2).tolist()
    expected = re_ranking_by_hand(original, 15, 8, 3, 0.3)
    np.testing.assert_allclose(
        re_ranking(*similarities(x[:15], x[15:]), 8, 3), expected, atol=2e-6, rtol=0
    )


@pytest.mark.parametrize('ties', ['index', 'reference'])
@pytest.mark.parametrize('k1, k2, lambda_value', SETTINGS)
def test_matrices_are_ranked_as_the_plain_way_does(k1, k2, lambda_value, ties):
    """With copies in the gallery, and matrices that are not symmetric in the last bit."""
    x = photos_with_copies(k1)
    generator = np.random.default_rng(k1)
    blocks = [
        block * (1 + 1e-7 * generator.integers(-1, 2, block.shape)).astype(np.float32)
        for block in similarities(x[:37], x[37:])
    ]
    assert (blocks[2] != blocks[2].T).any()
    settings = ReRanking(k1, k2, lambda_value, ties)
    expected = re_ranking_plain(*blocks, k1, k2, lambda_value, ties)
    np.testing.assert_allclose(re_rank_matrices(*blocks, settings), expected, atol=2e-6, rtol=0)
    on_tensors = re_rank_matrices(*map(torch.from_numpy, blocks), settings)
    np.testing.assert_allclose(on_tensors, expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize('k1, k2, lambda_value', SETTINGS)
def test_features_are_ranked_as_their_matrices(k1, k2, lambda_value):
    x = photos_with_copies(1)
    x = x[
        np.arange(len(x)) % 5 < 4
    ]  # without copies: they tie in theory and by rounding only in the matrices
    query, gallery = np.arange(30), np.arange(30, len(x))
    expected = re_ranking_plain(*similarities(x[:30], x[30:]), k1, k2, lambda_value, 'index')
    result = re_rank_features(x, query, gallery, ReRanking(k1, k2, lambda_value))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-5, rtol=0)
    x = x * np.linspace(0.5, 2, len(x), dtype=np.float32)[:, None]  # not normalised
    expected = re_ranking_euclidean_plain(
        *squared_distances(x[:30], x[30:]), k1, k2, lambda_value, 'index'
    )
    result = re_rank_features(
        torch.from_numpy(x),
        query.tolist(),
        torch.from_numpy(gallery),
        ReRanking(k1, k2, lambda_value),
        'euclidean',
    )
    np.testing.assert_allclose(result, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize('ties', ['index', 'reference'])
@pytest.mark.parametrize('k1, k2, lambda_value', SETTINGS)
@pytest.mark.parametrize('case', ['query is gallery', 'overlap', 'repeated in the gallery'])
def test_photos_that_are_query_and_gallery_tie(case, k1, k2, lambda_value, ties):
    x = exact_features(k1)
    generator = np.random.default_rng(2)
    query, gallery = {
        'query is gallery': (np.arange(120), np.arange(120)),
        'overlap': (
            generator.permutation(120)[:40],
            generator.permutation(120)[:70],
        ),  # and photos in neither
        'repeated in the gallery': (np.arange(20), generator.integers(0, 120, 90)),
    }[case]
    product = x @ x.T
    blocks = [
        product[np.ix_(a, b)] for a, b in ((query, gallery), (query, query), (gallery, gallery))
    ]
    expected = re_ranking_plain(*blocks, k1, k2, lambda_value, ties)
    result = re_rank_features(x, query, gallery, ReRanking(k1, k2, lambda_value, ties))
    np.testing.assert_allclose(result, expected, atol=2e-6, rtol=0)
    blocks = [2 - 2 * block for block in blocks]
    expected = re_ranking_euclidean_plain(*blocks, k1, k2, lambda_value, ties)
    result = re_rank_features(x, query, gallery, ReRanking(k1, k2, lambda_value, ties), 'euclidean')
    np.testing.assert_allclose(result, expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize('block, pairs, tile', [(1, 1, 1), (1000, 100, 7)])
def test_blocks_change_nothing(monkeypatch, block, pairs, tile):
    x = exact_features(0)
    query, gallery = np.arange(50), np.arange(20, 120)
    blocks = similarities(x[query], x[gallery])
    whole = re_ranking(*blocks), re_rank_features(x, query, gallery)
    monkeypatch.setattr(blockwise, 'BLOCK', block)
    monkeypatch.setattr(blockwise, 'PAIRS', pairs)
    monkeypatch.setattr(photo_distances, 'TILE', tile)
    np.testing.assert_allclose(re_ranking(*blocks), whole[0], atol=1e-6, rtol=0)
    np.testing.assert_allclose(re_rank_features(x, query, gallery), whole[1], atol=1e-6, rtol=0)


class LargestTensor(TorchDispatchMode):
    """Context that records the number of entries of the largest tensor created in it."""

    entries = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided:
                self.entries = max(self.entries, tensor.numel())
        return result


@pytest.mark.parametrize('on_cpu', [True, False])
def test_features_need_no_matrix_of_all_photos(monkeypatch, on_cpu):
    for name in ('BLOCK', 'PAIRS'):
        monkeypatch.setattr(blockwise, name, 2**14)
    monkeypatch.setattr(blockwise, 'ACCELERATOR', 1)
    monkeypatch.setattr(blockwise, 'on_cpu', lambda tensor: on_cpu)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((40, 16))[
        generator.integers(0, 40, 1500)
    ] + generator.standard_normal((1500, 16))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    with LargestTensor() as largest:
        re_rank_features(x, np.arange(50), np.arange(50, 1500), ReRanking(10, 3))
    assert 50 * 1450 <= largest.entries < 1500**2 / 8


def test_lambda_one_is_the_original_ranking():
    query, gallery = features('n40_g120')
    result = re_ranking(*similarities(query, gallery), lambda_value=1.0)
    assert (result.argsort(axis=1) == (-(query @ gallery.T)).argsort(axis=1)).mean() > 0.99


def test_inputs_are_not_changed_and_the_result_repeats():
    blocks = [block.copy() for block in similarities(*features('n40_g120'))]
    first = re_ranking(*blocks)
    assert np.array_equal(first, re_ranking(*blocks))
    for block, fresh in zip(blocks, similarities(*features('n40_g120'))):
        assert np.array_equal(block, fresh)


@pytest.mark.parametrize('photos', [4, 60])
def test_photos_that_are_all_alike_give_numbers(photos):
    """Some of so many equal photos are not among their own k1 nearest and have no reciprocal
    neighbours.
    """
    ones = np.ones((photos // 2, photos // 2), dtype=np.float32)
    for value in (1, 0.5):  # with all distances 0, and not
        result = re_ranking(*3 * [ones * value], k1=3, k2=2)
        assert ((result >= 0) & (result <= 1)).all()
        np.testing.assert_allclose(
            result, re_ranking_plain(*3 * [ones * value], 3, 2, ties='index'), atol=1e-6, rtol=0
        )


def test_too_few_photos_are_rejected_and_just_enough_are_not():
    query, gallery = (block[:10] for block in features('n40_g120'))
    blocks = similarities(query, gallery)
    assert re_ranking(*blocks, k1=19, k2=20).shape == (10, 10)
    with pytest.raises(
        InputError, match='k1 = 20 and k2 = 6 need 21 photos in query and gallery together.* are 20'
    ):
        re_ranking(*blocks)
    with pytest.raises(InputError, match='need 21 photos'):
        re_ranking(*blocks, k1=3, k2=21)


def test_blocks_are_checked():
    q_g, q_q, g_g = similarities(*features('n40_g120'))
    with pytest.raises(ValueError, match=r'got \(120, 40\), \(40, 40\), \(120, 120\)'):
        re_ranking(q_g.T, q_q, g_g)
    with pytest.raises(ValueError, match='none empty'):
        re_ranking(q_g[:0], q_q[:0, :0], g_g)
    q_g[3, 4] = np.nan
    with pytest.raises(InputError, match='not finite'):
        re_ranking(q_g, q_q, g_g)
    q_g[3, 4] = -np.inf
    with pytest.raises(InputError, match='not finite'):
        re_ranking(q_g, q_q, g_g)


def test_features_are_checked():
    x = np.eye(5, dtype=np.float32)
    with pytest.raises(IndexError, match='index 5 is out of bounds'):
        re_rank_features(x, [0], [1, 5])
    with pytest.raises(
        InputError, match='need 21 photos in query and gallery together, but there are 4'
    ):
        re_rank_features(x, [0, 1], [1, 2])
    x[1, 1] = np.nan
    with pytest.raises(InputError, match='not finite'):
        re_rank_features(x, [0, 1], [1, 2], ReRanking(2, 1))
    assert np.isfinite(
        re_rank_features(x, [0, 2], [3, 4], ReRanking(2, 1))
    ).all()  # of photos that are asked for
