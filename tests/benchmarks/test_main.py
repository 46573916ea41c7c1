"""The command: python -m benchmarks, on toy cases."""

import json

import pytest

from benchmarks import __main__ as benchmark
from benchmarks import core
from benchmarks.core import Case
from tests.benchmarks.toys import toy
from utils.errors import InputError


@pytest.fixture
def toys(monkeypatch):
    """The program with two toy cases instead of its own."""
    cases = [toy('one-plus', threaded=False), toy('two', 1.0, 1.5, tolerance=0.5)]
    monkeypatch.setattr(benchmark, 'all_cases', lambda settings: cases)
    monkeypatch.setattr(benchmark, 'product_peak', lambda threads, device: threads * 1e9)
    return cases


def test_table_and_json(toys, tmp_path, capsys):
    benchmark.main(['--out', str(tmp_path), '--rounds', '2'])
    content = json.loads((tmp_path / 'cpu.json').read_text())
    assert [(row['name'], row['threads'], row['difference']) for row in content['rows']] == [
        ('one-plus', 1, 0),
        ('two', 1, 0.5),
        ('two', 2, 0.5),
    ]
    assert all(
        len(row[way]['seconds']) == row['rounds'] == 2
        for row in content['rows']
        for way in ('plain', 'ours')
    )
    assert content['machine'].keys() >= {
        'cpu',
        'cores',
        'memory_bytes',
        'os',
        'python',
        'torch',
        'numpy',
        'git',
        'date',
        'command',
    }
    assert content['peak_flops'] == {'1': 1e9, '2': 2e9}
    lines = [
        line.split()[:2]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith(('one', 'two'))
    ]
    assert lines == [['one-plus', '1'], ['two', '1'], ['two', '2']]


def test_quick_is_one_thread_and_a_file_of_its_own(toys, tmp_path):
    benchmark.main(['--out', str(tmp_path), '--quick'])
    rows = json.loads((tmp_path / 'cpu-quick.json').read_text())['rows']
    rounds = core.QUICK_ROUNDS
    assert [(row['name'], row['threads'], row['rounds']) for row in rows] == [
        ('one-plus', 1, rounds),
        ('two', 1, rounds),
    ]


def test_only_some_rows(toys, tmp_path):
    benchmark.main(['--out', str(tmp_path), '--only', 'plus', '--rounds', '1'])
    content = json.loads((tmp_path / 'cpu-plus.json').read_text())  # the file of all rows stays
    assert [row['name'] for row in content['rows']] == ['one-plus']


def test_unknown_row_is_refused(toys, tmp_path):
    with pytest.raises(InputError, match='--only three: .* one-plus, two'):
        benchmark.main(['--out', str(tmp_path), '--only', 'two', 'three'])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('argument', 'least'), [('--threads', 1), ('--rounds', 1), ('--photos', 8), ('--seed', 0)]
)
def test_numbers_that_are_too_small(argument, least):
    with pytest.raises(
        InputError, match=f'{argument} {least - 1} is too small; give at least {least}'
    ):
        benchmark.main([argument, str(least - 1)])


def test_an_empty_word_is_rejected():
    with pytest.raises(InputError, match='a name must not be empty'):
        benchmark.main(['--only', ''])


def test_too_large_a_difference_fails(toys, tmp_path, capsys):
    toys.append(toy('three', 1.0, 1.5, tolerance=0.49, threaded=False))
    with pytest.raises(SystemExit) as stop:
        benchmark.main(['--out', str(tmp_path), '--rounds', '1'])
    assert stop.value.code == 1
    assert 'FAILED three' in capsys.readouterr().out
    failed = [
        row['name']
        for row in json.loads((tmp_path / 'cpu.json').read_text())['rows']
        if 'failed' in row
    ]
    assert failed == ['three']


def test_an_error_is_kept_and_the_others_go_on(toys, tmp_path):
    def broken():
        raise RuntimeError('no memory')

    toys.insert(0, Case('broken', 'broken', broken, threaded=False))
    with pytest.raises(SystemExit):
        benchmark.main(['--out', str(tmp_path), '--rounds', '1'])
    rows = json.loads((tmp_path / 'cpu.json').read_text())['rows']
    assert rows[0]['failed'] == 'RuntimeError: no memory' and len(rows) == 4
