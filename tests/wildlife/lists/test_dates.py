"""wildlife/lists/dates.py, by whole runs of make_lists and by its functions."""

from datetime import datetime

import pytest

from utils.errors import InputError
from wildlife.lists.dates import parse_date, read_dates


@pytest.mark.parametrize(
    ('text', 'date'),
    [
        ('2023-05-01T12:30:05Z', datetime(2023, 5, 1, 12, 30, 5)),
        ('2023:05:01 12:30:05', datetime(2023, 5, 1, 12, 30, 5)),
        ('2023/5/1', datetime(2023, 5, 1)),
        ('2023-05-01 1:05 PM', datetime(2023, 5, 1, 13, 5)),
        ('2023-05-01T12:30:05.250+02:00', datetime(2023, 5, 1, 12, 30, 5, 250000)),
        ('2023-05-01T12:30:05+0200', datetime(2023, 5, 1, 12, 30, 5)),
        ('2023-13-01', None),
        ('2023', None),
        ('soon', None),
        ('2023-05-01 25:00', None),
    ],
)
def test_dates(text, date):
    assert read_dates([text])[0] == [date]
    assert (parse_date(text) is None) == (date is None)


def test_days_and_months_are_told_apart_by_the_column():
    assert read_dates(['1/5/2023', '31/5/2023 10:00']) == (
        [datetime(2023, 5, 1), datetime(2023, 5, 31, 10)],
        [],
    )
    assert read_dates(['1/5/2023', '5/31/2023'])[0] == [datetime(2023, 1, 5), datetime(2023, 5, 31)]
    assert read_dates(['1.5.2023', ''])[0] == [datetime(2023, 5, 1), None]
    with pytest.raises(InputError, match='--date-format'):
        read_dates(['1/5/2023', '2/5/2023'])
    assert read_dates(['1/5/2023', 'x'], '%d/%m/%Y') == ([datetime(2023, 5, 1), None], ['x'])
