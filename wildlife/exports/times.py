"""Time zones, and times as text."""

import re
from datetime import datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from utils.errors import InputError
from utils.words import did_you_mean

OFFSET = re.compile(r'([+-])(\d\d):?(\d\d)')


def read_zone(text: str) -> tzinfo:
    """Return the time zone of a text: 'Africa/Johannesburg', 'UTC' or '+02:00'.

    Raises:
        InputError: There is no such zone.
    """
    offset = OFFSET.fullmatch(text)
    if offset and int(offset[2]) < 24 and int(offset[3]) < 60:
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(-ahead if offset[1] == '-' else ahead)
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(
            f"--timezone '{text}' is not known{did_you_mean(text, available_timezones())}; write a "
            'name such as Africa/Johannesburg, or the difference to UTC such as +02:00'
        ) from None


def has_time(moment: datetime) -> bool:
    """Return whether a date has a time of the day: one that was given without has 00:00:00."""
    return moment.time() != time()


def iso_time(moment: datetime, zone: tzinfo) -> str:
    """Return a time with its zone, as in '2023-05-01T12:00:00+02:00'.

    Args:
        moment: A time.
        zone: The zone of ``moment``, if it has none.
    """
    known = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return known.isoformat(timespec='seconds')
