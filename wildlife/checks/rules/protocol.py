"""Rules about the test: its protocol must suit query and gallery."""

from collections.abc import Iterator

import numpy as np

from datasets.protocols import unfit_queries
from utils.metrics import count_positives
from wildlife.checks.rules.inspection import Finding, Inspection, make_item


def check_positives(data: Inspection) -> Iterator[Finding]:
    """Report queries that have no match in the gallery."""
    query, gallery, protocol = data.uses('query'), data.uses('gallery'), data.lists.protocol
    if not (query and gallery and protocol):
        return
    without = np.flatnonzero(count_positives(query, gallery, protocol) == 0).tolist()
    yield Finding(
        'no_positive' if len(without) == len(query) else 'some_without_positive',
        len(without),
        f"{len(without)} of {len(query)} queries with protocol '{protocol.name}'",
        [make_item([query[row]]) for row in without],
    )


def check_itself(data: Inspection) -> Iterator[Finding]:
    """Report queries that find themselves, or that lose their best result.

    A protocol that drops the nearest photo assumes that this is the query itself. If the query is
    not in the gallery, it drops a real result instead.
    """
    query, gallery, protocol = data.uses('query'), data.uses('gallery'), data.lists.protocol
    if not (gallery and protocol):
        return
    wrong = unfit_queries(protocol, query, gallery)
    what = 'are in the gallery, but the protocol does not ignore them there'
    if protocol.drop_nearest:
        what = 'are not in the gallery, but the protocol drops their nearest photo'
    yield Finding(
        'itself',
        len(wrong),
        f"{len(wrong)} of {len(query)} queries {what} (protocol '{protocol.name}')",
        [make_item([query[row]]) for row in wrong],
    )
