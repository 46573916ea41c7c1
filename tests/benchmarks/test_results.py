"""What stands in the JSON files."""

import math

from benchmarks import results


def test_not_a_number_becomes_null():
    assert results.finite({'a': [math.nan, 1.5], 'b': (math.inf, 'x', None)}) == {
        'a': [None, 1.5],
        'b': [None, 'x', None],
    }
