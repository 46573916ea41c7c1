"""report.html in a real browser: filters, keys, sorting, the large view; nothing but the disk."""

import re

import pytest

from tests.wildlife.report.small_tests import EVIL, LONELY, small_test, write_photos
from wildlife.report import page_data
from wildlife.report.page import write_report

playwright = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
expect = playwright.expect
both_widths = pytest.mark.parametrize('wide', [1300, 400], indirect=True)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """The folder of the page, and the test."""
    folder = tmp_path_factory.mktemp('report')
    test, result, facts = small_test(folder)
    write_photos(test)
    (folder / 'photos.csv').write_text('listed,identity\n1/0.png,"<b>Nala</b> & co"\n')
    (folder / 'out').mkdir()
    write_report(folder / 'out', test, result, facts)
    return folder, test, result


@pytest.fixture
def wide(request):
    return getattr(request, 'param', 1300)


@pytest.fixture
def page(open_page, made, wide):
    """The open page; afterwards there may be no message and no request off the disk."""
    with open_page(made[0] / 'out/report.html', wide) as page:
        yield page


def count(page):
    return page.locator('#count').inner_text()


def focused(page):
    """(number of the query, position in its ranking) of the photo that has the focus."""
    return page.evaluate(
        """() => {
            const row = document.activeElement.closest('.query');
            const photos = [...row.querySelectorAll('.photo')];
            return [Number(row.dataset.index), photos.indexOf(document.activeElement) - 1];
        }"""
    )


@both_widths
def test_it_fits_and_makes_rows_when_they_are_seen(page, wide):
    assert page.evaluate('document.documentElement.scrollWidth') == wide
    assert page.locator('.query').count() == 70
    assert page.locator('.query h3').count() < 20
    page.locator('.query').last.scroll_into_view_if_needed()
    page.locator('.query').last.locator('h3').wait_for()
    assert page.locator('.chart polyline').count() >= 3
    assert page.locator('text="<b>Nala</b> & co"').count()  # as text, not as markup
    assert page.evaluate('typeof data.queries.length') == 'number'


def test_filters(page, made):
    _, test, result = made
    hits = result.rankings[0].first_hit
    wrong = int((hits > 1).sum())
    page.select_option('[name=kind]', 'wrong')
    assert count(page) == f'{wrong} of 70 queries'
    page.locator('#filters [type=reset]').click()
    expect(page.locator('#count')).to_have_text('70 of 70 queries')
    page.select_option('[name=kind]', 'none')
    assert count(page) == '5 of 70 queries'
    page.select_option('[name=kind]', '')
    page.select_option('[name=who]', label=f'individual {LONELY}')
    assert count(page) == '5 of 70 queries'
    page.select_option('[name=side]', 'left')
    assert count(page) == '3 of 70 queries'
    page.select_option('[name=who]', '')
    page.select_option('[name=encounter]', '11')
    page.select_option('[name=side]', '')
    assert count(page) == '2 of 70 queries'
    assert page.locator('[name=camera]').count() == 0  # nothing to choose


def test_orders(page, made):
    ap = made[2].rankings[0].ap
    page.select_option('[name=order]', 'ap')
    shown = page.locator('.query').evaluate_all('rows => rows.map(row => +row.dataset.index)')
    worst_first = ap[[number for number in shown if number < 5 * LONELY]]
    assert (worst_first[1:] >= worst_first[:-1] - 1e-4).all()
    assert set(shown[-5:]) == set(range(5 * LONELY, 70))
    page.select_option('[name=order]', 'sure')
    first = page.locator('.query').first
    first.scroll_into_view_if_needed()
    assert first.locator('h3 .mark').get_attribute('aria-label') == 'wrong'
    page.keyboard.press('w')  # starts at the top of the new order
    assert focused(page)[0] == int(first.get_attribute('data-index'))


def test_keys(page, made):
    wrong = [number for number, hit in enumerate(made[2].rankings[0].first_hit) if hit > 1]
    for expected in wrong[:3]:
        page.keyboard.press('w')
        assert focused(page) == [expected, 0]
    page.keyboard.press('ArrowRight')
    page.keyboard.press('ArrowRight')
    assert focused(page) == [wrong[2], 2]
    page.keyboard.press('ArrowLeft')
    page.keyboard.press('ArrowDown')
    assert focused(page) == [wrong[2] + 1, 1]
    page.keyboard.press('ArrowUp')
    assert focused(page) == [wrong[2], 1]
    assert page.locator('#list [tabindex="0"]').count() == 1
    page.focus('[name=kind]')
    page.keyboard.press('z')  # typing in a control is no command
    assert not page.evaluate('zoom.open')


@both_widths
def test_both_photos_are_shown_large_from_their_files(page):
    page.keyboard.press('w')
    number, _ = focused(page)
    page.keyboard.press('z')
    pictures = page.locator('#zoom-photos img')
    assert pictures.count() == 2
    for number_shown in range(2):
        expect(pictures.nth(number_shown)).to_have_js_property('naturalWidth', 96)
    sources = pictures.evaluate_all('images => images.map(image => image.src)')
    assert all(source.startswith('file:') for source in sources)
    assert 'another individual' in page.locator('#zoom-photos').inner_text()
    page.keyboard.press('ArrowRight')
    page.keyboard.press('ArrowDown')
    assert f'Query {number + 2} ' in page.locator('#zoom-text').inner_text()
    assert 'photo 2 of 10' in page.locator('#zoom-text').inner_text()
    page.keyboard.press('Escape')
    expect(page.locator('.query.current .photo').nth(2)).to_be_focused()
    assert focused(page) == [number + 1, 1]
    page.locator('.query.current .photo').nth(3).click()
    assert page.evaluate('zoom.open') and 'photo 3 of 10' in page.locator('#zoom-text').inner_text()


def test_the_table_is_sorted(page):
    def column(number):
        cells = page.locator(f'#individual-table tbody td:nth-child({number})')
        return [text.split('%')[0] for text in cells.all_inner_texts()]

    button = page.locator('#individual-table th button')
    heading = page.locator('#individual-table th').nth(1)
    scores = [float(text) for text in column(2) if text != '–']
    assert scores == sorted(scores) and heading.get_attribute('aria-sort') == 'ascending'
    button.nth(1).click()
    scores = [float(text) for text in column(2) if text != '–']
    assert scores == sorted(scores, reverse=True)
    assert heading.get_attribute('aria-sort') == 'descending'
    button.nth(0).click()
    assert column(1)[:4] == ['<b>Nala</b> & co', *(f'individual {label}' for label in (0, 2, 3))]
    page.locator('#individual-table tbody button.plain').first.click()
    expect(page.locator('#count')).to_have_text('5 of 70 queries')
    assert focused(page) == [5, 0]


def test_a_confusion_shows_its_queries(page):
    first = page.locator('#confusion-list button').first
    words = first.inner_text()
    first.click()
    expect(page.locator('#count')).to_contain_text('taken for')
    number = int(words.split(': ')[1].split(' of')[0])
    assert count(page).startswith(f'{number} of 70 queries: ')
    assert page.locator('.query').count() == number


def test_without_its_file_the_thumbnail_is_shown(browser, made):
    file = made[0] / 'photos' / EVIL / '0 #1%.png'
    moved = file.rename(file.with_suffix('.moved'))
    page = browser.new_page()
    try:
        page.goto((made[0] / 'out/report.html').as_uri())
        page.locator('.query .photo').first.click()
        asked = page.locator('#zoom-photos img').first
        expect(asked).to_have_attribute('src', re.compile('data:image/jpeg'))
    finally:
        page.close()
        moved.rename(file)


def test_a_large_test_says_what_is_missing(browser, tmp_path, monkeypatch):
    for name, value in {'QUERIES': 6, 'INDIVIDUALS': 3, 'THUMBNAILS': 4}.items():
        monkeypatch.setattr(page_data, f'MOST_{name}', value)
    test, result, facts = small_test(tmp_path)
    write_photos(test)
    page = browser.new_page()
    page.goto(write_report(tmp_path, test, result, facts).as_uri())
    words = page.locator('#limits').inner_text()
    assert 'Of 70 queries this page has the 6 hardest; queries.csv' in words
    assert 'The table has the 3 hardest of 14 individuals.' in words
    without = page.evaluate('() => data.photos.filter((photo) => !photo.thumb).length')
    assert f'{without} of {without + 4} photos have no thumbnail' in words
    page.select_option('[name=order]', 'ap')
    row = page.locator('.query').first
    row.scroll_into_view_if_needed()
    expect(row.locator('img').first).to_have_attribute('src', re.compile('^data:'))
    expect(row.locator('img').last).to_have_attribute('src', re.compile('^photos/'))
    page.close()
