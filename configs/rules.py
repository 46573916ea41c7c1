"""Rules for config values. configs/defaults.py gives each key its rule."""

import ast
import datetime
import math
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# bool, int, float, str, list or tuple: the type of the key's default, which mypy cannot know
Value = Any

AUTO = 'auto'  # instead of numbers: as the data config of the timm network says
TIMM = re.compile(r'timm:[\w.-]+')  # MODEL.NAME of an encoder of the library timm
MAX_LITERAL = 10_000  # characters; deeply nested text can crash Python's parser


class ConfigError(Exception):
    """An invalid config file, key or value. The message is one line."""


@dataclass(frozen=True)
class Range:
    """A range of allowed numbers; ``text`` follows the key in the error message."""

    text: str
    holds: Callable[[float], bool]


ANY = Range('must be finite', math.isfinite)  # checked for every number, as is its own range
POSITIVE = Range('must be greater than 0', lambda number: number > 0)
NOT_NEGATIVE = Range('must not be negative', lambda number: number >= 0)
# draws of a bootstrap; the ends of an interval from fewer are noise
FEWEST_DRAWS, MOST_DRAWS = 100, 100_000
DRAWS = Range(
    f'must be 0 (no intervals) or between {FEWEST_DRAWS} and {MOST_DRAWS}',
    lambda number: number == 0 or FEWEST_DRAWS <= number <= MOST_DRAWS,
)
MOST_EXPLAINED = 50  # pictures in report.html, about 40 KB each
EXPLAINED = Range(
    f'must be between 0 (none) and {MOST_EXPLAINED}', lambda number: 0 <= number <= MOST_EXPLAINED
)
SHARE = Range('must be between 0 and 1', lambda number: 0 <= number <= 1)
SEED = Range('must be between 0 and 2**32 - 1', lambda number: 0 <= number < 2**32)


@dataclass
class Rule:
    """The default of a key; any other value of the same type is allowed."""

    default: Value

    def read(self, value: object) -> Value:
        """Convert ``value``, from a yml or the command line, to the default's type and check it.

        Raises:
            ValueError: The value is not allowed; the message follows the key in a sentence.
        """
        value = convert(value, self.default)
        self._check(value)
        return value

    def _check(self, value: Value) -> None:
        """Raise ``ValueError`` if a value of the right type is not allowed."""


class Path(Rule):
    """A file or folder, or ''; a leading ``~`` is expanded to the home folder."""

    def read(self, value: object) -> Value:
        return expand_home(super().read(value))


@dataclass
class Number(Rule):
    """A number, or a list as long as the default, within the range ``allowed``."""

    allowed: Range = ANY

    def _check(self, value: Value) -> None:
        numbers = value if isinstance(value, list) else [value]
        if isinstance(value, list) and len(value) != len(self.default):
            raise ValueError(f'must have {len(self.default)} numbers, got {shown(value)}')
        for limits in (ANY, self.allowed):
            if not all(map(limits.holds, numbers)):
                raise ValueError(f'{limits.text}, got {shown(value)}')


class NumberOrAuto(Number):
    """A ``Number``, or 'auto': what the model's maker used, for encoders of the library timm."""

    def read(self, value: object) -> Value:
        return AUTO if value == AUTO else super().read(value)


class Rising(Rule):
    """A list of numbers of any length, in increasing order."""

    def _check(self, value: Value) -> None:
        if list(value) != sorted(value):
            raise ValueError(f'must be in increasing order, got {shown(value)}')


class Choice(Rule):
    """One of ``choices``; the first is the default."""

    def __init__(self, *choices: Value) -> None:
        super().__init__(choices[0])
        self.choices = choices

    def read(self, value: object) -> Value:
        """Return the choice; a YAML boolean counts as the word that stands in the yml."""
        if isinstance(value, bool):  # YAML reads a bare yes, no, on, off as a boolean
            words = ('yes', 'on') if value else ('no', 'off')
            value = next((word for word in words if word in self.choices), value)
        return super().read(value)

    def _check(self, value: Value) -> None:
        if value not in self.choices:
            choices = ', '.join(map(repr, self.choices))
            raise ValueError(f'is {shown(value)}; choose from {choices}')


class Encoder(Choice):
    """One of ``choices``, or 'timm:<name>'; the model's code checks that timm has that name."""

    def _check(self, value: Value) -> None:
        if value not in self.choices and not TIMM.fullmatch(value):
            choices = ', '.join(map(repr, self.choices))
            raise ValueError(
                f'is {shown(value)}; choose from {choices}, or give a network of the library timm '
                "as 'timm:<name>', such as 'timm:tf_efficientnet_lite0'"
            )


@dataclass
class Ignored(Rule):
    """A key of the original that has no effect here, kept so that the original's ymls load.

    Any value other than the default and ``also`` logs a warning.
    """

    also: Value = None


# ---------------------------------------------------------------------------------- reading a value


def expand_home(path: str) -> str:
    """Expand a leading ``~`` or ``~user`` in ``path`` to that user's home folder.

    Raises:
        ValueError: There is no such home folder.
    """
    expanded = os.path.expanduser(path)
    if path.startswith('~') and expanded == path:
        raise ValueError(
            short(
                f'begins with ~, but there is no home folder for {path.split("/")[0]} in {path!r}; '
                f'write the full path, or ./{path} if that is its name',
                300,
            )
        )
    return expanded


def convert(value: object, default: Value) -> Value:
    """Convert ``value`` to the type of ``default``; text is read as a Python literal, as in YACS.

    Raises:
        ValueError: It has another type; the message follows the key in a sentence.
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
    """Cut ``text`` after ``length`` characters and escape what does not print."""
    text = text if len(text) <= length else f'{text[:length]}…'
    return ''.join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def shown(value: object) -> str:
    """Return the ``repr`` of a value, shortened, on one line."""
    try:
        return short(repr(value))
    # an integer with thousands of digits, or deeply nested lists
    except (ValueError, RecursionError):
        return f'a huge {type(value).__name__}'


def _text(value: object) -> str:
    literal = _as_literal(value)
    text = literal if isinstance(literal, str) else str(value)
    # YAML reads some folder names as dates
    is_text = isinstance(value, str | int | float | datetime.date)
    if not is_text or '\0' in text or text.encode(errors='ignore').decode() != text:
        raise ValueError(f'must be text (UTF-8 without NUL), got {shown(value)}')
    return text


def _as_literal(value: object) -> Any:
    if not isinstance(value, str) or len(value) > MAX_LITERAL:
        return value
    try:
        with warnings.catch_warnings():  # 'invalid escape sequence' in plain text
            warnings.simplefilter('ignore')
            return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def _is_number(value: object, default: object) -> bool:
    if type(value) is int:
        return abs(value) < 2**63  # int64 and float64 can hold it
    return isinstance(value, float) and isinstance(default, float)
