"""Pages from the templates in ``wildlife/templates``: HTML, and Markdown.

In HTML all inserted text is escaped. In Markdown the template says how: ``cell`` for words,
``code`` for names of files and the like.
"""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / 'templates'


def make_environment(autoescape: bool) -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def cell(value: object) -> str:
    """Return a text for Markdown: in one line, its signs without a meaning, tables unbroken."""
    return re.sub(r'([\\|<>`*\[\]])', r'\\\1', ' '.join(str(value).split()))


def code(value: object) -> str:
    """Return a text as code in Markdown; tables stay unbroken."""
    text = ' '.join(str(value).split()).replace('|', '\\|')
    return f'`` {text} ``' if '`' in text else f'`{text}`'


_environment = make_environment(autoescape=True)
_markdown = make_environment(autoescape=False)
_markdown.filters |= {'cell': cell, 'code': code}


def render(template: str, **values: object) -> str:
    """Fill in a template and return the page.

    Args:
        template: The name of a file in ``wildlife/templates``. Pages extend ``base.html``.
        values: Variables of the template; a missing one is an error.
    """
    return _environment.get_template(template).render(values)


def render_markdown(template: str, **values: object) -> str:
    """Fill in a template of Markdown; the template escapes with the filters ``cell``, ``code``."""
    return _markdown.get_template(template).render(values)
