"""Measures of open sets, against loops over the definitions and against scikit-learn."""

from statistics import NormalDist

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from utils.errors import InputError
from utils.open_set_intervals import measure_open_set, no_skill, resampled_measures
from utils.open_sets import (
    OpenSet,
    balanced,
    lowest_rate,
    open_set_values,
    oscr_curve,
    steps,
    threshold_at,
    threshold_measures,
)


def random_queries(seed, individuals=14, photos=7, ties=True):
    """Half of the individuals are known; scores of known ones are a little higher."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(individuals), photos)
    known = who % 2 == 0
    score = rng.normal(known * 0.8, 1)
    if ties:
        score = score.round(1)
    right = known & (rng.random(len(who)) < 0.7)
    return OpenSet(who, known, right, score, score > 0.4)


def plain_values(queries, rates=(0.01, 0.1)):
    """The definitions of spec, in loops."""
    known = [i for i in range(len(queries.score)) if queries.known[i]]
    unknown = [i for i in range(len(queries.score)) if not queries.known[i]]
    score, right = queries.score, queries.right
    wins = [right[k] * (score[k] > score[u]) for k in known for u in unknown]
    values = {
        'rank1': np.mean([right[k] for k in known]),
        'AUROC': roc_auc_score(queries.known, score),
        'OSCR': np.mean(wins),
    }
    for rate in rates:
        best = 0.0
        for limit in [*score, score.max() + 1]:
            if np.mean([score[u] >= limit for u in unknown]) <= rate:
                best = max(best, np.mean([right[k] and score[k] >= limit for k in known]))
        values[f'DIR@{rate:g}'] = best if rate * len(unknown) >= 1 else np.nan
    shares = {True: [], False: []}
    for name in np.unique(queries.individuals):
        own = np.flatnonzero(queries.individuals == name)
        side = bool(queries.known[own[0]])
        named = [queries.right[i] and queries.accepted[i] for i in own]
        shares[side].append(np.mean(named if side else [not queries.accepted[i] for i in own]))
    baks, baus = np.mean(shares[True]), np.mean(shares[False])
    return values | {'BAKS': baks, 'BAUS': baus, 'sqrt': np.sqrt(baks * baus)}


@pytest.mark.parametrize('ties', [True, False])
@pytest.mark.parametrize('seed', range(4))
def test_values_equal_the_definitions(seed, ties):
    queries = random_queries(seed, ties=ties)
    found = open_set_values(queries)
    plain = plain_values(queries)
    assert list(found) == list(plain)
    np.testing.assert_allclose(list(found.values()), list(plain.values()), rtol=1e-12)


def test_the_order_of_queries_does_not_matter():
    queries = random_queries(3)
    order = np.random.default_rng(0).permutation(len(queries.score))
    mixed = queries.take(order)
    assert open_set_values(mixed) == pytest.approx(open_set_values(queries), nan_ok=True)
    first, second = (resampled_measures(each, 50, 1) for each in (queries, mixed))
    for name, values in first.items():
        np.testing.assert_allclose(second[name], values, rtol=1e-10)


def test_always_new():
    queries = random_queries(1)
    queries = OpenSet(**{**vars(queries), 'accepted': np.zeros(len(queries.score), bool)})
    found = open_set_values(queries)
    assert (found['BAKS'], found['BAUS'], found['sqrt']) == (0, 1, 0)


@pytest.mark.parametrize('side', [True, False])
def test_an_empty_side_has_no_number(side):
    queries = random_queries(1)
    found = open_set_values(queries.take(queries.known == side))
    missing = {'AUROC', 'OSCR', 'DIR@0.01', 'DIR@0.1', 'sqrt', 'BAUS' if side else 'BAKS'}
    missing |= set() if side else {'rank1'}
    assert {name for name, value in found.items() if np.isnan(value)} == missing


def test_draws_are_those_of_repeated_queries():
    """Resampling by weights equals a sample in which queries really occur several times."""
    queries = random_queries(5)
    times = np.random.default_rng(0).integers(0, 3, len(np.unique(queries.individuals)))
    weights = times[queries.individuals].astype(float)
    repeated = queries.take(np.repeat(np.arange(len(weights)), weights.astype(int)))
    weighted = steps(queries, weights[None])
    plain = steps(repeated, np.ones((1, len(repeated.score))))
    for name, value in threshold_measures(plain, (0.1, 0.2)).items():
        np.testing.assert_allclose(
            threshold_measures(weighted, (0.1, 0.2))[name], value, rtol=1e-12
        )


def simulated(rng, individuals=24, photos=8, shift=1.2):
    """Scores with a part that all photos of an individual share; AUROC of photos is known."""
    who = np.repeat(np.arange(individuals), photos)
    known = who < individuals // 2
    score = rng.normal(size=individuals)[who] + rng.normal(size=len(who)) + shift * known
    return OpenSet(who, known, known, score, score > 0)


def test_the_interval_holds_the_truth_and_photos_alone_would_not():
    """AUROC = Φ(shift / 2) for two normals of variance 2, whatever photos share."""
    truth = NormalDist().cdf(1.2 / 2)
    rng = np.random.default_rng(0)
    covered = by_photo = 0
    for _ in range(80):
        queries = simulated(rng)
        low, high = np.percentile(resampled_measures(queries, 150, 0)['AUROC'], [2.5, 97.5])
        photos = OpenSet(**{**vars(queries), 'individuals': np.arange(len(queries.score))})
        low2, high2 = np.percentile(resampled_measures(photos, 150, 0)['AUROC'], [2.5, 97.5])
        covered += low <= truth <= high
        by_photo += low2 <= truth <= high2
        assert high2 - low2 < high - low
    assert covered / 80 > 0.88
    assert by_photo / 80 < 0.75


def test_no_skill_is_what_coin_tosses_reach():
    """The mean over many random scores and decisions."""
    queries, rng, found = random_queries(2), np.random.default_rng(0), []
    names = ('AUROC', 'OSCR', 'DIR@0.1', 'BAKS', 'BAUS')
    for _ in range(400):
        count = len(queries.score)
        coins = OpenSet(
            queries.individuals,
            queries.known,
            queries.right,
            rng.random(count),
            rng.random(count) < 0.5,
        )
        values = open_set_values(coins, (0.1,))
        found.append([values[name] for name in names])
    guess = no_skill(queries, (0.1,))
    expected = [guess[name] for name in names]
    np.testing.assert_allclose(np.mean(found, axis=0), expected, atol=0.012)
    assert guess['sqrt'] == pytest.approx(np.sqrt(guess['BAKS'] * guess['BAUS']))


def test_the_curve_has_the_area():
    """Steps from one rate of false matches to the next; without ties this is exact."""
    queries = random_queries(4, ties=False)
    fpir, ccr = oscr_curve(queries)
    area = np.sum(np.diff(fpir) * ccr[1:])
    assert area == pytest.approx(open_set_values(queries)['OSCR'])
    assert (fpir[0], ccr[0], fpir[-1]) == (0, 0, 1)


def test_thresholds():
    scores = np.array([0.1, 0.9, 0.5, 0.7, 0.3])
    assert threshold_at(scores, 0.2) == 0.9  # a sixth one is the highest once in six times
    assert threshold_at(scores, 0.33) == 0.9
    assert threshold_at(scores, 0.34) == 0.7
    assert threshold_at(scores, 1.0) == -np.inf
    for rate in (0.19, 0, 1.1, float('nan')):
        with pytest.raises(InputError, match=r'with 5 queries.*: from 0.2 to 1'):
            threshold_at(scores, rate)
    with pytest.raises(InputError, match='with 0 queries.*: none'):
        threshold_at(np.empty(0), 0.5)


def test_rates_that_binary_numbers_miss():
    """0.29 · 100 is 28.999999999999996, and 1 / 49 · 49 is less than 1."""
    known = np.arange(200) < 100
    score = np.where(known, 70.5, np.arange(200) - 100)  # below 29 of the unknown ones
    queries = OpenSet(np.arange(200), known, known, score, known)
    assert open_set_values(queries, (0.29,))['DIR@0.29'] == 1
    assert no_skill(queries, (0.29,))['DIR@0.29'] == pytest.approx(30 / 101)
    assert threshold_at(np.arange(99.0), 0.29) == 70
    assert threshold_at(np.arange(49.0), 1 / 49) == 48
    some = queries.take(np.arange(149))
    assert np.isfinite(open_set_values(some, (1 / 49,))[f'DIR@{1 / 49:g}'])


@pytest.mark.parametrize('rate', [0.05, 0.1, 0.3])
def test_another_score_exceeds_a_threshold_as_rarely_as_stated(rate):
    """On average over fits, and not much more rarely than it may."""
    rng = np.random.default_rng(0)
    limits = [threshold_at(rng.random(25), rate) for _ in range(4000)]
    assert rate - 1 / 26 - 0.005 < 1 - np.mean(limits) < rate + 0.003


@pytest.mark.parametrize('count', [1, 3, 7, 20, 72, 140, 409, 1001])
def test_the_lowest_rate_can_be_used(count):
    lowest = float(lowest_rate(count))
    assert 1 / count <= lowest <= 1.1 / count
    threshold_at(np.linspace(0, 1, count), lowest)


def test_measures_for_json():
    found = measure_open_set(random_queries(0, individuals=20), 100, 0)
    assert found['counts'] == {
        'known_queries': 70,
        'known_individuals': 10,
        'unknown_queries': 70,
        'unknown_individuals': 10,
    }
    assert found['values']['DIR@0.01'] is None and 'DIR@0.01' not in found['intervals']
    low, high = found['intervals']['sqrt']
    assert low < found['values']['sqrt'] < high
    few = measure_open_set(random_queries(0, individuals=18), 100, 0)
    assert few['intervals'] == {} and 'there are 9 and 9' in few['reason']
    assert found['no_skill']['DIR@0.01'] is None and found['no_skill']['AUROC'] == 0.5
    queries = random_queries(0, individuals=20)
    one_side = measure_open_set(queries.take(queries.individuals != 3), 100, 0)
    assert one_side['intervals'] == {} and 'there are 10 and 9' in one_side['reason']
    assert measure_open_set(random_queries(0), 0, 0)['reason'] == 'TEST.BOOTSTRAP is 0'


def test_the_balanced_measures_are_means_over_individuals():
    """An individual with many queries counts as much as one with a single query."""
    who = np.array([0] * 9 + [1] + [2] * 4 + [3])
    known = who < 2
    right = np.array([True] * 9 + [False] + [False] * 5)
    accepted = np.array([True] * 10 + [True] * 4 + [False])
    means = balanced(OpenSet(who, known, right, np.zeros(15), accepted))
    assert means['BAKS'].mean() == pytest.approx(0.5)
    assert means['BAUS'].mean() == pytest.approx(0.5)
