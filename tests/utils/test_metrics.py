"""Metrics compared with golden numbers, loops over one ranking, scikit-learn, and matrices typed by
hand.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

import utils.ranking
from datasets.protocols import PROTOCOLS, Protocol
from datasets.records import Record
from tests.helpers import PUBLISHED_LISTS
from utils.errors import InputError
from utils.metrics import (
    atrw_public_split,
    copies_in_gallery,
    count_positives,
    distance_text,
    eval_func,
    rank_metrics,
    rank_queries,
    ranked_gallery,
    summarize,
    without_positive,
)
from utils.relevance import SAME

GOLDEN = Path(__file__).resolve().parents[1] / 'golden'
EVAL = json.loads((GOLDEN / 'eval.json').read_text())
ARRAYS = np.load(GOLDEN / 'eval.npz')
ATRW_NAMES = {
    'mmAP': 'mmAP',
    'sing_mAP': 'sing/mAP',
    'sing_top1': 'sing/rank1',
    'sing_top5': 'sing/rank5',
    'multi_mAP': 'multi/mAP',
    'multi_top1': 'multi/rank1',
    'multi_top5': 'multi/rank5',
}


def records(pids, camids=None):
    camids = [0] * len(pids) if camids is None else camids
    return [
        Record(f'{index}.jpg', int(pid), int(cam))
        for index, (pid, cam) in enumerate(zip(pids, camids))
    ]


def golden_set(name):
    """(distance, query labels, gallery labels) of a small set."""
    distance = 1 - ARRAYS[f'{name}/query'] @ ARRAYS[f'{name}/gallery'].T
    return distance, ARRAYS[f'{name}/q_pid'], ARRAYS[f'{name}/g_pid']


def subset_of(metrics, expected):
    return {name: metrics[name] for name in expected}


# Golden numbers


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


def tiger_set():
    """Features of the 1764 test photos by the rule of README-eval.md, and their records."""
    if not (PUBLISHED_LISTS / 'mytest.txt').exists():
        pytest.skip('the tiger lists are not here')
    lines = [
        line.split()
        for line in (PUBLISHED_LISTS / 'mytest.txt').read_text().splitlines()
        if line.strip()
    ]
    truth = {
        entry['imgid']: entry
        for entry in json.loads((PUBLISHED_LISTS / 'gt_test_plain.json').read_text())
    }
    entries = [truth[int(name.removesuffix('.jpg'))] for name, *_ in lines]
    photos = [
        Record(name, int(label), frame=tuple(entry['frame']), group=entry['query'])
        for (name, label, *_), entry in zip(lines, entries)
    ]
    facts = EVAL['tiger']['A']
    _, label = np.unique([photo.pid for photo in photos], return_inverse=True)
    sequences = sorted({photo.frame[:2] for photo in photos})
    sequence = [sequences.index(photo.frame[:2]) for photo in photos]
    generator = np.random.default_rng(facts['seed'] + 30000)
    centre, scene, noise = (
        generator.standard_normal((size, facts['dim']))
        for size in (label.max() + 1, len(sequences), len(photos))
    )
    x = (centre[label] + facts['rho'] * scene[sequence] + facts['sigma'] * noise).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True), photos


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


# Loops over one ranking at a time


def ranking_by_hand(distance, query, gallery, protocol):
    """Gallery records of one query in order, without what is dropped or ignored: list of (record,
    is a positive).
    """
    order = sorted(range(len(gallery)), key=lambda index: (distance[index], index))
    itself = [
        index
        for index in order
        if gallery[index].pid == query.pid and gallery[index].photo == query.photo
    ]
    if protocol.drop_nearest and not (protocol.never_itself and itself):
        order = order[1:]
    if protocol.never_itself:
        order = [index for index in order if index not in itself]
    ranking = []
    for photo in (gallery[index] for index in order):
        same = photo.pid == query.pid
        if protocol.ignore == 'camera' and same and photo.camid == query.camid:
            continue
        if (
            protocol.ignore == 'encounter'
            and same
            and photo.encounter is not None
            and photo.encounter == query.encounter
        ):
            continue
        cameras = {photo.camera, query.camera}
        if protocol.ignore == 'known camera' and same and (None in cameras or len(cameras) == 1):
            continue
        if (
            protocol.ignore == 'side'
            and same
            and (None in (photo.side, query.side) or photo.side == query.side)
        ):
            continue
        if protocol.ignore == 'sequence' and photo.pid == -1:
            continue
        if (
            protocol.ignore == 'sequence'
            and same
            and photo.frame
            and query.frame
            and photo.frame[:2] == query.frame[:2]
            and abs(photo.frame[2] - query.frame[2]) <= 3
        ):
            continue
        ranking.append((photo, same))
    return ranking


def ap_by_hand(right, kind):
    """right: list of bool in the order of the ranking."""
    total, found = 0.0, 0
    for position, hit in enumerate(right):
        if hit:
            before = found / position if position else 1.0
            found += 1
            precision = found / (position + 1)
            total += precision if kind == 'precision' else (before + precision) / 2
    return total / found if found else 0.0


def metrics_by_hand(distance, query, gallery, protocol):
    aps, firsts = [], []
    for row, one in zip(distance, query):
        right = [hit for _, hit in ranking_by_hand(row, one, gallery, protocol)]
        if any(right) or protocol.no_positive == 'zero':
            aps.append(ap_by_hand(right, protocol.ap))
            firsts.append(right.index(True) + 1 if any(right) else np.inf)
    ranks = {f'rank{k}': sum(first <= k for first in firsts) / len(firsts) for k in (1, 5, 10)}
    return {'mAP': sum(aps) / len(aps), **ranks}


def fabricated(seed, ties):
    """12 queries, 40 gallery photos of 5 individuals (-1 among them), the first 6 photos the same;
    cameras, frames close to each other, sides and encounters that may be unknown. Every fourth
    photo of the gallery is a copy of another, some of the same individual.
    """
    generator = np.random.default_rng(seed)

    def maybe(count):
        return int(generator.integers(count)) if generator.random() < 0.7 else None

    def photos(count):
        return [
            Record(
                f'{index}.jpg',
                int(generator.integers(-1, 5)),
                camid=int(generator.integers(3)),
                frame=tuple(map(int, generator.integers(0, (2, 2, 12))))
                if generator.random() < 0.9
                else None,
                side=maybe(2),
                encounter=maybe(3),
                camera=maybe(3),
            )
            for index in range(count)
        ]

    query = photos(12)
    gallery = query[:6] + photos(40)[6:]
    for index in range(8, 40, 4):
        photo = gallery[index // 4]
        gallery[index] = replace(
            gallery[index], copy_of=photo.photo, pid=photo.pid if index % 8 else gallery[index].pid
        )
    distance = generator.random((12, 40))
    return (np.round(distance, 1) if ties else distance), query, gallery


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
        right = [
            [hit for _, hit in ranking_by_hand(row, one, gallery, protocol)]
            for row, one in zip(distance, query)
        ]
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
    facts = [
        [getattr(photo, field) for photo in photos]
        for field in ('pid', 'camid')
        for photos in (query, gallery)
    ]
    cmc, mean = eval_func(distance, *facts, max_rank=45)
    curves, aps = [], []
    for row, one in zip(distance, query):
        right = [hit for _, hit in ranking_by_hand(row, one, gallery, PROTOCOLS['market'])]
        if any(right):
            curves.append([1.0 if any(right[: k + 1]) else 0.0 for k in range(45)])
            aps.append(ap_by_hand(right, 'precision'))
    assert cmc.tolist() == pytest.approx(np.mean(curves, axis=0).tolist(), abs=1e-12)
    assert mean == pytest.approx(np.mean(aps), abs=1e-12)


# Typed by hand


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


# Edges


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
