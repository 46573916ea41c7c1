"""Reads dates from tables and photos."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from utils.errors import InputError
from wildlife.lists.cells import known_text

PLAIN_DATE = re.compile(r'(\d{4})[-:/.](\d{1,2})[-:/.](\d{1,2})')
LOCAL_DATE = re.compile(r'(\d{1,2})([-/.])(\d{1,2})\2(\d{4})')
CLOCK = re.compile(
    r'[T ]?\s*(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,6})\d*)?)?'
    r'\s*([AaPp][Mm])?\s*(Z|[+-]\d\d:?\d\d)?|\s*'
)


def parse_date(text: str, order: str = '') -> datetime | None:
    """Read a date: ISO 8601, EXIF's 2023:05:01 12:00:00, or 2023/5/1; None if it is none of these.

    Args:
        text: The date, with or without a time. A time zone is kept.
        order: Which comes first in 1/5/2023, 'day' or 'month'; '' = do not read such dates.
    """
    text = text.strip()
    local = LOCAL_DATE.match(text)
    plain = PLAIN_DATE.match(text)
    if local and order:
        first, _, second, year = local.groups()
        day, month = (first, second) if order == 'day' else (second, first)
        rest = text[local.end() :]
    elif plain and not local:
        year, month, day = plain.groups()
        rest = text[plain.end() :]
    else:
        return None
    clock = CLOCK.fullmatch(rest)
    if not clock:
        return None
    try:
        return _with_clock(datetime(int(year), int(month), int(day)), clock)
    except ValueError:
        return None


def _with_clock(day: datetime, clock: re.Match[str]) -> datetime:
    hours, minute, second, fraction, half, zone = clock.groups()
    hour = int(hours or 0)
    if half:
        hour = hour % 12 + (12 if half.lower() == 'pm' else 0)
    moment = day.replace(
        hour=hour,
        minute=int(minute or 0),
        second=int(second or 0),
        microsecond=int((fraction or '0').ljust(6, '0')),
    )
    if zone == 'Z':
        zone = '+00:00'
    elif zone and ':' not in zone:
        zone = f'{zone[:3]}:{zone[3:]}'
    return datetime.fromisoformat(f'{moment.isoformat()}{zone}') if zone else moment


def read_dates(texts: Sequence[str], form: str = '') -> tuple[list[datetime | None], list[str]]:
    """Read the dates of a column, as local times without zone.

    pandas would guess whether 1/5/2023 is in January or May. This function raises an error unless
    another date of the column decides it.

    Args:
        texts: The texts of the cells.
        form: The format as in ``strptime``; '' = recognise the format.

    Returns:
        The dates, None if unknown; and the texts that are not dates.

    Raises:
        InputError: Day and month cannot be told apart.
    """
    order = '' if form else _order(texts)
    dates: list[datetime | None] = []
    strange = []
    for text in texts:
        date = None
        if known_text(text):
            date = _by_form(text, form) if form else parse_date(text, order)
            if date is None:
                strange.append(text)
        dates.append(date.replace(tzinfo=None) if date else None)
    return dates, strange


def _by_form(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None


def _order(texts: Iterable[str]) -> str:
    """Return what comes first in 1/5/2023, judging by other dates of the column."""
    local = [match for match in map(LOCAL_DATE.match, texts) if match]
    if not local:
        return ''
    first = any(int(match[1]) > 12 for match in local)
    second = any(int(match[3]) > 12 for match in local)
    dotted = all(match[2] == '.' for match in local)  # dates with dots are written day first
    if first == second and not dotted:
        raise InputError(
            f"the date '{local[0][0]}' may be day/month or month/day; add --date-format "
            "'%d/%m/%Y' or '%m/%d/%Y', followed by ' %H:%M' if there is a time"
        )
    return 'month' if second and not dotted else 'day'
