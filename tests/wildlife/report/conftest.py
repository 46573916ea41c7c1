"""A browser for the tests of pages."""

import shutil

import pytest


@pytest.fixture(scope='module')
def browser():
    """The system's Chromium, without a window; tests are skipped where there is none."""
    api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    if not (path := shutil.which('chromium')):
        pytest.skip('there is no Chromium')
    with api.sync_playwright() as program:
        yield program.chromium.launch(executable_path=path, args=['--no-sandbox'])
