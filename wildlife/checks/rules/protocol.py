"""Rules about the test: whether its protocol fits query and gallery."""

from collections.abc import Iterator

import numpy as np

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
    if not (gallery and protocol) or protocol.never_itself:
        return
    if protocol.ignore and not protocol.drop_nearest:
        return
    paths = {record.path for record in gallery}
    if protocol.drop_nearest:
        contents = {data.photos[path].content for path in paths}
        wrong = [record for record in query if data.photos[record.path].content not in contents]
        what = 'are not in the gallery, and the first of their ranking is dropped as if they were'
    else:
        wrong = [record for record in query if record.path in paths]
        what = 'are in the gallery, and nothing is dropped'
    yield Finding(
        'itself',
        len(wrong),
        f"{len(wrong)} of {len(query)} queries {what}, under protocol '{protocol.name}'",
        [make_item([record]) for record in wrong],
    )
