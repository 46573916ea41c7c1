"""Metrics compared with loops over one ranking, and with scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

import utils.ranking
from datasets.protocols import PROTOCOLS, Protocol
from tests.utils.metric_loops import ap_by_hand, fabricated, metrics_by_hand, ranking_by_hand
from tests.utils.metric_sets import records
from utils.metrics import (
    copies_in_gallery,
    count_positives,
    eval_func,
    rank_metrics,
    rank_queries,
    ranked_gallery,
    without_positive,
)
from utils.relevance import SAME

ALL_PROTOCOLS = [
    Protocol('test', ap=ap, drop_nearest=drop, never_itself=never, ignore=ignore, no_positive=none)
    for ap in ('trapezoid', 'precision')
    for drop in (False, True)
    for never in (False, True)
    for ignore in ['', *SAME]
    for none in ('zero', 'skip')
]


@pytest.mark.parametrize('protocol', ALL_PROTOCOLS, ids=str)
def test_every_protocol_is_the_loop(protocol, monkeypatch):
    monkeypatch.setattr(utils.ranking, 'BLOCK', 200)  # five queries at a time
    for seed in range(4):
        for ties in (False, True):
            distance, query, gallery = fabricated(seed, ties)
            expected = metrics_by_hand(distance, query, gallery, protocol)
            assert rank_metrics(distance, query, gallery, protocol) == pytest.approx(
                expected, abs=1e-12
            )
            heads = ranked_gallery(distance, query, gallery, protocol, top=50)
            for row, one, head in zip(distance, query, heads, strict=True):
                by_hand = ranking_by_hand(row, one, gallery, protocol)
                assert head == [(gallery.index(photo), same) for photo, same in by_hand]


@pytest.mark.parametrize('never', [False, True])
@pytest.mark.parametrize('ignore', ['', *SAME])
def test_positives_and_queries_without_any(ignore, never):
    without = 0
    for seed in range(6):
        distance, query, gallery = fabricated(seed, ties=False)
        distance, gallery = distance[:, :12], gallery[:12]
        protocol = Protocol('test', never_itself=never, ignore=ignore)
        right = []
        for row, one in zip(distance, query):
            right.append([hit for _, hit in ranking_by_hand(row, one, gallery, protocol)])
        assert count_positives(query, gallery, protocol).tolist() == [sum(hits) for hits in right]
        found = without_positive(rank_queries(distance, query, gallery, protocol))
        assert found['queries'] == sum(not any(hits) for hits in right)
        assert found['as_zero'] == pytest.approx(
            metrics_by_hand(distance, query, gallery, protocol)
        )
        left_out = metrics_by_hand(distance, query, gallery, replace(protocol, no_positive='skip'))
        assert found['left_out'] == pytest.approx(left_out)
        without += found['queries']
    assert without


@pytest.mark.parametrize('protocol', ALL_PROTOCOLS, ids=str)
def test_copies_in_the_gallery(protocol):
    """The copies that a protocol ignores, or those by which a query finds itself, except the
    nearest photo where that is dropped.
    """
    found = 0
    for seed in range(4):
        distance, query, gallery = fabricated(seed, ties=False)
        query[7] = replace(query[7], copy_of=query[0].photo, pid=query[0].pid)
        expected = []
        for row, one in enumerate(query):
            same = [photo.pid == one.pid and photo.photo == one.photo for photo in gallery]
            distance[row, same] = -1
            if protocol.never_itself:
                copies = [
                    photo
                    for photo, is_copy in zip(gallery, same)
                    if is_copy and photo.path != one.path
                ]
            else:
                copies = [
                    photo
                    for photo, right in ranking_by_hand(distance[row], one, gallery, protocol)
                    if right and photo.photo == one.photo
                ]
            expected += [(row, gallery.index(photo)) for photo in copies]
        assert sorted(map(tuple, copies_in_gallery(query, gallery, protocol).tolist())) == sorted(
            expected
        )
        found += len(expected)
    assert found


def test_no_query_has_a_positive():
    query, gallery, distance = records([0, 1]), records([2, 3]), np.ones((2, 2))
    found = without_positive(rank_queries(distance, query, gallery, PROTOCOLS['all']))
    assert found == {
        'queries': 2,
        'as_zero': {'mAP': 0, 'rank1': 0, 'rank5': 0, 'rank10': 0},
        'left_out': {},
    }
    assert count_positives(query, gallery, PROTOCOLS['all']).tolist() == [0, 0]


@pytest.mark.parametrize('seed', range(4))
def test_precision_is_what_scikit_learn_gives(seed):
    distance, query, gallery = fabricated(seed, ties=False)
    ranking = rank_queries(distance, query, gallery, PROTOCOLS['tiger'])
    for row, one in enumerate(query):
        right = [hit for _, hit in ranking_by_hand(distance[row], one, gallery, PROTOCOLS['tiger'])]
        if any(right):
            masked = [False] * (len(gallery) - len(right))  # ATRW: last, all with score 0
            score = [1 / (rank + 1) for rank in range(len(right))] + [0.0] * len(masked)
            assert ranking.ap[row] == pytest.approx(
                average_precision_score(right + masked, score), abs=1e-12
            )
        else:
            assert ranking.ap[row] == 0
        assert ranking.positives[row] == sum(right)


@pytest.mark.parametrize('seed', range(4))
def test_eval_func_is_the_loop(seed):
    distance, query, gallery = fabricated(seed, ties=True)
    facts = []
    for field in ('pid', 'camid'):
        facts.append([getattr(photo, field) for photo in query])
        facts.append([getattr(photo, field) for photo in gallery])
    cmc, mean = eval_func(distance, *facts, max_rank=45)
    curves, aps = [], []
    for row, one in zip(distance, query):
        right = [hit for _, hit in ranking_by_hand(row, one, gallery, PROTOCOLS['market'])]
        if any(right):
            curves.append([1.0 if any(right[: k + 1]) else 0.0 for k in range(45)])
            aps.append(ap_by_hand(right, 'precision'))
    assert cmc.tolist() == pytest.approx(np.mean(curves, axis=0).tolist(), abs=1e-12)
    assert mean == pytest.approx(np.mean(aps), abs=1e-12)
