"""HTML pages from the templates in ``wildlife/templates``; all inserted text is escaped."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / 'templates'

_environment = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render(template: str, **values: object) -> str:
    """Fill in a template and return the page.

    Args:
        template: The name of a file in ``wildlife/templates``. Pages extend ``base.html``.
        values: Variables of the template; a missing one is an error.
    """
    return _environment.get_template(template).render(values)
