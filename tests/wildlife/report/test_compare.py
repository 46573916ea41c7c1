"""The comparison of two results, against plain computations."""

import numpy as np
import pandas as pd
import pytest

from tests.wildlife.report.runs import COMPARED, DATA, LABELS, random_ranks
from utils.errors import InputError
from wildlife.report.compare import (
    Comparison,
    changed_queries,
    compare,
    metrics_frame,
    p_text,
    sentence,
)
from wildlife.report.compare_report import summary
from wildlife.report.results import read_result
from wildlife.report.seeds import Difference

GOOD, BAD = np.ones(len(LABELS), dtype=int), np.full(len(LABELS), 3)


def test_the_queries_that_changed(make):
    before, after = GOOD.copy(), GOOD.copy()
    before[[4, 7]], after[[7, 9, 20]] = 2, (3, 2, 8)
    table = changed_queries(make('a', before), make('b', after))
    assert table.index.tolist() == [20, 4, 9]  # changes of 7/8, 1/2, 1/2; query 7 has no match
    assert table['change'].tolist() == ['lost', 'won', 'lost']
    assert table['first_hit_a'].tolist() == [1, 2, 1]
    assert table['first_hit_b'].tolist() == [8, 1, 2]
    assert table['ap_b'].tolist() == [1 / 8, 1, 1 / 2]
    assert table['query_label'].tolist() == [LABELS[20], LABELS[4], LABELS[9]]
    assert table['nearest_a'].tolist() == [f'test/g{query}_1.png' for query in (20, 4, 9)]


def test_the_numbers(make):
    a, b = random_ranks(1), random_ranks(2)
    comparison = compare(make('a', a), make('b', b), 300)
    table = metrics_frame(comparison).set_index('metric')
    assert comparison.headline == 'mAP' and table.index[0] == 'mAP'
    assert table.loc['mAP', 'a'] == pytest.approx((1 / a).mean())
    assert table.loc['rank1', 'difference'] == pytest.approx((b == 1).mean() - (a == 1).mean())
    chance = 1 / COMPARED
    above = ((b == 1).mean() - (a == 1).mean()) / (1 - chance)
    assert table.loc['rank1_above_chance', 'difference'] == pytest.approx(above)
    assert (table['low'] <= table['difference']).all()
    assert (table['difference'] <= table['high']).all()
    won, lost = int(((a != 1) & (b == 1)).sum()), int(((a == 1) & (b != 1)).sum())
    assert comparison.counts == {'won': won, 'lost': lost, 'unchanged': len(a) - won - lost}


def test_a_clear_difference_in_words(make):
    a, b = make('a', BAD), make('b', GOOD)
    assert sentence(compare(a, b, 1000)) == (
        "B's mAP is higher by 66.7 points [66.7, 66.7], p = 0.002."
    )
    assert sentence(compare(b, a, 100)) == (
        "B's mAP is lower by 66.7 points [66.7, 66.7], p = 0.020."
    )


@pytest.mark.parametrize(
    'b, interval, p, words',
    [
        (0.6, (0.02, 0.17), 0.049, "B's mAP is higher by 10.0 points [2.0, 17.0], p = 0.049."),
        (0.4, (-0.17, -0.02), 0.049, "B's mAP is lower by 10.0 points [2.0, 17.0], p = 0.049."),
        (0.4, (-0.2, 0.01), 0.051, "B's mAP minus A's is -10.0 points [-20.0, 1.0], p = 0.051."),
    ],
)
def test_a_difference_in_words(b, interval, p, words):
    difference = Difference(0.5, b, interval, p)
    assert sentence(Comparison(None, None, 100, {'mAP': difference}, None)).endswith(words)


@pytest.mark.parametrize(
    'p, text', [(1, '1.00'), (0.25, '0.25'), (0.002, '0.002'), (4e-5, '<0.001')]
)
def test_p_in_words(p, text):
    assert p_text(p) == text


def test_many_draws_in_words(make):
    words = sentence(compare(make('a', BAD), make('b', GOOD), 10_000))
    assert words.endswith('points [66.7, 66.7], p < 0.001.')


def test_chance_alone_in_words(make):
    ranks = random_ranks(1)
    other = np.roll(ranks, 3)  # the same numbers, of other individuals
    words = sentence(compare(make('a', ranks), make('b', other), 300))
    assert words.startswith("No difference beyond chance was found: B's mAP minus A's is +0.0 ")


def test_atrw_is_compared_by_mmap(make):
    kinds = ['sing', 'multi'] * (len(LABELS) // 2)
    comparison = compare(make('a', BAD, groups=kinds), make('b', GOOD, groups=kinds), 100)
    assert sentence(comparison).startswith("B's mmAP is higher by 66.7")
    assert {'sing/mAP', 'sing/rank10', 'multi/rank1'} <= comparison.differences.keys()


def test_settings_may_differ(make):
    a = make('a', BAD, 'MODEL.I2T_LOSS_WEIGHT', 0, re_ranking={'k1': 20})
    comparison = compare(a, make('b', GOOD), 100)
    assert comparison.settings == {'MODEL.I2T_LOSS_WEIGHT': [0.0, 1.0]}
    lines = summary(comparison)
    assert f'A: {a.folder} (RN50_80.pth, re-ranked)' in lines
    assert 'MODEL.I2T_LOSS_WEIGHT: A 0.0, B 1.0' in lines
    assert any(line.startswith('Rank 1: 36 queries won') and ' 0 lost' in line for line in lines)
    assert any(line.split()[:4] == ['mAP', '33.3', '100.0', '+66.7'] for line in lines)


@pytest.mark.parametrize(
    'facts, words',
    [
        ({'protocol': 'all'}, 'the protocols differ'),
        ({'data': DATA | {'query': DATA['gallery']}}, 'the query lists differ'),
    ],
)
def test_other_photos_and_protocols_are_rejected(make, facts, words):
    with pytest.raises(InputError, match=words):
        compare(make('a', GOOD), make('b', GOOD, **facts), 100)


def test_several_trials_are_rejected(make):
    reason = 'the metrics are means over 10 trials'
    none = {'individuals': 0, 'draws': 0, 'values': {}, 'intervals': {}, 'reason': reason}
    a, b = (make(name, GOOD, trials=10, measures=none) for name in 'ab')
    with pytest.raises(InputError, match=f'{reason}; compare tests of one trial'):
        compare(a, b, 100)


def test_few_individuals_are_rejected(make):
    few = np.arange(9)
    a, b = (make(name, few + 1, labels=few) for name in 'ab')
    with pytest.raises(InputError, match='at least 10 query individuals, but the test has 9'):
        compare(a, b, 100)


def test_a_result_is_not_compared_with_itself(make):
    a = make('a', GOOD)
    with pytest.raises(InputError, match='A and B are the same folder'):
        compare(a, read_result(a.folder / 'results.json'), 100)


def test_tables_of_another_test_are_rejected(make):
    a, b = make('a', GOOD), make('b', BAD)
    (a.folder / 'queries.csv').rename(b.folder / 'queries.csv')
    with pytest.raises(InputError, match=r'queries.csv: belongs to another test than the results'):
        compare(read_result(b.folder), make('c', GOOD), 100)
    (b.folder / 'queries.csv').unlink()
    with pytest.raises(InputError, match=r'queries.csv: cannot be read'):
        compare(read_result(b.folder), make('d', GOOD), 100)


def change_queries(result, change):
    """Read a result again after ``change`` of the table in its queries.csv."""
    file = result.folder / 'queries.csv'
    change(pd.read_csv(file)).to_csv(file, index=False)
    return read_result(result.folder)


@pytest.mark.parametrize(
    'change',
    [
        lambda table: table.sort_values('ap'),
        lambda table: table.iloc[[1, 0, *range(2, len(table))]],  # of the same individual
        lambda table: table.assign(query_label=table['query_label'].replace(3, 4)),
    ],
)
def test_other_queries_are_rejected(make, change):
    a, b = make('a', random_ranks(1)), change_queries(make('b', random_ranks(2)), change)
    with pytest.raises(InputError, match='do not list the same queries in the same order'):
        compare(a, b, 300)


def test_queries_may_be_in_other_folders(make):
    """The same photos on another machine: only the names of the files count."""
    a, b = make('a', BAD), make('b', GOOD)
    b = change_queries(b, lambda t: t.assign(query=t['query'].str.replace('test/', 'D:\\p\\')))
    assert b.queries['query'][0] == 'D:\\p\\q0.png'
    assert compare(a, b, 100).counts['won'] == len(LABELS)


def test_results_without_a_common_metric_are_rejected(make):
    a, b = make('a', random_ranks(1)), make('b', random_ranks(2))
    a.measures['values'] = {'mAP2': 0.5}
    with pytest.raises(InputError, match='no metric in common'):
        compare(a, b, 300)


def test_damaged_rankings_are_rejected(make):
    a, b = make('a', GOOD), make('b', BAD)
    (a.folder / 'ranked_lists.csv').write_text('query,rank\n')
    with pytest.raises(InputError, match=r'ranked_lists.csv: damaged'):
        compare(a, b, 100)
