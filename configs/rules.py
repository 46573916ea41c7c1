"""What values a key may have. A rule stands beside each key in configs/defaults.py."""

import ast
import datetime
import math
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# bool, int, float, str, list or tuple: a value is of the type of its default, which no checker sees
Value = Any

MAX_LITERAL = 10_000  # characters; Python's parser does not survive every depth


class ConfigError(Exception):
    """A config file, key or value that cannot be used. The message is one line."""


@dataclass(frozen=True)
class Range:
    """Numbers that are allowed; ``text`` follows the key in the error."""

    text: str
    holds: Callable[[float], bool]


ANY = Range('must be finite', math.isfinite)  # holds for all numbers, whatever their range
POSITIVE = Range('must be greater than 0', lambda number: number > 0)
NOT_NEGATIVE = Range('must not be negative', lambda number: number >= 0)
SHARE = Range('must lie between 0 and 1', lambda number: 0 <= number <= 1)
SEED = Range('must lie between 0 and 2**32 - 1', lambda number: 0 <= number < 2**32)


@dataclass
class Rule:
    """The default of a key and what else it may be: any value of the same type."""

    default: Value

    def read(self, value: object) -> Value:
        """Return ``value``, as a yml or the command line gives it, in the default's type.

        Raises:
            ValueError: It is not allowed; the message follows the key in a sentence.
        """
        value = like(self.default, value)
        self._check(value)
        return value

    def _check(self, value: Value) -> None:
        """Raise ``ValueError`` where a value of the default's type is not allowed."""


class Path(Rule):
    """A file or folder, or ''; a ``~`` at the start is the home."""

    def read(self, value: object) -> Value:
        return expand_home(super().read(value))


@dataclass
class Number(Rule):
    """A number, or as many as the default has, in the range ``allowed``."""

    allowed: Range = ANY

    def _check(self, value: Value) -> None:
        numbers = value if isinstance(value, list) else [value]
        if isinstance(value, list) and len(value) != len(self.default):
            raise ValueError(f'must have {len(self.default)} numbers, got {shown(value)}')
        for limits in (ANY, self.allowed):
            if not all(map(limits.holds, numbers)):
                raise ValueError(f'{limits.text}, got {shown(value)}')


class Rising(Rule):
    """Any number of numbers that rise."""

    def _check(self, value: Value) -> None:
        if list(value) != sorted(value):
            raise ValueError(f'must rise, got {shown(value)}')


class Choice(Rule):
    """One of ``choices``; the first is the default."""

    def __init__(self, *choices: Value) -> None:
        super().__init__(choices[0])
        self.choices = choices

    def read(self, value: object) -> Value:
        """Return the choice; YAML's True and False are the words that they were in the yml."""
        if isinstance(value, bool):  # YAML reads a bare yes, no, on, off as a boolean
            words = ('yes', 'on') if value else ('no', 'off')
            value = next((word for word in words if word in self.choices), value)
        return super().read(value)

    def _check(self, value: Value) -> None:
        if value not in self.choices:
            choices = ', '.join(map(repr, self.choices))
            raise ValueError(f'is {shown(value)}; choose from {choices}')


@dataclass
class Ignored(Rule):
    """A key of the original that nothing reads, kept so that its ymls load.

    Another value than the default and ``also`` is warned of.
    """

    also: Value = None


# ---------------------------------------------------------------------------------- reading a value


def expand_home(path: str) -> str:
    """Replace a ``~`` or ``~user`` at the start of ``path`` by that home.

    Raises:
        ValueError: The user has no home.
    """
    expanded = os.path.expanduser(path)
    if path.startswith('~') and expanded == path:
        raise ValueError(
            short(
                f'begins with ~, but there is no home for {path.split("/")[0]} in {path!r}; write '
                f'the path out, or ./{path} where that is its name',
                300,
            )
        )
    return expanded


def like(default: Value, value: object) -> Value:
    """Return ``value`` in the type of ``default``; text is read as a Python literal, as YACS does.

    Raises:
        ValueError: It is of another type; the message follows the key in a sentence.
    """
    if isinstance(default, str):
        return _text(value)
    literal = _as_literal(value)
    one = default[0] if isinstance(default, list | tuple) else default
    noun = 'whole number' if isinstance(one, int) else 'number'
    if isinstance(default, bool):
        kind, fits = 'True or False', isinstance(literal, bool)
    elif isinstance(default, list | tuple):
        kind = f'a list of {noun}s'
        fits = isinstance(literal, list | tuple) and all(_is_number(x, one) for x in literal)
    else:
        kind, fits = f'a {noun}', _is_number(literal, default)
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
    literal = _as_literal(value)
    text = literal if isinstance(literal, str) else str(value)
    is_text = isinstance(value, str | int | float | datetime.date)  # a date as a folder, say
    if not is_text or '\0' in text or text.encode(errors='ignore').decode() != text:
        raise ValueError(f'must be a text (UTF-8 without NUL), got {shown(value)}')
    return text


def _as_literal(value: object) -> Any:
    if not isinstance(value, str) or len(value) > MAX_LITERAL:
        return value
    try:
        with warnings.catch_warnings():  # 'invalid escape sequence' in what is only text
            warnings.simplefilter('ignore')
            return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def _is_number(value: object, default: object) -> bool:
    if type(value) is int:
        return abs(value) < 2**63  # int64 and float64 can hold it
    return isinstance(value, float) and isinstance(default, float)
