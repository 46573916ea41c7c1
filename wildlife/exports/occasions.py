"""Occasions: the days, weeks or other periods in which an animal is seen or not."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from utils.errors import InputError
from wildlife.lists.dates import parse_date
from wildlife.words import counted

LENGTHS = {'day': 1, 'week': 7}  # days
MOST = 4000  # a camera with a wrong clock would make more


@dataclass(frozen=True)
class Occasions:
    """N periods without gaps.

    Attributes:
        bounds: N + 1 dates: an occasion lasts from one of them until the day before the next.
        unit: 'day', 'week', or 'occasion' for other lengths.
    """

    bounds: tuple[date, ...]
    unit: str

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def number_of(self, day: date) -> int:
        """Return the number of a day's occasion, 1 to N; 0 = the day is outside."""
        number = bisect_right(self.bounds, day)
        return number if number <= len(self) else 0

    def days(self, number: int) -> tuple[date, date]:
        """Return the first and the last day of an occasion, 1 to N."""
        return self.bounds[number - 1], self.bounds[number] - timedelta(days=1)

    def __str__(self) -> str:
        last = self.bounds[-1] - timedelta(days=1)
        return f'{counted(len(self), self.unit)}, {self.bounds[0]} to {last}'


def make_occasions(words: Sequence[str], days: Sequence[date]) -> Occasions:
    """Make the occasions that a person asks for.

    Args:
        words: 'day' or 'week'; or at least two dates: each starts an occasion, the last one is the
            day after the end.
        days: All days that must be inside; for 'day' and 'week' only.

    Raises:
        InputError: The words are not of this form, or there would be too many occasions.
    """
    if len(words) == 1 and words[0] in LENGTHS:
        return _regular(words[0], min(days), max(days))
    dates = [] if LENGTHS.keys() & set(words) else [_date(word) for word in words]
    if len(dates) < 2 or any(one >= other for one, other in zip(dates, dates[1:])):
        raise InputError(
            f'--occasions {" ".join(words)}: write day, or week, or two or more dates in ascending '
            'order; each starts an occasion, and the last one is the day after the end'
        )
    return Occasions(tuple(dates), 'occasion')


def _regular(unit: str, first: date, last: date) -> Occasions:
    count = (last - first).days // LENGTHS[unit] + 1
    if count > MOST:
        raise InputError(
            f'{count} occasions of a {unit}, from {first} to {last}, are more than {MOST}: a '
            'camera with a wrong clock? Correct the dates, or give --occasions as dates'
        )
    step = timedelta(days=LENGTHS[unit])
    return Occasions(tuple(first + number * step for number in range(count + 1)), unit)


def _date(word: str) -> date:
    found = parse_date(word)
    if found is None:
        raise InputError(
            f"--occasions: '{word}' is neither day nor week nor a date such as 2023-05-01"
        )
    return found.date()
