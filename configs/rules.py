"""What values a key may have. A rule stands beside each key in configs/defaults.py."""

import ast
import datetime
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from configs.command_line import expand_home

Value = bool | int | float | str | list | tuple

MAX_LITERAL = 10_000  # characters; Python's parser does not survive every depth


class ConfigError(Exception):
    """A config file, key or value that cannot be used. The message is one line."""


@dataclass(frozen=True)
class Range:
    """Numbers that are allowed; ``text`` follows the key in the error."""

    text: str
    holds: Callable[[float], bool]


ANY = Range('must be finite', math.isfinite)  # part of every other range too
POSITIVE = Range('must be greater than 0', lambda number: number > 0)
NOT_NEGATIVE = Range('must not be negative', lambda number: number >= 0)
SHARE = Range('must lie between 0 and 1', lambda number: 0 <= number <= 1)
SEED = Range('must lie between 0 and 2**32 - 1', lambda number: 0 <= number < 2**32)


class Rule:
    """The default of a key, which also sets its type, and the values that are allowed."""

    def __init__(self, default: Value) -> None:
        self.default = default

    def read(self, value: object) -> Value:
        """Return ``value``, as a yml or the command line gives it, in the default's type.

        Raises:
            ValueError: It is not allowed; the message follows the key in a sentence.
        """
        raise NotImplementedError


class Flag(Rule):
    """True or False."""

    def read(self, value: object) -> bool:
        literal = _literal(value)
        if not isinstance(literal, bool):
            raise ValueError(f'must be True or False like {self.default}, got {shown(value)}')
        return literal


class Number(Rule):
    """A number in the range ``allowed``; a whole one if the default is."""

    def __init__(self, default: int | float, allowed: Range = ANY) -> None:
        self.default: int | float = default
        self.allowed = allowed

    def read(self, value: object) -> Value:
        number = _literal(value)
        if not _is_number(number, self.default):
            noun = _noun(self.default)
            raise ValueError(f'must be a {noun} like {self.default!r}, got {shown(value)}')
        number = type(self.default)(number)
        _check_range([number], self.allowed, number)
        return number


class Numbers(Rule):
    """A list of as many numbers as the default has, all in the range ``allowed``."""

    def __init__(self, default: list | tuple, allowed: Range = ANY) -> None:
        self.default: list | tuple = default
        self.allowed = allowed

    def read(self, value: object) -> Value:
        numbers, like = _literal(value), self.default[0]
        if not isinstance(numbers, list | tuple) or not all(_is_number(x, like) for x in numbers):
            kind = f'a list of {_noun(like)}s'
            raise ValueError(f'must be {kind} like {self.default!r}, got {shown(value)}')
        self._check(numbers)
        return type(self.default)(numbers)

    def _check(self, numbers: list | tuple) -> None:
        if len(numbers) != len(self.default):
            raise ValueError(f'must have {len(self.default)} numbers, got {shown(numbers)}')
        _check_range(numbers, self.allowed, numbers)


class Rising(Numbers):
    """Any number of numbers that rise."""

    def _check(self, numbers: list | tuple) -> None:
        if list(numbers) != sorted(numbers):
            raise ValueError(f'must rise, got {shown(numbers)}')


class Text(Rule):
    """Any text."""

    def read(self, value: object) -> str:
        text = _text(value)
        if '\0' in text or text.encode(errors='ignore').decode() != text:
            raise ValueError(f'must be UTF-8 text without NUL, got {shown(text)}')
        return text


class Path(Text):
    """A file or folder, or ''; a ``~`` at the start is the home."""

    def read(self, value: object) -> str:
        path = super().read(value)
        try:
            return expand_home(path)
        except ValueError as error:
            raise ValueError(f'begins with ~, but {short(str(error), 300)}') from None


class Choice(Rule):
    """One of ``choices``; the first is the default."""

    def __init__(self, *choices: Value) -> None:
        super().__init__(choices[0])
        self.choices = choices

    def read(self, value: object) -> Value:
        if isinstance(value, bool):  # YAML reads a bare yes, no, on, off as a boolean
            words = ('yes', 'on') if value else ('no', 'off')
            value = next((word for word in words if word in self.choices), value)
        choice = _read_like(self.default, value)
        if choice not in self.choices:
            choices = ', '.join(map(repr, self.choices))
            raise ValueError(f'is {shown(choice)}; choose from {choices}')
        return choice


class Ignored(Rule):
    """A key of the original that nothing reads, kept so that its ymls load.

    Another value of the same type than the default and ``others`` is warned of.
    """

    def __init__(self, default: Value, *others: Value) -> None:
        super().__init__(default)
        self.usual = (default, *others)

    def read(self, value: object) -> Value:
        return _read_like(self.default, value)


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


def _read_like(default: Value, value: object) -> Value:
    rules: dict[type, type[Rule]] = {bool: Flag, int: Number, float: Number, str: Text}
    return rules[type(default)](default).read(value)


def _check_range(numbers: list | tuple, allowed: Range, value: object) -> None:
    for limits in (ANY, allowed):
        if not all(map(limits.holds, numbers)):
            raise ValueError(f'{limits.text}, got {shown(value)}')


def _literal(value: object) -> Any:
    """The Python literal that a text is, else the value itself."""
    if not isinstance(value, str) or len(value) > MAX_LITERAL:
        return value
    try:
        with warnings.catch_warnings():  # 'invalid escape sequence' in what is only text
            warnings.simplefilter('ignore')
            return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def _text(value: object) -> str:
    if isinstance(value, str):
        literal = _literal(value)
        return literal if isinstance(literal, str) else value
    if not isinstance(value, int | float | datetime.date):  # a date as a folder's name, say
        raise ValueError(f'must be a text, got {shown(value)}')
    if _is_huge(value):
        raise ValueError('must be a text, got a huge number; put it in quotes')
    return str(value)


def _noun(like: object) -> str:
    return 'whole number' if isinstance(like, int) else 'number'


def _is_number(value: object, like: object) -> bool:
    """Whether it is one that float64 and int64 can hold; a whole one if ``like`` is."""
    types = int if isinstance(like, int) else int | float
    return isinstance(value, types) and not isinstance(value, bool) and not _is_huge(value)


def _is_huge(value: object) -> bool:
    """Whether float64 and int64 cannot hold it."""
    return isinstance(value, int) and abs(value) >= 2**63
