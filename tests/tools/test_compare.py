"""The command tools.compare."""

import json
import sys

import pytest

from tests.wildlife.report.runs import random_ranks, write_run
from tools import compare
from utils.errors import exit_code


@pytest.fixture
def runs(tmp_path):
    """The folders A and B of two tests."""
    return [
        str(write_run(tmp_path / f'out/{name}', random_ranks(n))) for n, name in enumerate('ab')
    ]


def test_the_results_are_beside_b(runs, tmp_path, capsys):
    comparison = compare.main([*runs, '--draws', '100'])
    folder = tmp_path / 'out/b/compare_to_a'
    assert json.loads((folder / 'compare.json').read_text())['draws'] == 100
    said = capsys.readouterr().out
    assert '95 % interval' in said and f'Page: {folder / "compare.html"}' in said
    changed = comparison.counts['won'] + comparison.counts['lost']
    assert f'Not found or unreadable: {changed * 6} photos of the page' in said


def test_another_folder(runs, tmp_path):
    compare.main([f'{runs[0]}/results.json', runs[1], '--out', str(tmp_path / 'x')])
    assert (tmp_path / 'x/compare.html').is_file() and not (
        tmp_path / 'out/b/compare_to_a'
    ).exists()


@pytest.mark.parametrize(
    'words, message',
    [
        (['B', 'B'], 'A and B are the same folder'),
        (['B', 'gone'], 'gone: cannot be read'),
        (['B', 'old'], 'written by another version'),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(runs, tmp_path, capsys, words, message):
    (tmp_path / 'old.json').write_text('{"metrics": {}}')
    places = {'B': runs[1], 'gone': 'gone', 'old': str(tmp_path / 'old.json')}
    before = sorted(tmp_path.rglob('*'))
    assert exit_code(lambda: compare.main([places[word] for word in words])) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith('error: ') and error.count('\n') == 1
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize('draws', ['99', 'many', '-1', '1e3', '1000000'])
def test_draws_out_of_range(runs, capsys, draws):
    with pytest.raises(SystemExit) as stopped:
        compare.main([*runs, '--draws', draws])
    assert stopped.value.code == 2
    assert 'is not a whole number from 100 to 100000' in capsys.readouterr().err


def test_help_says_where_the_results_are(capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['compare'])
    with pytest.raises(SystemExit):
        compare.main(['--help'])
    assert "compare_to_<name of A>, in B's folder" in ' '.join(capsys.readouterr().out.split())
