"""What a comparison writes: tables, and the page with the queries that changed."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.wildlife.report.runs import INDIVIDUALS, LABELS
from utils.errors import InputError
from wildlife.report import compare_report
from wildlife.report.compare import (
    compare,
    sentence,
)
from wildlife.report.compare_report import FILES, TOP, write_comparison

GOOD, BAD = np.ones(len(LABELS), dtype=int), np.full(len(LABELS), 3)


def test_the_files(tmp_path, comparison):
    out = tmp_path / 'deep/er'
    write_comparison(out, comparison)
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    facts = json.loads((out / 'compare.json').read_text())
    table = pd.read_csv(out / 'compare.csv').set_index('metric')
    for name, found in facts['metrics'].items():
        assert table.loc[name, ['low', 'high']].tolist() == pytest.approx(found['interval'])
        assert table.loc[name, 'difference'] == pytest.approx(found['b'] - found['a'])
    changed = pd.read_csv(out / 'changed.csv')
    assert changed['change'].value_counts().to_dict() == {
        name: facts['rank1'][name] for name in ('won', 'lost')
    }
    assert facts['sentence'] == sentence(comparison) and facts['draws'] == 300
    assert [facts[name]['folder'] for name in 'ab'] == [str(tmp_path / name) for name in 'ab']
    assert (facts['queries'], facts['individuals']) == (len(LABELS), INDIVIDUALS)


def test_earlier_files_are_kept(tmp_path, comparison):
    for _ in range(2):
        write_comparison(tmp_path / 'out', comparison)
    names = {path.name for path in (tmp_path / 'out').iterdir()}
    assert names == {*FILES, *(name.replace('.', '.1.') for name in FILES)}


def test_a_folder_that_cannot_be_written(tmp_path, comparison):
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match='choose another folder'):
        write_comparison(tmp_path / 'file', comparison)


def test_the_page_shows_queries_with_both_rankings(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    before, after = GOOD.copy(), GOOD.copy()
    before[4], after[9] = 2, 3
    missing = write_comparison(tmp_path, compare(make('<a>', before), make('b', after), 100))
    page = (tmp_path / 'compare.html').read_text()
    assert missing == 2 * (1 + TOP)  # both results have the same photos
    assert page.count('>photo not found<') == 2 * (1 + 2 * TOP)
    assert f'{missing} photos were not found or cannot be read.' in page
    assert page.count('<section class="query">') == 2
    assert page.count('✓ match') == 4 and page.count('✗ no match') == 4 * TOP - 4
    assert 'first match at rank 2 in A, at rank 1 in B' in page
    assert '&lt;a&gt;' in page and '<a>' not in page


def test_individuals_that_only_one_result_ranks(make):
    a, b = make('a', BAD), make('b', GOOD)
    table = pd.read_csv(a.folder / 'ranked_lists.csv')
    table.loc[table['query'] == 'test/q4.png', 'label'] = 77
    table.to_csv(a.folder / 'ranked_lists.csv')
    queries = compare_report.pictured_queries(comparison := compare(a, b, 100))
    page = compare_report.make_page(comparison, queries, compare_report.make_thumbnails(queries))
    assert page.count('individual 77, ') == TOP


def test_photos_are_found_from_the_folder_of_the_test(tmp_path, monkeypatch, make):
    (tmp_path / 'test').mkdir()
    for name in ('q4', *(f'g4_{rank}' for rank in range(1, TOP + 1))):
        Image.new('RGB', (300, 200)).save(tmp_path / f'test/{name}.png')
    before = GOOD.copy()
    before[4] = 2
    comparison = compare(make('a', before), make('b', GOOD), 100)
    monkeypatch.chdir(tmp_path)
    assert write_comparison(tmp_path / 'out', comparison) == 0
    page = (tmp_path / 'out/compare.html').read_text()
    assert page.count('<img') == 1 + 2 * TOP and 'were not found' not in page


def test_the_page_is_capped(tmp_path, monkeypatch, make):
    monkeypatch.setattr(compare_report, 'PICTURED', 5)
    write_comparison(tmp_path, compare(make('a', BAD), make('b', GOOD), 100))
    page = (tmp_path / 'compare.html').read_text()
    assert page.count('<section class="query">') == 5
    assert '31 more queries changed; changed.csv lists all of them.' in page
    assert len(pd.read_csv(tmp_path / 'changed.csv')) == 36


def test_a_query_without_photos_to_compare_with(make):
    a, b = make('a', BAD), make('b', GOOD)
    table = pd.read_csv(a.folder / 'ranked_lists.csv')
    table[table['query'] != 'test/q4.png'].to_csv(a.folder / 'ranked_lists.csv')
    comparison = compare(a, b, 100)
    assert pd.isna(comparison.changed.loc[4, 'nearest_a'])
    queries = compare_report.pictured_queries(comparison)
    page = compare_report.make_page(comparison, queries, compare_report.make_thumbnails(queries))
    assert page.count('no photo to compare with') == 1


def test_individuals_have_their_names(tmp_path, make):
    before = GOOD.copy()
    before[4] = 2
    root = ('DATASETS.LIST_DIR', tmp_path, 'DATASETS.TEST_ROOT_DIR', 'test')
    comparison = compare(
        make('a', before), make('b', GOOD, 'DATASETS.NAMES', 'animals', *root), 100
    )
    assert compare_report.names_of(comparison.b)[1] == 'individual 1'
    (tmp_path / 'photos.csv').write_text('identity,listed\n<Ann>,q4.png\n')
    write_comparison(tmp_path / 'out', comparison)
    page = (tmp_path / 'out/compare.html').read_text()
    assert 'query, &lt;Ann&gt;' in page and 'individual 99, ' in page
    (tmp_path / 'photos.csv').write_text('no list')
    assert compare_report.names_of(comparison.b)[1] == 'individual 1'
