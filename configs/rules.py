"""What values a key may have. A rule stands beside each key in configs/defaults.py."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from configs.command_line import expand_home
from configs.values import Value, like, short, shown


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


class Rule:
    """The default of a key and what else it may be: any value of the same type that passes."""

    def __init__(self, default: Value) -> None:
        self.default = default

    def read(self, value: object) -> Value:
        """Return ``value``, as a yml or the command line gives it, in the default's type.

        Raises:
            ValueError: It is not allowed; the message follows the key in a sentence.
        """
        value = like(self.default, value)
        self.check(value)
        return value

    def check(self, value: Value) -> None:
        """Raise ``ValueError`` where a value of the default's type is not allowed."""


class Flag(Rule):
    """True or False."""


class Text(Rule):
    """Any text."""


class Path(Rule):
    """A file or folder, or ''; a ``~`` at the start is the home."""

    def read(self, value: object) -> Value:
        """Return the path with its home written out."""
        path = super().read(value)
        try:
            return expand_home(path)
        except ValueError as error:
            raise ValueError(f'begins with ~, but {short(str(error), 300)}') from None


class Number(Rule):
    """A number in the range ``allowed``; a whole one if the default is."""

    def __init__(self, default: Value, allowed: Range = ANY) -> None:
        super().__init__(default)
        self.allowed = allowed

    def check(self, value: Value) -> None:
        """Raise ``ValueError`` where a number is out of range."""
        numbers = value if isinstance(value, list) else [value]
        for limits in (ANY, self.allowed):
            if not all(map(limits.holds, numbers)):
                raise ValueError(f'{limits.text}, got {shown(value)}')


class Numbers(Number):
    """A list of as many numbers as the default has, all in the range ``allowed``."""

    def check(self, value: Value) -> None:
        """Raise ``ValueError`` where there are more or fewer, or one is out of range."""
        if len(value) != len(self.default):
            raise ValueError(f'must have {len(self.default)} numbers, got {shown(value)}')
        super().check(value)


class Rising(Rule):
    """Any number of numbers that rise."""

    def check(self, value: Value) -> None:
        """Raise ``ValueError`` where a number is smaller than the one before."""
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

    def check(self, value: Value) -> None:
        """Raise ``ValueError``, with the choices, where it is none of them."""
        if value not in self.choices:
            choices = ', '.join(map(repr, self.choices))
            raise ValueError(f'is {shown(value)}; choose from {choices}')


class Ignored(Rule):
    """A key of the original that nothing reads, kept so that its ymls load.

    Another value than the default and ``others`` is warned of.
    """

    def __init__(self, default: Value, *others: Value) -> None:
        super().__init__(default)
        self.usual = (default, *others)
