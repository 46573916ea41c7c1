"""Words in messages."""

import pytest

from utils.words import did_you_mean

NAMES = ('mAP', 'rank1', 'macro/mAP')


@pytest.mark.parametrize(
    'word, hint',
    [
        ('map', '; did you mean mAP?'),
        ('rank-1', '; did you mean rank1?'),
        ('speed', ''),
        ('', ''),
        ('x' * 10_000, ''),
    ],
)
def test_the_nearest_name(word, hint):
    assert did_you_mean(word, NAMES) == hint
