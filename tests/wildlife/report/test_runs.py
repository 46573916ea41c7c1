"""Finding results, and names of metrics."""

import pytest

from tests.wildlife.report.runs import random_ranks, write_run
from utils.errors import InputError
from wildlife.report.runs import check_metrics, find_results, save_text


@pytest.fixture
def runs(tmp_path):
    """A folder of the runs b/1, b/1/before and a."""
    for name in ('runs/b/1', 'runs/b/1/before', 'runs/a'):
        write_run(tmp_path / name, random_ranks(0))
    return tmp_path / 'runs'


def names(results, runs):
    return [result.folder.relative_to(runs).as_posix() for result in results]


def test_a_folder_is_searched(runs):
    (runs / 'a/results.1.json').write_text('an earlier one')
    assert names(find_results([runs]), runs) == ['a', 'b/1/before', 'b/1']


def test_a_run_stands_for_itself(runs):
    found = find_results([runs / 'b/1', runs / 'a/results.json', runs / 'a/../b/1'])
    assert names(found, runs) == ['b/1', 'a']


@pytest.mark.parametrize('name, words', [('empty', 'no results.json in'), ('gone', 'No such file')])
def test_a_folder_without_results(runs, name, words):
    (runs / 'empty').mkdir()
    with pytest.raises(InputError, match=words):
        find_results([runs / 'a', runs / name])


def test_an_older_result_is_named(runs):
    (runs / 'a/results.json').write_text('{"metrics": {}}')
    with pytest.raises(InputError, match=r'a.results.json: written by another version.*format 1'):
        find_results([runs])


def test_a_damaged_result_is_named(runs):
    (runs / 'a/results.json').write_text('{"metrics": {}, "format": 2, "config": {}}')
    with pytest.raises(InputError, match=r'a.results.json: damaged: measures, data, protocol'):
        find_results([runs])


@pytest.mark.parametrize('given, near', [('map', 'mAP'), ('rank-1', 'rank1'), ('minp', 'mINP')])
def test_the_nearest_metric_is_named(runs, given, near):
    results = find_results([runs])
    check_metrics(['mAP', 'macro/mAP', 'chance'], results)
    with pytest.raises(InputError, match=f"unknown metric '{given}'; did you mean {near}[?]"):
        check_metrics(['mAP', given], results)


def test_a_metric_like_no_other(runs):
    with pytest.raises(InputError, match="unknown metric 'speed' .these results have mAP, rank1"):
        check_metrics(['speed'], find_results([runs]))


def test_an_earlier_file_is_kept_and_a_folder_is_rejected(tmp_path):
    for text in ('one', 'two'):
        save_text(tmp_path / 'table.md', text)
    assert (tmp_path / 'table.1.md').read_text() + (tmp_path / 'table.md').read_text() == 'onetwo'
    with pytest.raises(InputError, match='is a folder; name a file in it'):
        save_text(tmp_path, 'three')
    with pytest.raises(InputError, match='cannot write'):
        save_text(tmp_path / 'gone/table.md', 'four')


def test_a_name_that_is_too_long_is_one_line(tmp_path):
    long = tmp_path / ('x' * 300)
    with pytest.raises(InputError, match='File name too long; choose a shorter name'):
        save_text(long, 'x')
    with pytest.raises(InputError, match='File name too long'):
        find_results([long])
