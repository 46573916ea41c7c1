"""The command tools.table."""

import csv

import pytest

from tests.wildlife.report.runs import random_ranks, write_run
from tools import table
from utils.errors import exit_code


@pytest.fixture
def runs(tmp_path):
    """A folder of three seeds and of one run with another setting."""
    for seed in (1, 2, 3):
        write_run(tmp_path / f'runs/seed{seed}', random_ranks(seed), 'SOLVER.SEED', seed)
    write_run(tmp_path / 'runs/other', random_ranks(4), 'MODEL.NAME', 'ViT-B-16')
    return str(tmp_path / 'runs')


def test_markdown_on_the_screen(runs, capsys):
    text = table.main([runs])
    assert capsys.readouterr().out == text
    lines = text.splitlines()
    assert lines[0].startswith('| runs | seeds | MODEL.NAME | checkpoint | protocol |')
    assert lines[2].startswith('| other | 1 | ViT-B-16 |') and '±' not in lines[2]
    assert lines[3].startswith('| seed1, seed2, seed3 | 3 | RN50 |') and lines[3].count('±') == 4


@pytest.mark.parametrize(
    'kind, first', [('latex', '% Needs'), ('csv', 'runs,'), ('markdown', '| runs')]
)
def test_a_file_of_each_kind(runs, tmp_path, capsys, kind, first):
    out = tmp_path / 'table'
    text = table.main([runs, '--format', kind, '--out', str(out), '--metrics', 'mAP', 'mAP'])
    assert out.read_text() == text and text.startswith(first)
    said = capsys.readouterr()
    assert f'4 results in 2 rows: {out}' in said.out
    assert ('standard deviation' in said.err) == (kind == 'csv')


def test_the_csv_has_numbers(runs, capsys):
    rows = list(csv.DictReader(table.main([runs, '--format', 'csv']).splitlines()))
    expected = sum((1 / random_ranks(seed)).mean() for seed in (1, 2, 3)) / 3
    assert float(rows[1]['mAP']) == pytest.approx(expected) and float(rows[1]['mAP sd']) > 0
    assert rows[0]['mAP sd'] == '' and float(rows[0]['mAP low']) < float(rows[0]['mAP'])


def test_bad_input_is_one_line(runs, tmp_path, capsys):
    for words, message in (
        ([runs, '--metrics', 'rank-1'], "unknown metric 'rank-1'; did you mean rank1"),
        ([str(tmp_path / 'gone')], 'gone: cannot be read'),
    ):
        assert (
            exit_code(lambda words=words: table.main([*words, '--out', str(tmp_path / 'x')])) == 2
        )
        error = capsys.readouterr().err
        assert message in error and error.startswith('error: ') and error.count('\n') == 1
    assert not (tmp_path / 'x').exists()
