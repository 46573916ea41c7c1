"""Metrics compared with golden numbers."""

import numpy as np
import pytest

from datasets.protocols import PROTOCOLS
from tests.helpers import GOLDEN
from tests.utils.metric_sets import ATRW_NAMES, EVAL, records, subset_of, tiger_set
from utils.errors import InputError
from utils.metrics import (
    atrw_public_split,
    eval_func,
    rank_metrics,
    rank_queries,
    summarize,
)

ARRAYS = np.load(GOLDEN / 'eval.npz')


def golden_set(name):
    """(distance, query labels, gallery labels) of a small set."""
    distance = 1 - ARRAYS[f'{name}/query'] @ ARRAYS[f'{name}/gallery'].T
    return distance, ARRAYS[f'{name}/q_pid'], ARRAYS[f'{name}/g_pid']


@pytest.mark.parametrize('drop', [True, False])
@pytest.mark.parametrize('name', ['plain', 'copies'])
def test_golden_animal_protocol(name, drop):
    distance, q_pid, g_pid = golden_set(name)
    query, gallery = records(q_pid), records(g_pid)
    protocol = PROTOCOLS['query_in_gallery' if drop else 'query_apart']
    facts = dict(EVAL['animal']['cases'][f'{name}_remove_closest_{drop}'])
    without = facts.pop('queries_without_positive')
    facts.pop('smallest_gap_between_distances')
    metrics = rank_metrics(distance, query, gallery, protocol)
    assert metrics == pytest.approx(facts, abs=1e-6)
    assert all(type(value) is float for value in metrics.values())
    ranking = rank_queries(distance, query, gallery, protocol)
    expected = ARRAYS[f'{name}/ap_remove_{drop}']  # -1: no positive
    assert ranking.ap == pytest.approx(np.maximum(expected, 0), abs=1e-6)
    assert (ranking.positives == 0).sum() == without
    assert (ranking.positives == 0).tolist() == (expected == -1).tolist()
    found = ranking.first_hit[ranking.first_hit > 0]
    cmc = [(found <= k + 1).sum() / len(query) for k in range(len(gallery))]
    assert cmc == pytest.approx(ARRAYS[f'{name}/cmc_remove_{drop}'], abs=1e-6)


def market_set():
    _, q_pid, g_pid = golden_set('plain')
    query, gallery = ARRAYS['plain/query'], ARRAYS['plain/gallery']
    distance = np.linalg.norm(query[:, None] - gallery[None], axis=2)
    return distance, q_pid, g_pid, ARRAYS['market/q_camid'], ARRAYS['market/g_camid']


def test_golden_market():
    distance, q_pid, g_pid, q_cam, g_cam = market_set()
    facts = dict(EVAL['market']['cameras'])
    cmc, mean = eval_func(distance, q_pid, g_pid, q_cam, g_cam)
    assert cmc == pytest.approx(ARRAYS['market/cmc'], abs=1e-6)
    assert (len(cmc), mean) == (facts.pop('cmc_length'), pytest.approx(facts['mAP'], abs=1e-6))
    metrics = rank_metrics(
        distance, records(q_pid, q_cam), records(g_pid, g_cam), PROTOCOLS['market']
    )
    assert metrics == pytest.approx(facts, abs=1e-6)


def test_golden_market_without_the_camera_filter():
    distance, q_pid, g_pid, q_cam, g_cam = market_set()
    facts = EVAL['market']['camera_filter_off (q cam 0, g cam 1)']
    cmc, mean = eval_func(distance, q_pid, g_pid, 0 * q_cam, 0 * g_cam + 1)
    assert {'mAP': mean, 'rank1': cmc[0], 'rank5': cmc[4], 'rank10': cmc[9]} == pytest.approx(
        facts, abs=1e-6
    )
    one = rank_metrics(distance, records(q_pid), records(g_pid), PROTOCOLS['market_one_camera'])
    assert one == pytest.approx(facts, abs=1e-6)


def test_golden_market_short_gallery():
    distance, q_pid, g_pid, q_cam, g_cam = market_set()
    facts = EVAL['market']['first_30_gallery_photos_max_rank_10']
    short = distance[:, :30], q_pid, g_pid[:30], q_cam, g_cam[:30]
    cmc, mean = eval_func(*short, max_rank=10)
    assert (mean, cmc.tolist()) == (
        pytest.approx(facts['mAP'], abs=1e-6),
        pytest.approx(facts['cmc'], abs=1e-6),
    )
    longer, same = eval_func(*short)  # the original fails with an error
    assert (same, longer[:10].tolist()) == (mean, cmc.tolist())
    assert longer.shape == (50,) and longer[29:].tolist() == [1.0] * 21


def test_a_single_camera_leaves_market_without_positives():
    distance, q_pid, g_pid, q_cam, g_cam = market_set()
    with pytest.raises(InputError, match='no query has a match by another camera'):
        eval_func(distance, q_pid, g_pid, 0 * q_cam, 0 * g_cam)
    with pytest.raises(InputError, match='no query has a match in the gallery'):
        rank_metrics(distance, records(q_pid), records(g_pid), PROTOCOLS['market'])


def test_golden_tiger():
    features, photos = tiger_set()
    facts, distance = EVAL['tiger']['A'], 1 - features @ features.T
    ranking, groups = (
        rank_queries(distance, photos, photos, PROTOCOLS['tiger']),
        [photo.group for photo in photos],
    )

    stored = np.load(GOLDEN / 'tiger_ap.npz')
    single = np.array(groups) == 'sing'
    assert ranking.ap[single] == pytest.approx(stored['A/ap_sing'], abs=1e-4)
    assert ranking.ap[~single] == pytest.approx(stored['A/ap_multi'], abs=1e-4)

    for split, subset in (('private_split', None), ('public_split', atrw_public_split(groups))):
        metrics = summarize(ranking, groups, subset)
        expected = {new: facts[split][old] for old, new in ATRW_NAMES.items()}
        assert subset_of(metrics, expected) == pytest.approx(expected, abs=1e-6)
    assert np.bincount(~single[subset]).tolist() == [
        facts[split]['n_sing'],
        facts[split]['n_multi'],
    ]

    animal = rank_metrics(distance, photos, photos, PROTOCOLS['query_in_gallery'])
    expected = facts['animal_protocol_remove_closest']
    assert subset_of(animal, expected) == pytest.approx(expected, abs=1e-6)
