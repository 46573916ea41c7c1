"""The page of the open-set test, in a browser."""

import numpy as np
import pytest

from tests.wildlife.identify.worlds import random_table
from utils.open_set_intervals import counts
from wildlife.identify import open_set
from wildlife.identify.open_set import Row, measure_rows
from wildlife.identify.report import (
    charts,
    html_page,
    missing_texts,
    pooled,
    table_lines,
)
from wildlife.identify.run import OpenSetResult


@pytest.fixture(scope='module')
def result():
    test = open_set.cross_fitted_test(random_table(individuals=12, unknown=12, photos_each=6))
    facts = {
        'mode': 'lists',
        'catalogue': 12,
        'counts': counts(test.queries),
        'units': 'photo',
        'skipped': 3,
        'protocol': 'cross-encounter',
        'protocol_text': 'no photo <of> the same encounter',
        'calibration': 'cross-fitted by individual',
        'bootstrap': 200,
        'version': '0',
        'model': {'model_sha256': 'abc' * 20},
    }
    return OpenSetResult(measure_rows(test, 200), [test], facts)


@pytest.mark.parametrize('wide', [1300, 400])
def test_the_page_fits(result, open_page, tmp_path, wide):
    path = tmp_path / 'open_set.html'
    path.write_text(html_page(result, ['These weights <b>tell</b>.', 'More.']), encoding='utf-8')
    with open_page(path, wide) as page:
        assert page.evaluate('document.documentElement.scrollWidth') == wide
        assert page.locator('strong').first.inner_text() == 'These weights <b>tell</b>.'
        rows = page.locator('.measures tbody tr')
        rates = len(result.tests[0].decisions)
        assert rows.count() == len(result.rows) - 4 * rates + 4 and rates
        assert page.locator('figure.chart').count() == 3
        assert '3 photos were skipped' in page.locator('.notice').first.inner_text()
        assert 'No DIR at 1 %' in page.locator('.notice').last.inner_text()


def test_lines_of_the_table(result):
    lines = table_lines(result)
    assert lines[0].startswith(
        'Queries: 72 photos of 12 known individuals (the catalogue has 12) and 72'
    )
    (auroc,) = [line for line in lines if line.startswith('AUROC')]
    row = next(row for row in result.rows if row.name == 'AUROC')
    assert f'{row.value:.3f}  [{row.pair[0]:.3f}, {row.pair[1]:.3f}]' in auroc
    assert auroc.endswith('0.500')


def test_what_is_not_measured_is_said(result):
    (low,) = missing_texts(result)  # 72 photos of new animals
    assert low.startswith(
        'No DIR at 1 % false matches: a rate of 1 % needs 100 photos of new animals'
    )
    rows = [Row('AUROC', '', 0.5, None)]
    (few,) = missing_texts(OpenSetResult(rows, [], {'bootstrap': 100}))
    assert 'at least 10 known and 10 new' in few
    (none,) = missing_texts(OpenSetResult(rows, [], {'bootstrap': 0}))
    assert 'TEST.BOOTSTRAP' in none


def test_the_curve_of_several_tests_is_their_mean(result):
    test = result.tests[0]
    other = open_set.cross_fitted_test(random_table(1, unknown=12, skill=0.5))
    one, two, both = (
        charts(tests, result.rows)[0].lines[0].y for tests in ([test], [other], [test, other])
    )
    np.testing.assert_allclose(both, (one + two) / 2)
    assert np.abs(one - two).max() > 0.1
    assert (np.diff(one) >= 0).all()
    assert one[-1] == pytest.approx(next(row.value for row in result.rows if row.name == 'rank1'))
    assert pooled([test, test]).count.sum() == 2 * len(test.answers.score)
