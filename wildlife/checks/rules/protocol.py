"""Rules about the test: whether its protocol fits query and gallery."""

from collections.abc import Iterator

import numpy as np

from datasets.protocols import unfit_queries
from utils.metrics import count_positives
from wildlife.checks.rules.inspection import Finding, Inspection, make_item


def check_positives(data: Inspection) -> Iterator[Finding]:
    """Queries without a match in the gallery."""
    query, gallery, protocol = data.uses('query'), data.uses('gallery'), data.lists.protocol
    if not (query and gallery and protocol):
        return
    without = np.flatnonzero(count_positives(query, gallery, protocol) == 0).tolist()
    yield Finding(
        'no_positive' if len(without) == len(query) else 'some_without_positive',
        len(without),
        f"{len(without)} of {len(query)} queries, under protocol '{protocol.name}'",
        [make_item([query[row]]) for row in without],
    )


def check_itself(data: Inspection) -> Iterator[Finding]:
    """Queries that find themselves, or lose another photo in their place."""
    query, gallery, protocol = data.uses('query'), data.uses('gallery'), data.lists.protocol
    if not (gallery and protocol):
        return
    wrong = unfit_queries(protocol, query, gallery)
    what = 'are in the gallery, and nothing is dropped'
    if protocol.drop_nearest:
        what = 'are not in the gallery, and the first of their ranking is dropped as if they were'
    yield Finding(
        'itself',
        len(wrong),
        f"{len(wrong)} of {len(query)} queries {what}, under protocol '{protocol.name}'",
        [make_item([query[row]]) for row in wrong],
    )
