"""Re-ranking against the golden matrices, the plain way on dense matrices, and a loop from the
paper with Python sets.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from datasets.protocols import PROTOCOLS
from datasets.records import Record
from tests.oracles.reranking import re_ranking_euclidean_plain, re_ranking_plain
from tests.utils.test_metrics import ATRW_NAMES, subset_of, tiger_set
from utils import blockwise, photo_distances
from utils.errors import InputError
from utils.metrics import atrw_public_split, eval_func, rank_metrics, rank_queries, summarize
from utils.reranking import (
    ReRanking,
    re_rank_features,
    re_rank_matrices,
    re_ranking,
)

GOLDEN = Path(__file__).resolve().parents[1] / 'golden'
FACTS = json.loads((GOLDEN / 'rerank.json').read_text())
ARRAYS = np.load(GOLDEN / 'rerank.npz')
CASES = [name for name in ARRAYS.files if '/k1' in name]


def similarities(query, gallery):
    return query @ gallery.T, query @ query.T, gallery @ gallery.T


def squared_distances(query, gallery):
    return [
        ((a[:, None] - b[None]) ** 2).sum(2)
        for a, b in ((query, gallery), (query, query), (gallery, gallery))
    ]


def re_rank_euclidean(query, gallery, settings):
    photos = np.arange(len(query) + len(gallery))
    return re_rank_features(
        np.concatenate([query, gallery]),
        photos[: len(query)],
        photos[len(query) :],
        settings,
        'euclidean',
    )


def features(name):
    return ARRAYS[f'{name}/query'], ARRAYS[f'{name}/gallery']


def settings(name):
    """'set/k1_20_k2_6_lambda_0.3' as keyword arguments."""
    words = name.split('/')[1].removeprefix('market_').split('_')
    return {'k1': int(words[1]), 'k2': int(words[3]), 'lambda_value': float(words[5])}


def records(pids):
    return [Record('', int(pid)) for pid in pids]


# Golden numbers


@pytest.mark.parametrize('name', CASES)
def test_golden_cosine(name):
    subset = name.split('/')[0]
    result = re_ranking(*similarities(*features(subset)), **settings(name))
    assert result.dtype == np.float32
    copies = subset.endswith('copies')
    if not copies:  # copies tie, and rounding decides between them
        np.testing.assert_allclose(result, ARRAYS[name], atol=1e-5, rtol=0)
    query, gallery = records(ARRAYS[f'{subset}/q_pid']), records(ARRAYS[f'{subset}/g_pid'])
    for drop, protocol in ((False, 'query_apart'), (True, 'query_in_gallery')):
        metrics = rank_metrics(result, query, gallery, PROTOCOLS[protocol])
        expected = FACTS['small'][name][f'animal_remove_closest_{drop}']
        assert metrics == pytest.approx(expected, abs=5e-3 if copies else 1e-5)


@pytest.mark.parametrize(
    'name', ['n40_g120/market_k1_50_k2_15_lambda_0.3', 'n40_g120/market_k1_20_k2_6_lambda_0.3']
)
def test_golden_euclidean(name):
    result = re_rank_euclidean(*features('n40_g120'), ReRanking(**settings(name)))
    np.testing.assert_allclose(result, ARRAYS[f'{name}_float32'], atol=1e-5, rtol=0)
    q_pid, g_pid = ARRAYS['n40_g120/q_pid'], ARRAYS['n40_g120/g_pid']
    animal = rank_metrics(result, records(q_pid), records(g_pid), PROTOCOLS['query_apart'])
    assert animal == pytest.approx(
        FACTS['small'][name]['animal_remove_closest_False_float32'], abs=1e-5
    )
    generator = np.random.default_rng(FACTS['n40_g120']['camera_seed'])
    cameras = generator.integers(0, 4, len(q_pid)), generator.integers(0, 4, len(g_pid))
    cmc, mean = eval_func(result, q_pid, g_pid, *cameras)
    market = {'mAP': mean, 'rank1': cmc[0], 'rank5': cmc[4], 'rank10': cmc[9]}
    assert market == pytest.approx(FACTS['small'][name]['market_float32'], abs=1e-5)


@pytest.mark.parametrize('way', ['matrices', 'features'])
def test_golden_tiger(way):
    x, photos = tiger_set()
    all_photos = np.arange(len(x))
    result = (
        re_ranking(*similarities(x, x))
        if way == 'matrices'
        else re_rank_features(x, all_photos, all_photos)
    )
    ranking, groups = (
        rank_queries(result, photos, photos, PROTOCOLS['tiger']),
        [photo.group for photo in photos],
    )
    facts = json.loads((GOLDEN / 'rerank_tiger.json').read_text())['A']['results']
    for split, subset in (('private_split', None), ('public_split', atrw_public_split(groups))):
        metrics = summarize(ranking, groups, subset)
        expected = {new: facts['reference'][split][old] for old, new in ATRW_NAMES.items()}
        assert subset_of(metrics, expected) == pytest.approx(expected, abs=2e-3)
        # Ties here go to the lower index, the query's copy: measured for the original too.
        stable = {
            new: facts['float64_stable_query_copy_first'][split][old]
            for old, new in ATRW_NAMES.items()
        }
        assert subset_of(metrics, stable) == pytest.approx(stable, abs=1e-5)
    stored, single = np.load(GOLDEN / 'tiger_ap.npz'), np.array(groups) == 'sing'
    assert ranking.ap[single].mean() == pytest.approx(stored['A_reranked/ap_sing'].mean(), abs=2e-3)
    assert ranking.ap[~single].mean() == pytest.approx(
        stored['A_reranked/ap_multi'].mean(), abs=2e-3
    )
    np.testing.assert_allclose(
        result[::84, ::84], stored['A_reranked/matrix_every_84th'], atol=0.05, rtol=0
    )
    animal = rank_metrics(result, photos, photos, PROTOCOLS['query_in_gallery'])
    expected = facts['reference']['animal_protocol_remove_closest']
    assert subset_of(animal, expected) == pytest.approx(expected, abs=2e-3)


def test_golden_tiger_as_the_reference_breaks_ties():
    """From three separate products, as the original computes them, whose rounding breaks most ties
    already.
    """
    x, photos = tiger_set()
    given = similarities(x, x.copy())
    result, by_index = (
        re_rank_matrices(*given, ReRanking(ties=ties)) for ties in ('reference', 'index')
    )
    metrics, others = (
        rank_metrics(distance, photos, photos, PROTOCOLS['tiger'])
        for distance in (result, by_index)
    )
    assert others == pytest.approx(
        metrics, abs=1e-5
    )  # measured: mmAP 2.4e-6, rank-1 and rank-5 the same
    assert np.abs(result - by_index).max() < 0.01  # measured: 0.003
    facts = json.loads((GOLDEN / 'rerank_tiger.json').read_text())['A']['results']['reference'][
        'private_split'
    ]
    expected = {new: facts[old] for old, new in ATRW_NAMES.items()}
    assert subset_of(metrics, expected) == pytest.approx(expected, abs=2e-4)


# A loop from the paper


def re_ranking_by_hand(original, num_query, k1, k2, lambda_value):
    """original: (N, N) distances, query first, entry (i, j) divided by the largest of column j,
    then transposed.
    """
    count = len(original)
    largest = [max(original[i][j] for i in range(count)) for j in range(count)]
    distance = [[original[j][i] / largest[i] for j in range(count)] for i in range(count)]
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
    expanded = [
        [sum(encoding[j][m] for j in order[i][:k2]) / k2 for m in range(count)]
        for i in range(count)
    ]

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


# The plain way

SETTINGS = [(20, 6, 0.3), (9, 1, 0.0), (6, 15, 1.0), (50, 15, 0.3), (1, 1, 0.5)]


def photos_with_copies(seed, count=150, dim=24):
    """Features of photos of 12 individuals, normalised; every fifth is a copy of the one before."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((12, dim))[
        generator.integers(0, 12, count)
    ] + generator.standard_normal((count, dim))
    x[4::5] = x[3::5]
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


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


def exact_features(seed, count=120):
    """Features of length 1, four of their 10 numbers ± 1/2: products are exact, and nearly all
    distances tie.
    """
    generator = np.random.default_rng(seed)
    x = np.zeros((count, 10), dtype=np.float32)
    for row in x:
        row[generator.choice(10, 4, replace=False)] = generator.choice([-0.5, 0.5], 4)
    return x


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


# An accelerator's way, on the CPU


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


# Edges


def test_lambda_one_is_the_original_ranking():
    query, gallery = features('n40_g120')
    result = re_ranking(*similarities(query, gallery), lambda_value=1.0)
    assert (result.argsort(axis=1) == (-(query @ gallery.T)).argsort(axis=1)).mean() > 0.99


def test_inputs_are_left_alone_and_the_result_repeats():
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
