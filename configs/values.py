"""Read a value in the type of a default, and show one in an error."""

import ast
import datetime
import warnings
from typing import Any

# bool, int, float, str, list or tuple: a value is of the type of its default, which no checker sees
Value = Any

MAX_LITERAL = 10_000  # characters; Python's parser does not survive every depth


class ConfigError(Exception):
    """A config file, key or value that cannot be used. The message is one line."""


def like(default: Value, value: object) -> Value:
    """Return ``value`` in the type of ``default``; text is read as a Python literal, as YACS does.

    Raises:
        ValueError: It is of another type; the message follows the key in a sentence.
    """
    if isinstance(default, str):
        return _text(value)
    literal = _literal(value)
    if isinstance(default, bool):
        kind, fits = 'True or False', isinstance(literal, bool)
    elif isinstance(default, list | tuple):
        kind, first = f'a list of {_noun(default[0])}s', default[0]
        fits = isinstance(literal, list | tuple) and all(_is_number(x, first) for x in literal)
    else:
        kind, fits = f'a {_noun(default)}', _is_number(literal, default)
    if not fits:
        raise ValueError(f'must be {kind} like {default!r}, got {shown(value)}')
    return type(default)(literal)


def short(text: str, length: int = 100) -> str:
    """Return ``text`` on one line, cut after ``length`` characters."""
    text = text if len(text) <= length else f'{text[:length]}…'
    return ''.join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def shown(value: object) -> str:
    """Return the ``repr`` of a value on one line, not too long."""
    try:
        return short(repr(value))
    # an integer of thousands of digits; lists in lists in lists
    except (ValueError, RecursionError):
        return f'a huge {type(value).__name__}'


def _text(value: object) -> str:
    text = _literal(value)
    if not isinstance(text, str):
        if not isinstance(value, str | int | float | datetime.date):  # a date as a folder, say
            raise ValueError(f'must be a text, got {shown(value)}')
        text = str(value)
    if '\0' in text or text.encode(errors='ignore').decode() != text:
        raise ValueError(f'must be UTF-8 text without NUL, got {shown(text)}')
    return text


def _literal(value: object) -> Any:
    """Read a text as the Python literal that it is; else the value itself."""
    if not isinstance(value, str) or len(value) > MAX_LITERAL:
        return value
    try:
        with warnings.catch_warnings():  # 'invalid escape sequence' in what is only text
            warnings.simplefilter('ignore')
            return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def _noun(default: object) -> str:
    return 'whole number' if isinstance(default, int) else 'number'


def _is_number(value: object, default: object) -> bool:
    """Whether float64 and int64 can hold it; a whole number if the default is one."""
    if type(value) is int:
        return abs(value) < 2**63
    return isinstance(value, float) and isinstance(default, float)
