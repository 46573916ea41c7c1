"""What values a key may have. A rule stands beside each key in configs/defaults.py."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from configs.command_line import expand_home
from configs.values import Value, like, shown


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
    """The default of a key and what else it may be: any value of the same type that passes."""

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


class Flag(Rule):
    """True or False."""


class Text(Rule):
    """Any text."""


class Path(Rule):
    """A file or folder, or ''; a ``~`` at the start is the home."""

    def read(self, value: object) -> Value:
        """Return the path with its home written out."""
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
