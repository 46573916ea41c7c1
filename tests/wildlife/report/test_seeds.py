"""Groups of seeds, their intervals and differences, against plain computations."""

import numpy as np
import pytest

from tests.wildlife.report.runs import INDIVIDUALS, LABELS, PHOTOS, random_ranks
from utils.errors import InputError
from wildlife.report.seeds import (
    SeedGroup,
    difference_over_individuals,
    difference_over_seeds,
    group_by_seed,
    mean_draws,
    metric_names,
    t_interval,
)


@pytest.fixture
def seeds(make):
    """Groups A and B of three seeds each; B's matches are nearer."""
    groups = []
    for name, worst in (('a', 6), ('b', 2)):
        results = [
            make(f'{name}{seed}', random_ranks([seed, worst], worst), 'SOLVER.SEED', seed)
            for seed in (1, 2, 3)
        ]
        groups.append(SeedGroup(tuple(results)))
    return groups


def plain_draws(values, draws=1000):
    """(draws,): the mean of the queries of individuals that are drawn one by one."""
    times = np.random.default_rng(0).multinomial(
        INDIVIDUALS, np.full(INDIVIDUALS, 1 / INDIVIDUALS), size=draws
    )
    found = []
    for row in times:
        queries = np.concatenate(
            [np.flatnonzero(label == LABELS) for label in np.repeat(range(INDIVIDUALS), row)]
        )
        found.append(values[queries].mean())
    return np.array(found)


def mean_ap(group):
    """(Q,): each query's average precision, as a mean over the seeds."""
    return np.mean([result.queries['ap'] for result in group.results], axis=0)


def test_groups_differ_in_more_than_the_seed(make, tmp_path):
    ranks = random_ranks(0)
    results = [
        make('b', ranks, 'SOLVER.SEED', 2),
        make('a', ranks, 'SOLVER.SEED', 1),
        make('other', ranks, 'SOLVER.SEED', 1, 'MODEL.I2T_LOSS_WEIGHT', 0),
        make('early', ranks, 'SOLVER.SEED', 3, checkpoint=f'{tmp_path}/early/RN50_60.pth'),
        make('reranked', ranks, 'SOLVER.SEED', 3, re_ranking={'k1': 20}),
        make('protocol', ranks, 'SOLVER.SEED', 3, protocol='all'),
        make('again', ranks, 'SOLVER.SEED', 2),
    ]
    groups = group_by_seed(results)
    assert [[result.folder.name for result in group.results] for group in groups] == [
        *(['a', 'b'], ['other'], ['early'], ['reranked'], ['protocol'], ['again'])
    ]
    assert groups[0].seeds == [1, 2]


def test_mean_and_spread_over_seeds(seeds):
    values = [result.queries['ap'].mean() for result in seeds[0].results]
    assert seeds[0].values('mAP') == pytest.approx(values)
    assert seeds[0].mean('mAP') == pytest.approx(sum(values) / 3)
    squares = sum((value - sum(values) / 3) ** 2 for value in values)
    assert seeds[0].sd('mAP') == pytest.approx((squares / 2) ** 0.5)
    half = 4.302653 * (squares / 2) ** 0.5 / 3**0.5
    assert t_interval(values) == pytest.approx([sum(values) / 3 - half, sum(values) / 3 + half])
    one = SeedGroup(seeds[0].results[:1])
    assert np.isnan(one.sd('mAP')) and t_interval(one.values('mAP')) is None
    assert np.isnan(one.mean('no such metric'))


def test_the_interval_over_individuals_is_that_of_the_mean_query(seeds):
    draws = plain_draws(mean_ap(seeds[0]))
    assert seeds[0].intervals()['mAP'] == pytest.approx(np.percentile(draws, [2.5, 97.5]))


def test_a_single_result_has_its_own_interval(seeds):
    result = seeds[0].results[0]
    own = result.measures['intervals']
    assert SeedGroup((result,)).intervals() == own and own['mAP']


def test_the_difference_over_individuals_is_paired(seeds):
    a, b = seeds
    found = difference_over_individuals(a, b)
    assert list(found)[:3] == ['mAP', 'rank1', 'rank5'] and 'chance' not in found
    draws = plain_draws(mean_ap(b) - mean_ap(a))
    assert found['mAP'].interval == pytest.approx(np.percentile(draws, [2.5, 97.5]))
    assert found['mAP'].p == pytest.approx(2 / 1001)
    assert found['mAP'].difference == pytest.approx((mean_ap(b) - mean_ap(a)).mean())
    back = difference_over_individuals(b, a)['mAP']
    assert back.interval == pytest.approx([-high for high in reversed(found['mAP'].interval)])


def test_equal_results_do_not_differ(seeds):
    same = difference_over_individuals(seeds[0], seeds[0])
    assert same['mAP'].interval == (0, 0) and same['mAP'].p == 1
    assert difference_over_seeds(seeds[0], seeds[0], 'mAP').p == 1
    turned = SeedGroup(seeds[0].results[::-1])
    assert difference_over_individuals(seeds[0], turned)['mAP'].p == 1


def test_the_difference_over_seeds_is_a_paired_t_test(seeds):
    stats = pytest.importorskip('scipy.stats')
    a, b = seeds
    found = difference_over_seeds(a, b, 'mAP')
    assert found.p == pytest.approx(stats.ttest_rel(b.values('mAP'), a.values('mAP')).pvalue)
    assert found.interval == t_interval(b.values('mAP') - a.values('mAP'))
    assert difference_over_seeds(b, a, 'mAP').p == pytest.approx(found.p)


def test_the_same_difference_for_every_seed_is_no_chance(make):
    a, b = (
        SeedGroup(tuple(make(f'{r}-{n}', 0 * LABELS + r, 'SOLVER.SEED', n) for n in (1, 2)))
        for r in (2, 1)
    )
    found = difference_over_seeds(a, b, 'mAP')
    assert (found.p, found.interval) == (0, (0.5, 0.5))


def test_seeds_have_intervals_even_if_their_tests_drew_none(seeds):
    for result in seeds[0].results:
        result.measures.update(intervals={}, reason='TEST.BOOTSTRAP is 0')
    assert seeds[0].no_interval_reason == '' and seeds[0].intervals()['mAP']
    one = SeedGroup(seeds[0].results[:1])
    assert one.no_interval_reason == 'TEST.BOOTSTRAP is 0' and one.intervals() == {}


def test_other_seeds_are_not_paired(seeds):
    a, b = seeds
    assert difference_over_seeds(a, SeedGroup(b.results[:2]), 'mAP') is None
    assert difference_over_seeds(a, SeedGroup(b.results[::-1]), 'mAP') is None
    assert difference_over_seeds(SeedGroup(a.results[:1]), SeedGroup(b.results[:1]), 'mAP') is None


def test_groups_of_queries_are_metrics_too(make):
    kinds = ['sing', 'multi', ''] * INDIVIDUALS
    ranks = random_ranks(0)
    a, b = make('a', ranks, groups=kinds), make('b', ranks[::-1], groups=kinds)
    found = difference_over_individuals(SeedGroup((a,)), SeedGroup((b,)))
    for number, kind in enumerate(kinds[:2]):
        change = (1 / ranks[::-1] - 1 / ranks)[number::3].mean()
        assert found[f'{kind}/mAP'].difference == pytest.approx(change)
    both = found['sing/mAP'].difference + found['multi/mAP'].difference
    assert found['mmAP'].difference == pytest.approx(both / 2)
    names = metric_names(a)
    assert names[0] == 'mmAP' and len(set(names)) == len(names)


def test_draws_without_a_query_of_a_group_do_not_count(make):
    kinds = ['rare'] * PHOTOS + [''] * (len(LABELS) - PHOTOS)
    a, b = (SeedGroup((make(f'r{r}', 0 * LABELS + r, groups=kinds),)) for r in (2, 1))
    drawn = np.isfinite(mean_draws(a)['rare/mAP']).sum()
    assert 500 < drawn < 800  # of 1000
    found = difference_over_individuals(a, b)['rare/mAP']
    assert found.interval == (0.5, 0.5) and found.p == pytest.approx(2 / (1 + drawn))


def test_a_metric_that_is_undefined_is_not_compared(make):
    groups = [SeedGroup((make(name, random_ranks(0)),)) for name in 'ab']
    groups[0].first.metrics['mINP'] = None
    assert 'mINP' not in difference_over_individuals(*groups)


def test_checkpoints_have_the_same_name_on_every_machine(make):
    ranks, places = random_ranks(0), ('/runs/1/RN50_80.pth', 'D:\\runs\\2\\RN50_80.pth')
    results = [
        make(str(seed), ranks, 'SOLVER.SEED', seed, checkpoint=place)
        for seed, place in enumerate(places)
    ]
    assert len(group_by_seed(results)) == 1


def test_results_without_intervals_are_not_compared(make):
    few = np.arange(9)
    groups = []
    for name in 'ab':
        result = make(name, few + 1, labels=few)
        groups.append(SeedGroup((result,)))
    with pytest.raises(InputError, match='at least 10 query individuals, but the test has 9'):
        difference_over_individuals(*groups)
    both = SeedGroup((groups[0].first, groups[1].first))
    assert both.intervals() == {} and 'has 9' in both.no_interval_reason
