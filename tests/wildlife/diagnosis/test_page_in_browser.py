"""diagnosis.html in a real browser, wide and narrow."""

import json

import pytest

from tests.wildlife.diagnosis.worlds import MaskedWorld
from tools import diagnose


@pytest.fixture(scope='module')
def file(tmp_path_factory, toy_weights):
    folder = tmp_path_factory.mktemp('page')
    world = MaskedWorld(folder, toy_weights, 'animal')
    yml = world.args('--masks', world.masks, 'DATASETS.SPECIES', '<b>Nala</b>')
    return diagnose.main(yml)


@pytest.mark.parametrize('width', [1300, 400])
def test_it_fits_and_says_what_was_found(open_page, file, width):
    findings = json.loads(file.with_name('diagnosis.json').read_text())['findings']
    with open_page(file, width) as page:
        assert page.evaluate('document.documentElement.scrollWidth') == width
        assert page.locator('h1').inner_text().startswith('<b>Nala</b>: diagnosis of start')
        shown = page.locator('.findings li').all_inner_texts()
        assert len(shown) == len(findings) == 10
        for text, finding in zip(shown, findings):
            text = ' '.join(text.replace('\xa0', ' ').split())
            assert finding['text'] in text and finding['verdict'] in text
        assert page.locator('.parts tbody tr').count() == 5
        assert page.locator('.views').count() == 6 and page.locator('.views img').count() == 24
        assert page.locator('.chart').count() == 3  # all photos have the same size
        assert page.locator('.examples img').count() == 12
        loaded = page.evaluate('[...document.images].every(i => i.complete && i.naturalWidth)')
        assert loaded
