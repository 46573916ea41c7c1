"""Which gallery photos are positives of a query, and which its ranking ignores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

NOBODY = -1  # label of photos that show none of the individuals
SEQUENCE_FRAMES = 3  # ATRW: frames this close in one camera sequence show the same moment

# Values of ``ignore`` -> (what is compared, whether an unknown value counts as the same).
SAME = {
    'camera': ('camid', False),
    'known camera': ('camera', True),
    'encounter': ('encounter', False),
    'side': ('side', True),
    'sequence': ('frame', False),
}

PairTest = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Photo(Protocol):
    """The fields of a ``datasets.records.Record`` that a ranking needs, besides those of SAME."""

    @property
    def path(self) -> str:
        """The file, as it is listed."""

    @property
    def photo(self) -> str:
        """A text that is the same for files with the same bytes."""

    @property
    def pid(self) -> int:
        """The individual, NOBODY if unknown."""

    @property
    def group(self) -> str:
        """The group of queries that are averaged together, '' = none."""


@dataclass(frozen=True, kw_only=True)
class RankingRules:
    """How rankings are scored.

    Args:
        ap: The kind of average precision: 'trapezoid' (the animal tests) or 'precision' (mean over
            the matches of the precision at their rank).
        drop_nearest: Drop the first photo of every ranking, which is assumed to be the query
            itself.
        never_itself: Remove a query's own photo, and byte-for-byte copies of it that show the same
            individual, from its ranking. ``drop_nearest`` then applies only to queries that are
            not in the gallery.
        ignore: The key of ``SAME`` that says which gallery photos of the query's individual are
            removed from its ranking; '' = none.
        no_positive: A query without a match counts as 0 ('zero') or is left out of the averages
            ('skip').
    """

    ap: Literal['trapezoid', 'precision'] = 'trapezoid'
    drop_nearest: bool = False
    never_itself: bool = False
    ignore: str = ''
    no_positive: Literal['zero', 'skip'] = 'zero'


def nothing(row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return False for every pair."""
    return np.zeros(len(row), dtype=bool)


class Relevance:
    """The pairs of a query and a gallery photo of the same identity, without (Q, G) comparisons.

    Args:
        q_pid: (Q,) identities of the queries.
        g_pid: (G,) identities of the gallery photos.
        ignored: Function that tests which of the pairs a ranking ignores.
        itself: Function that tests which pairs are of a photo and itself.
        never_itself: Whether a ranking ignores those too.
        unknown: The indices of gallery photos that every ranking ignores.
    """

    def __init__(
        self,
        q_pid: np.ndarray,
        g_pid: np.ndarray,
        ignored: PairTest = nothing,
        itself: PairTest = nothing,
        never_itself: bool = False,
        unknown: Sequence[int] | np.ndarray = (),
    ) -> None:
        self.ignored, self.itself, self.never_itself = ignored, itself, never_itself
        self.unknown = np.array(unknown, dtype=int)
        self.by_pid = g_pid.argsort(kind='stable')
        ordered = g_pid[self.by_pid]
        self.first = ordered.searchsorted(q_pid)
        self.size = ordered.searchsorted(q_pid, 'right') - self.first

    def pairs(self, rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the pairs of a slice of the queries, sorted.

        Returns:
            Four arrays (M,): index of the query, index of the gallery photo, whether the ranking
            ignores the pair, and whether both are the same photo.
        """
        size = self.size[rows]
        before = size.cumsum() - size
        row = np.arange(rows.start, rows.start + len(size)).repeat(size)
        column = self.by_pid[np.arange(len(row)) + (self.first[rows] - before).repeat(size)]
        itself = self.itself(row, column)
        return row, column, self.ignored(row, column) | (itself & self.never_itself), itself


def relevance_of(
    query: Sequence[Photo], gallery: Sequence[Photo], rules: RankingRules
) -> Relevance:
    """Return the pairs of a test under its rules."""
    everyone = [*query, *gallery]
    numbers: dict[str, int] = {}
    photos = [numbers.setdefault(record.photo, len(numbers)) for record in everyone]
    q_photo, g_photo = np.split(np.array(photos), [len(query)])
    q_pid, g_pid = np.split(np.array([record.pid for record in everyone]), [len(query)])
    return Relevance(
        q_pid,
        g_pid,
        ignored=_same(query, gallery, *SAME[rules.ignore]) if rules.ignore else nothing,
        itself=lambda row, column: q_photo[row] == g_photo[column],
        never_itself=rules.never_itself,
        unknown=np.flatnonzero(g_pid == NOBODY) if rules.ignore == 'sequence' else (),
    )


def _same(
    query: Sequence[Photo], gallery: Sequence[Photo], field: str, unknown_is_same: bool
) -> PairTest:
    """Return a test for pairs of the same camera, encounter … (``field``), or of close frames."""
    values = [getattr(record, field) for record in (*query, *gallery)]
    tolerance = np.zeros(1)
    if field == 'frame':
        tolerance = np.array([0, 0, SEQUENCE_FRAMES])
        values = [value or (None, None, None) for value in values]
    # None becomes NaN: it is neither within nor beyond the tolerance
    facts = np.array(values, dtype=float).reshape(len(values), -1)
    q_fact, g_fact = np.split(facts, [len(query)])

    def same(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        apart = np.abs(q_fact[row] - g_fact[column])
        near = ~(apart > tolerance) if unknown_is_same else apart <= tolerance
        return near.all(axis=1)

    return same
