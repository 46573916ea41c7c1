"""Rankings compared with the plain way, which sorts everything; memory; kinds of distances."""

import itertools
import tracemalloc

import numpy as np
import pytest

import utils.ranking
from datasets.protocols import PROTOCOLS
from datasets.records import Record
from tests.oracles.metrics import animal_plain, atrw_plain, market_plain
from tests.utils.metric_sets import records, subset_of, tiger_set
from utils.errors import InputError
from utils.metrics import (
    eval_func,
    rank_metrics,
    ranked_gallery,
)
from utils.ranking import random_precision, rank_positives
from utils.relevance import RankingRules, Relevance


def crowd(seed, levels, queries=25, gallery=90):
    """Distances of so many different values (few: most are tied), and photos of 7 individuals, -1
    and one alone among them.
    """
    generator = np.random.default_rng(seed)

    def photos(count):
        return [
            Record(
                f'{index}.jpg',
                int(pid),
                camid=int(generator.integers(2)),
                group=generator.choice(['sing', 'multi']),
                frame=tuple(map(int, generator.integers(0, (2, 2, 9)))),
            )
            for index, pid in enumerate([*generator.integers(-1, 6, count - 1), 7])
        ]

    return (
        generator.integers(0, levels, (queries, gallery)).astype(np.float32),
        photos(queries),
        photos(gallery),
    )


@pytest.mark.parametrize('levels', [1, 4, 30, 10**6])
@pytest.mark.parametrize('seed', range(5))
def test_the_plain_way(seed, levels, monkeypatch):
    monkeypatch.setattr(utils.ranking, 'BLOCK', 400)  # four queries at a time
    distance, query, gallery = crowd(seed, levels)
    q_pid, q_cam = np.array([(photo.pid, photo.camid) for photo in query]).T
    g_pid, g_cam = np.array([(photo.pid, photo.camid) for photo in gallery]).T
    for max_rank in (10, 100):
        cmc, mean = eval_func(distance, q_pid, g_pid, q_cam, g_cam, max_rank)
        expected = market_plain(distance, q_pid, g_pid, q_cam, g_cam, max_rank, kind='stable')
        assert cmc.tolist() == expected[0].tolist()
        assert mean == pytest.approx(expected[1], abs=1e-14)
    for drop, protocol in ((False, 'query_apart'), (True, 'query_in_gallery')):
        expected = animal_plain(distance, q_pid, g_pid, drop)
        metrics = rank_metrics(distance, query, gallery, PROTOCOLS[protocol])
        assert subset_of(metrics, expected) == pytest.approx(expected, abs=1e-14)
    distance = distance[:, :25]  # ATRW: the gallery is the query
    expected = atrw_plain(distance, query)
    assert subset_of(
        rank_metrics(distance, query, query, PROTOCOLS['tiger']), expected
    ) == pytest.approx(expected, abs=1e-14)


def test_the_plain_way_on_tigers():
    features, photos = tiger_set()
    distance, photos = 1 - features[:300] @ features[:300].T, photos[:300]
    expected = atrw_plain(distance, photos)
    assert subset_of(
        rank_metrics(distance, photos, photos, PROTOCOLS['tiger']), expected
    ) == pytest.approx(expected, abs=1e-12)


def test_memory_is_that_of_a_block(monkeypatch):
    monkeypatch.setattr(utils.ranking, 'BLOCK', 20_000)
    generator = np.random.default_rng(0)
    distance = generator.random((500, 2000), dtype=np.float32)
    pids = generator.integers(0, 100, 500), generator.integers(0, 100, 2000)
    cameras = generator.integers(0, 3, 500), generator.integers(0, 3, 2000)
    tracemalloc.start()
    try:
        eval_func(distance, *pids, *cameras)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 500 * 2000 / 2  # bytes: half of what a single (Q, G) array of bool would take


def test_equal_distances_rank_by_gallery_index():
    query, gallery = records([1]), records([0, 1, 0, 1])
    (head,) = ranked_gallery(np.zeros((1, 4)), query, gallery, PROTOCOLS['query_in_gallery'], top=3)
    assert head == [(1, True), (2, False), (3, True)]


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.int64])
def test_distances_of_any_number_type(dtype):
    distance = np.array([[3, 1, 2]], dtype=dtype)
    before = distance.copy()
    metrics = rank_metrics(
        distance, records([1]), records([1, 0, 1]), PROTOCOLS['query_in_gallery']
    )
    assert metrics['mAP'] == 1.0
    assert (distance == before).all()


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_a_distance_that_is_not_finite_is_rejected(value):
    distance = np.zeros((3, 2))
    distance[1, 1] = value
    with pytest.raises(InputError, match='distances are not finite'):
        rank_metrics(distance, records([1, 1, 1]), records([1, 0]), PROTOCOLS['yak'])


def test_shapes_are_checked():
    with pytest.raises(
        ValueError,
        match=r'distance has shape \(2, 3\), but there are 3 queries and 2 gallery photos',
    ):
        rank_metrics(np.zeros((2, 3)), records([1, 1, 1]), records([1, 0]), PROTOCOLS['yak'])


@pytest.mark.parametrize('kind', ['precision', 'trapezoid'])
def test_a_random_ranking_is_the_mean_of_all_rankings(kind):
    """Of 0 to 4 positives among as many as 6 photos."""
    for photos in range(1, 7):
        orders = np.array(list(itertools.permutations(range(photos))), dtype=np.float32)
        gallery = np.arange(photos)
        for positives in range(min(4, photos) + 1):
            identity = (gallery >= positives).astype(int)  # the queries are all of individual 0
            relevance = Relevance(np.zeros(len(orders), dtype=int), identity)
            found = rank_positives(orders, relevance, RankingRules(ap=kind))
            expected = random_precision(found.positives[:1], found.compared[:1], kind)
            assert found.positives[0] == positives
            assert expected[0] == pytest.approx(found.ap.mean(), abs=1e-12)
