"""Tables of results."""

import io

import pandas as pd
import pytest

from tests.wildlife.report.runs import random_ranks
from wildlife.report.seeds import group_by_seed
from wildlife.report.table import _letter, in_words, notes_of, table_of, write

METRICS = ('mAP', 'rank1')


@pytest.fixture
def results(make):
    """Two seeds of one setting, and one seed of another with an LaTeX sign in its name."""
    places = [('a/1', 1, 1), ('a/2', 2, 1), ('b_50%|x', 1, 0.5)]
    return [
        make(place, random_ranks(number), 'SOLVER.SEED', seed, 'MODEL.I2T_LOSS_WEIGHT', weight)
        for number, (place, seed, weight) in enumerate(places)
    ]


def test_the_numbers(results):
    groups = group_by_seed(results)
    frame = table_of(groups, METRICS)
    about = ['runs', 'seeds', 'MODEL.I2T_LOSS_WEIGHT', 'checkpoint', 'protocol', 're-ranking']
    assert list(frame)[: len(about)] == about
    assert frame['runs'].tolist() == ['a/1, a/2', 'b_50%|x']
    assert frame['seeds'].tolist() == [2, 1]
    assert frame['MODEL.I2T_LOSS_WEIGHT'].tolist() == ['1.0', '0.5']
    assert frame['checkpoint'].tolist() == ['RN50_80.pth'] * 2
    for row, group in enumerate(groups):
        low, high = group.intervals()['mAP']
        found = frame.loc[row, ['mAP', 'mAP sd', 'mAP low', 'mAP high']].tolist()
        expected = [group.mean('mAP'), group.sd('mAP'), low, high]
        assert found == pytest.approx(expected, nan_ok=True)


def test_markdown_has_a_row_per_group_and_notes(results):
    groups = group_by_seed(results)
    text = write(table_of(groups, METRICS), METRICS, 'markdown', notes_of(groups))
    lines = text.splitlines()
    assert lines[0].endswith('| re-ranking | mAP | mAP 95 % | rank1 | rank1 95 % |')
    assert len({line.replace(r'\|', '').count('|') for line in lines[:4]}) == 1
    mean, sd = 100 * groups[0].mean('mAP'), 100 * groups[0].sd('mAP')
    low, high = (100 * bound for bound in groups[0].intervals()['mAP'])
    assert f'| {mean:.1f} ± {sd:.1f} | [{low:.1f}, {high:.1f}] |' in lines[2]
    assert r'b_50%\|x' in lines[3] and '±' not in lines[3]
    assert '±: standard deviation over the seeds.' in text and 'fixed.' in text
    assert 'No interval' not in text


def test_csv_is_read_back(results):
    frame = table_of(group_by_seed(results), METRICS)
    text = write(frame, METRICS, 'csv')
    back = pd.read_csv(io.StringIO(text), dtype={'MODEL.I2T_LOSS_WEIGHT': str})
    pd.testing.assert_frame_equal(back, frame, check_dtype=False)


def test_latex_is_escaped(results):
    frame = table_of(group_by_seed(results), METRICS)
    frame.loc[0, 'runs'] = '[a] & #1'
    text = write(frame, METRICS, 'latex', ['a note'])
    assert text.startswith('% Needs \\usepackage{booktabs}.\n% a note\n\\begin{tabular}')
    assert '\n{[}a] \\& \\#1 &' in text and r'b\_50\%|x &' in text and r' $\pm$ ' in text
    assert r'MODEL.I2T\_LOSS\_WEIGHT' in text and text.count('\\\\\n') == 3


def test_other_protocols_are_marked(make, results):
    groups = group_by_seed([*results, make('c', random_ranks(5), protocol='all')])
    assert table_of(groups)['test'].tolist() == ['A', 'A', 'B']
    assert any('cannot be compared' in note for note in notes_of(groups))
    assert 'test' not in table_of(group_by_seed(results))


def test_re_ranking_and_keys_of_other_versions_are_told(make, results):
    other = make('c', random_ranks(5), re_ranking={'k1': 20})
    other.config['MODEL.GONE'] = 1
    frame = table_of(group_by_seed([*results, other]))
    assert frame['re-ranking'].tolist() == ['no', 'no', 'yes']
    assert frame['MODEL.GONE'].tolist() == ['none', 'none', '1']


def test_letters_go_on_after_z():
    names = [_letter(number) for number in (0, 25, 26, 51, 52, 701, 702)]
    assert names == ['A', 'Z', 'AA', 'AZ', 'BA', 'ZZ', 'AAA']


def test_a_seed_that_stands_twice_is_noted(make, results):
    again = make('again', random_ranks(0), 'SOLVER.SEED', 1, 'MODEL.I2T_LOSS_WEIGHT', 1)
    groups = group_by_seed([*results, again])
    assert len(groups) == 3
    assert 'again has the settings and the seed (1) of' in notes_of(groups)[-1]


def test_without_intervals_it_says_why(make):
    reason = 'the metrics are means over 10 trials'
    none = {'individuals': 0, 'draws': 0, 'values': {}, 'intervals': {}, 'reason': reason}
    groups = group_by_seed([make('a', random_ranks(0), trials=10, measures=none)])
    words = in_words(table_of(groups, METRICS), METRICS)
    assert words['mAP 95 %'].tolist() == [''] and words['mAP'].item() != ''
    assert notes_of(groups) == [f'No interval: {reason}.']


@pytest.mark.parametrize('kind', ['markdown', 'latex'])
def test_a_folder_with_line_breaks_stays_in_its_row(make, kind):
    groups = group_by_seed([make(name, random_ranks(1)) for name in ('a\nb', 'c\u2028d')])
    lines = write(table_of(groups, ['mAP']), ['mAP'], kind, notes_of(groups)).splitlines()
    rows = [line for line in lines if 'RN50' in line]
    assert len(rows) == 2 and 'a b' in rows[0] and 'c d' in rows[1]
    notes = [line for line in lines if 'so it has a row of its own' in line]
    assert len(notes) == 1 and 'c d has the settings' in notes[0]
