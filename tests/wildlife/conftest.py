"""A browser for the tests of pages."""

import shutil
from contextlib import contextmanager

import pytest


@pytest.fixture(scope='module')
def browser():
    """The system's Chromium, without a window; tests are skipped where there is none."""
    api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    if not (path := shutil.which('chromium')):
        pytest.skip('there is no Chromium')
    with api.sync_playwright() as program:
        yield program.chromium.launch(executable_path=path, args=['--no-sandbox'])


@pytest.fixture
def open_page(browser):
    """``with open_page(file, width) as page``: no message, and no request but to ``others``."""

    @contextmanager
    def opened(file, width=1300, others=('file:', 'data:')):
        messages, requests = [], []
        page = browser.new_page(viewport={'width': width, 'height': 900})
        page.on('console', lambda message: messages.append(message.text))
        page.on('pageerror', lambda error: messages.append(str(error)))
        page.on('dialog', lambda dialog: messages.append(dialog.message))
        page.on('request', lambda request: requests.append(request.url))
        page.goto(file.as_uri())
        yield page
        page.close()
        assert messages == []
        assert requests[0] == file.as_uri()
        assert all(url.startswith(others) for url in requests[1:])

    return opened
