"""The page of a comparison in a real browser."""

import pytest
from PIL import Image

from tests.wildlife.report.runs import random_ranks, write_run
from wildlife.report.compare import compare
from wildlife.report.compare_report import write_comparison
from wildlife.report.results import read_result


@pytest.fixture(scope='module')
def page_file(tmp_path_factory):
    """The page of two results with a query photo and one photo of its ranking."""
    folder = tmp_path_factory.mktemp('compare')
    (folder / 'test').mkdir()
    ranks = random_ranks(1)
    for name in ('q0', 'g0_1'):
        Image.new('RGB', (300, 200), 'brown').save(folder / f'test/{name}.png')
    a, b = ranks.copy(), ranks.copy()
    a[0], b[0] = 9, 1
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        results = [read_result(write_run(folder / name, r)) for name, r in (('a', a), ('b', b))]
        write_comparison(folder, compare(*results, 100))
    return folder / 'compare.html'


@pytest.mark.parametrize('width', [1300, 400])
def test_the_page_fits_and_asks_nobody(open_page, page_file, width):
    with open_page(page_file, width, others='data:') as page:
        styles = page.evaluate(
            """[...document.querySelectorAll('figure.match img, figure.other .gone')].map(
                (mark) => getComputedStyle(mark).borderTopStyle)"""
        )
        assert page.evaluate('document.documentElement.scrollWidth') == width
        assert page.locator('img').count() == 3  # the query, and its nearest photo in A and in B
    assert set(styles) == {'solid', 'dashed'}  # not only the colour tells matches
