"""Intervals over individuals: coverage on simulated data, invariances, second opinions."""

import numpy as np
import pytest

from datasets.records import Record
from utils.intervals import (
    Average,
    above_chance,
    draw_individuals,
    interval,
    macro,
    measure,
    paired_p,
    resample,
)
from utils.metrics import rank_queries, summarize
from utils.ranking import Ranking
from utils.relevance import RankingRules


def average(values, weights=None):
    values = np.asarray(values, dtype=float)
    return Average(values, np.ones(len(values)) if weights is None else np.asarray(weights, float))


def simulate(rng, individuals=40, photos=8, spread=0.15):
    """Query values of animals that differ from each other; photos of an animal are alike."""
    skill = rng.normal(0.6, spread, individuals)
    identities = np.repeat(np.arange(individuals), photos)
    values = skill[identities] + rng.normal(0, 0.05, individuals * photos)
    return values, identities


def test_draws_are_those_of_a_plain_loop():
    values, identities = simulate(np.random.default_rng(1), 12, 3)
    times = draw_individuals(12, 50, seed=4)
    plain = [
        np.mean(np.concatenate([np.tile(values[identities == i], n) for i, n in enumerate(row)]))
        for row in times
    ]
    ours = resample({'mAP': average(values)}, identities, 50, seed=4)['mAP']
    np.testing.assert_allclose(ours, plain, rtol=1e-12)


@pytest.mark.parametrize('kind', ['micro', 'macro'])
def test_coverage_on_simulated_data(kind):
    """The truth, 0.6, lies in 92 to 97 % of the intervals of 200 repetitions."""
    rng = np.random.default_rng(7)
    inside = 0
    for repetition in range(200):
        values, identities = simulate(rng)
        metric = average(values)
        metric = macro(metric, identities) if kind == 'macro' else metric
        low, high = interval(resample({'m': metric}, identities, 1000, repetition)['m'])
        inside += low <= 0.6 <= high
    assert 0.92 <= inside / 200 <= 0.97


def test_wider_than_over_photos_where_photos_are_alike():
    values, identities = simulate(np.random.default_rng(3))
    metric = {'m': average(values)}
    low, high = interval(resample(metric, identities, 1000, 1)['m'])
    photo_low, photo_high = interval(resample(metric, np.arange(len(values)), 1000, 1)['m'])
    assert high - low > 1.5 * (photo_high - photo_low)


def test_the_order_of_photos_does_not_matter():
    values, identities = simulate(np.random.default_rng(5), 15, 4)
    order = np.random.default_rng(6).permutation(len(values))
    ours = resample({'m': average(values)}, identities, 100, 2)['m']
    other = resample({'m': average(values[order])}, identities[order], 100, 2)['m']
    np.testing.assert_allclose(ours, other, rtol=1e-12)


def test_macro_is_the_mean_of_the_individuals_means():
    metric = average([1, 0, 0, 1, 0.5], [1, 1, 1, 1, 0])
    assert metric.mean() == 0.5
    assert macro(metric, np.array([3, 3, 3, 8, 8])).mean() == pytest.approx((1 / 3 + 1) / 2)


def test_queries_that_do_not_count():
    metric = average([0.2, 9.0, 0.4], [1, 0, 1])
    assert metric.mean() == pytest.approx(0.3)
    assert np.isnan(average([1.0], [0]).mean())
    of_others = average([1, 1, 1])  # the second individual counts in another metric
    drawn = resample({'m': metric, 'other': of_others}, [0, 1, 2], 200, 1)['m']
    assert np.nanmax(drawn) < 0.41 and np.isnan(drawn).any()  # draws of the second animal alone
    assert interval(np.array([np.nan])) is None


def test_above_chance():
    assert above_chance(0.2, 0.2) == 0 and above_chance(1.0, 0.2) == 1
    assert above_chance(0.6, 0.2) == pytest.approx(0.5)


def test_p_of_paired_differences():
    assert paired_p(np.full(999, 0.1)) == pytest.approx(2 / 1000)
    assert paired_p(np.zeros(999)) == 1
    assert paired_p(np.r_[np.full(975, 1.0), np.full(24, -1.0)]) == pytest.approx(2 * 25 / 1000)


def crowd(seed, individuals=14, photos=5):
    """Distances and records: query and gallery photos of the same animals by two cameras."""
    rng = np.random.default_rng(seed)
    records = [
        Record(f'{animal}_{n}.jpg', animal, camid=n % 2)
        for animal in range(individuals)
        for n in range(photos)
    ]
    query, gallery = records[::3], records
    return rng.random((len(query), len(gallery))).astype(np.float32), query, gallery


def test_measures_are_those_of_a_plain_loop():
    distance, query, gallery = crowd(1)
    rules = RankingRules(ap='precision', ignore='camera')
    found = measure(
        rank_queries(distance, query, gallery, rules),
        [photo.pid for photo in query],
        [photo.group for photo in query],
        draws=200,
        seed=1,
    )
    rows = []
    for row, photo in zip(distance, query):
        kept = [
            (value, other.pid == photo.pid)
            for value, other in zip(row, gallery)
            if other.pid != photo.pid or other.camid != photo.camid
        ]
        hits = [rank for rank, (_, match) in enumerate(sorted(kept), start=1) if match]
        precision = np.mean([n / rank for n, rank in enumerate(hits, start=1)])
        rows.append(
            (photo.pid, precision, hits[0] == 1, len(hits) / hits[-1], len(hits) / len(kept))
        )
    pids, ap, first, inverse, chance = map(np.array, zip(*rows))
    values = found['values']
    assert values['mAP'] == pytest.approx(ap.mean())
    assert values['rank1'] == pytest.approx(first.mean())
    assert values['mINP'] == pytest.approx(inverse.mean())
    assert values['chance'] == pytest.approx(chance.mean())
    by_individual = [ap[pids == pid].mean() for pid in set(pids.tolist())]
    assert values['macro/mAP'] == pytest.approx(np.mean(by_individual))
    expected = (first.mean() - chance.mean()) / (1 - chance.mean())
    assert values['rank1_above_chance'] == pytest.approx(expected)
    assert found['individuals'] == 14 and not found['reason']
    for name, (low, high) in found['intervals'].items():
        assert low <= values[name] <= high, name


def test_chance_is_that_of_random_rankings():
    _, query, gallery = crowd(2)
    rules = RankingRules(ap='precision')
    rng = np.random.default_rng(3)
    rank1 = []
    for _ in range(300):
        distance = rng.random((len(query), len(gallery)))
        ranking = rank_queries(distance, query, gallery, rules)
        rank1.append((ranking.first_hit == 1).mean())
    pids, groups = [photo.pid for photo in query], [photo.group for photo in query]
    assert measure(ranking, pids, groups, 0, 1)['values']['chance'] == pytest.approx(
        np.mean(rank1), abs=0.01
    )


@pytest.mark.parametrize(
    ('individuals', 'draws', 'words'), [(9, 100, 'the test has 9'), (14, 0, 'is 0')]
)
def test_no_intervals_and_why(individuals, draws, words):
    distance, query, gallery = crowd(4, individuals)
    ranking = rank_queries(distance, query, gallery, RankingRules())
    found = measure(ranking, [p.pid for p in query], [p.group for p in query], draws, 1)
    assert found['intervals'] == {} and words in found['reason'] and found['values']['mAP'] > 0


@pytest.mark.parametrize(('counts', 'share', 'individuals'), [(True, 10 / 11, 11), (False, 1, 10)])
def test_a_query_without_a_match(counts, share, individuals):
    """It counts as 0, or for nothing: no average has it, nor the number of individuals."""
    hits = np.array([1] * 10 + [0])
    counted = np.array([True] * 10 + [counts])
    ranking = Ranking(hits.astype(float), hits, hits, hits, 5 * hits, counted)
    found = measure(ranking, range(11), ['group'] * 11, 100, 1)
    for name in ('mAP', 'rank1', 'mINP', 'macro/mAP', 'group/mAP', 'group/rank10'):
        assert found['values'][name] == pytest.approx(share), name
    assert found['individuals'] == individuals and found['intervals'] and not found['reason']


def test_an_undefined_value_is_none():
    one = np.ones(12, dtype=int)  # every photo is a match: there is nothing above chance
    ranking = Ranking(one.astype(float), one, one, one, one, one.astype(bool))
    found = measure(ranking, range(12), [''] * 12, 100, 1)
    assert found['values']['chance'] == 1 and found['values']['rank1_above_chance'] is None
    assert found['intervals']['rank1_above_chance'] is None


def test_groups_and_their_mean():
    distance, query, gallery = crowd(5)
    groups = ['sing' if photo.camid else 'multi' for photo in query]
    ranking = rank_queries(distance, query, gallery, RankingRules())
    found = measure(ranking, [photo.pid for photo in query], groups, 100, 1)
    published = summarize(ranking, groups)
    for name, value in published.items():
        assert found['values'][name] == pytest.approx(value), name
    low, high = found['intervals']['mmAP']
    assert low <= published['mmAP'] <= high


def test_above_chance_is_undefined_where_every_photo_matches():
    assert np.isnan(above_chance(1.0, 1.0))
    np.testing.assert_allclose(above_chance([0.5, 1.0], [0.5, 0.5]), [0, 1])


def test_individuals_without_a_counted_query_are_never_drawn():
    values, identities = simulate(np.random.default_rng(8), 12, 3)
    others = np.concatenate([identities, [97, 98, 99]])
    weights = np.concatenate([np.ones(len(values)), np.zeros(3)])
    padded = average(np.concatenate([values, np.ones(3)]), weights)
    ours = resample({'m': padded}, others, 200, seed=9)['m']
    np.testing.assert_array_equal(ours, resample({'m': average(values)}, identities, 200, 9)['m'])
