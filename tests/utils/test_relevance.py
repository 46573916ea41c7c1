"""Which photos count as positives."""

from datasets.protocols import PROTOCOLS
from datasets.records import Record
from utils.metrics import (
    count_positives,
)


def test_positives_where_the_nearest_is_dropped():
    """It is the query itself: one positive less, but only where the gallery has it."""
    query = [Record('a.jpg', 0), Record('b.jpg', 0), Record('z.jpg', 0)]
    gallery = [Record('a.jpg', 0), Record('b.jpg', 0), Record('c.jpg', 1)]
    assert count_positives(query, gallery, PROTOCOLS['query_in_gallery']).tolist() == [1, 1, 2]
