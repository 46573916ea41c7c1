"""Student's t, against SciPy and printed tables."""

import math

import pytest

from wildlife.report.student import bound_of_share, share_within


@pytest.mark.parametrize('freedom', [1, 2, 3, 4, 5, 8, 29, 100])
def test_the_share_is_that_of_scipy(freedom):
    stats = pytest.importorskip('scipy.stats')
    for t in (0, 0.3, 1, 2.5, 12, 400):
        expected = 1 - 2 * stats.t.sf(t, freedom)
        assert share_within(t, freedom) == pytest.approx(expected, abs=1e-12)
    assert share_within(math.inf, freedom) == pytest.approx(1)


@pytest.mark.parametrize(
    'freedom, bound', [(1, 12.7062), (2, 4.3027), (4, 2.7764), (9, 2.2622), (120, 1.9799)]
)
def test_the_bounds_of_95_percent_are_those_of_printed_tables(freedom, bound):
    assert bound_of_share(0.95, freedom) == pytest.approx(bound, abs=5e-5)
