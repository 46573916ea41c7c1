"""Which photos count as positives, and the words of a protocol."""

import numpy as np
import pytest

from datasets.protocols import PROTOCOLS, Protocol
from datasets.records import Record
from tests.utils.test_metrics import records
from utils.metrics import (
    count_positives,
    rank_metrics,
)


def test_positives_where_the_nearest_is_dropped():
    """It is the query itself: one positive less, but only where the gallery has it."""
    query = [Record('a.jpg', 0), Record('b.jpg', 0), Record('z.jpg', 0)]
    gallery = [Record('a.jpg', 0), Record('b.jpg', 0), Record('c.jpg', 1)]
    assert count_positives(query, gallery, PROTOCOLS['query_in_gallery']).tolist() == [1, 1, 2]


@pytest.mark.parametrize('field', ['ap', 'ignore', 'no_positive'])
def test_a_protocol_that_there_is_not_is_refused(field):
    with pytest.raises(ValueError, match=f"protocol: {field} 'typo' is none of"):
        rank_metrics(
            np.zeros((1, 1)), records([1]), records([1]), Protocol('test', **{field: 'typo'})
        )
