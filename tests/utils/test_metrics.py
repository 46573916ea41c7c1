"""Metrics compared with matrices typed by hand; subsets and the text of distances."""

import numpy as np
import pytest

from datasets.protocols import PROTOCOLS, Protocol
from datasets.records import Record
from tests.utils.metric_loops import fabricated, metrics_by_hand
from tests.utils.metric_sets import records
from utils.metrics import (
    atrw_public_split,
    distance_text,
    rank_metrics,
    rank_queries,
    summarize,
)


def test_typed_by_hand():
    query, gallery = records([1, 2]), records([1, 2, 1, 3])
    distance = np.array(
        [
            [0.1, 0.2, 0.3, 0.4],  # right, wrong, right, wrong
            [0.4, 0.3, 0.2, 0.1],
        ]
    )  # wrong, wrong, right, wrong
    precision = rank_metrics(distance, query, gallery, Protocol('test', ap='precision'))
    assert precision == pytest.approx(
        {'mAP': ((1 + 2 / 3) / 2 + 1 / 3) / 2, 'rank1': 0.5, 'rank5': 1, 'rank10': 1}
    )
    trapezoid = rank_metrics(distance, query, gallery, Protocol('test'))
    first = ((1 + 1) / 2 + (1 / 2 + 2 / 3) / 2) / 2
    assert trapezoid['mAP'] == pytest.approx((first + (0 + 1 / 3) / 2) / 2)
    dropped = rank_metrics(
        distance, query, gallery, Protocol('test', ap='precision', drop_nearest=True)
    )
    assert dropped == pytest.approx(
        {'mAP': (1 / 2 + 1 / 2) / 2, 'rank1': 0, 'rank5': 1, 'rank10': 1}
    )


def test_atrw_typed_by_hand():
    """Four photos of animal 1 and one of animal 2; the query's own, and one two frames later, do
    not count.
    """
    photos = [
        Record('a', 1, frame=(3, 0, 100), group='sing'),
        Record('b', 1, frame=(3, 0, 102), group='sing'),
        Record('c', 1, frame=(3, 0, 104), group='sing'),
        Record('d', 1, frame=(4, 0, 101), group='multi'),
        Record('e', 2, frame=(3, 0, 101), group='multi'),
    ]
    distance = np.array(
        [
            [0.0, 0.1, 0.3, 0.4, 0.2],  # [a] (b) e c d -> e c d: 1/2, 2/3
            [0.1, 0.0, 0.2, 0.4, 0.3],  # [b] (a) (c) e d -> e d: 1/2
            [0.3, 0.2, 0.0, 0.1, 0.4],  # [c] d (b) a e -> d a e: 1
            [0.4, 0.2, 0.3, 0.0, 0.1],  # [d] e b c a -> 1/2, 2/3, 3/4
            [0.2, 0.1, 0.3, 0.4, 0.0],
        ]
    )  # [e] and no other of animal 2 -> 0
    metrics = rank_metrics(distance, photos, photos, PROTOCOLS['tiger'])
    single = ((1 / 2 + 2 / 3) / 2 + 1 / 2 + 1) / 3
    cross = ((1 / 2 + 2 / 3 + 3 / 4) / 3 + 0) / 2
    expected = {
        'sing/mAP': single,
        'sing/rank1': 1 / 3,
        'sing/rank5': 1,
        'sing/rank10': 1,
        'multi/mAP': cross,
        'multi/rank1': 0,
        'multi/rank5': 1 / 2,
        'multi/rank10': 1 / 2,
        'mmAP': (single + cross) / 2,
        'mAP': (3 * single + 2 * cross) / 5,
        'rank1': 1 / 5,
        'rank5': 4 / 5,
        'rank10': 4 / 5,
    }
    assert metrics == pytest.approx(expected)


def test_public_split():
    groups = ['multi'] * 40 + ['sing'] * 21 + ['multi'] * 10
    subset = atrw_public_split(groups)
    assert [groups[index] for index in subset] == ['sing'] * 10 + ['multi'] * 5
    assert len(set(subset.tolist())) == 15
    assert subset.tolist() == atrw_public_split(groups).tolist()


def test_summarize_a_subset():
    distance, query, gallery = fabricated(0, ties=False)
    ranking = rank_queries(distance, query, gallery, PROTOCOLS['yak'])
    part = summarize(ranking, [''] * 12, subset=[3, 5, 8])
    expected = metrics_by_hand(
        distance[[3, 5, 8]], [query[row] for row in (3, 5, 8)], gallery, PROTOCOLS['yak']
    )
    assert part == pytest.approx(expected)


def test_a_gallery_of_only_the_query():
    metrics = rank_metrics(
        np.zeros((1, 1)), records([1]), records([1]), PROTOCOLS['query_in_gallery']
    )
    assert metrics == {'mAP': 0.0, 'rank1': 0.0, 'rank5': 0.0, 'rank10': 0.0}


@pytest.mark.parametrize(
    ('distance', 'text'),
    [
        (-1.19e-07, '0'),
        (2.4e-07, '0'),
        (0, '0'),
        (1.2345e-05, '1.2e-05'),
        (0.0123456, '0.0123'),
        (1, '1'),
        (1.23456, '1.23'),
        (-0.5, '0'),
    ],
)
def test_distances_have_three_significant_digits(distance, text):
    assert distance_text(np.float32(distance)) == text
