"""Pages: the base template, and what is escaped."""

import re

import jinja2
import pytest

from wildlife import pages


@pytest.fixture
def templates(monkeypatch, tmp_path):
    """Templates of the test beside the real ones."""
    folders = jinja2.FileSystemLoader([tmp_path, pages.TEMPLATES])
    monkeypatch.setattr(pages._environment, 'loader', folders)
    return tmp_path


def test_a_page_has_style_title_and_header(templates):
    (templates / 'a.html').write_text(
        "{% extends 'base.html' %}{% block content %}<p>{{ text }}</p>{% endblock %}"
    )
    page = pages.render('a.html', title='A & B', text='<script>')
    assert page.startswith('<!doctype html>\n<html lang="en">')
    assert '<title>A &amp; B</title>' in page and '<h1>A &amp; B</h1>' in page
    assert '<meta name="viewport"' in page and '<style>' in page
    assert '<p>&lt;script&gt;</p>' in page


def test_a_missing_value_is_an_error(templates):
    (templates / 'a.html').write_text('{{ one }} {{ two }}')
    with pytest.raises(jinja2.UndefinedError, match="'two' is undefined"):
        pages.render('a.html', one=1)


def test_every_page_has_a_content_security_policy():
    """Scripts only in the report, which escapes its data itself; nothing from the network."""
    rule = re.compile(
        'http-equiv="Content-Security-Policy" content="default-src \'none\'; ([^"]*)"'
    )
    for path in pages.TEMPLATES.glob('*.html'):
        text = path.read_text()
        if 'block head' not in text:
            assert path.name == 'looks.html' or "{% extends 'base.html' %}" in text, path
            continue
        (allowed,) = rule.findall(text)
        assert ('script-src' in allowed) == (path.name == 'report.html') and 'http' not in allowed
