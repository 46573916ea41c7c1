"""Which gallery photos are positives of a query, and which its ranking ignores."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

import numpy as np

NOBODY = -1  # identity of photos that show no known individual
SEQUENCE_FRAMES = 3  # ATRW: photos so few frames apart in one camera sequence show the same moment

# Values of ``ignore`` -> (what is compared, whether an unknown value counts as the same).
SAME = {
    'camera': ('camid', False),
    'known camera': ('camera', True),
    'encounter': ('encounter', False),
    'side': ('side', True),
}
PROTOCOL_CHOICES = {
    'ap': ('trapezoid', 'precision'),
    'no_positive': ('zero', 'skip'),
    'ignore': ('', *SAME, 'sequence'),
}

PairTest = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Photo(Protocol):
    """What is asked of a record, as of ``datasets.records.Record``, besides what is compared."""

    @property
    def path(self) -> str:
        """The file, as listed."""

    @property
    def photo(self) -> str:
        """The same for files with the same bytes."""

    @property
    def pid(self) -> int:
        """The individual, -1 of nobody known."""

    @property
    def group(self) -> str:
        """Queries that are averaged apart, '' = none."""


class RankingProtocol(Protocol):
    """What is asked of a protocol; ``datasets.protocols.Protocol`` says what each means."""

    @property
    def ap(self) -> str:
        """Kind of average precision."""

    @property
    def drop_nearest(self) -> bool:
        """Whether the first of every ranking is dropped."""

    @property
    def never_itself(self) -> bool:
        """Whether a photo is never compared with itself."""

    @property
    def ignore(self) -> str:
        """Which photos of the same individual are left out."""

    @property
    def no_positive(self) -> str:
        """Whether queries without a positive count."""


class Pairs(NamedTuple):
    """Queries and gallery photos of the same identity, sorted: arrays (M,).

    row, column: indices of the query and of the gallery photo. ignored: whether the ranking leaves
    the photo out. itself: whether both are the same photo.
    """

    row: np.ndarray
    column: np.ndarray
    ignored: np.ndarray
    itself: np.ndarray


def nothing(row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """The pair test that holds for no pair."""
    return np.zeros(len(row), dtype=bool)


class Relevance:
    """The pairs of the same identity, by index lists instead of (Q, G) comparisons.

    Args:
        q_pid: (Q,), identities of the queries.
        g_pid: (G,), identities of the gallery.
        ignored: which pairs of the same identity are ignored.
        itself: which of them are the same photo.
        never_itself: whether those are ignored too, instead of the nearest being dropped.
        unknown: gallery indices that every query ignores.
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

    def pairs(self, rows: slice) -> Pairs:
        """All pairs of a slice of the queries."""
        size = self.size[rows]
        before = size.cumsum() - size
        row = np.arange(rows.start, rows.start + len(size)).repeat(size)
        column = self.by_pid[np.arange(len(row)) + (self.first[rows] - before).repeat(size)]
        itself = self.itself(row, column)
        return Pairs(row, column, self.ignored(row, column) | (itself & self.never_itself), itself)


def relevance_of(
    query: Sequence[Photo], gallery: Sequence[Photo], protocol: RankingProtocol
) -> Relevance:
    """The pairs of a test by its protocol.

    Raises:
        ValueError: a choice of the protocol that does not exist.
    """
    for field, choices in PROTOCOL_CHOICES.items():
        if getattr(protocol, field) not in choices:
            raise ValueError(f"protocol: {field} '{getattr(protocol, field)}' is none of {choices}")
    q_pid, g_pid = (_numbers(records, attrgetter('pid'), int) for records in (query, gallery))
    ignored: PairTest = nothing
    unknown = np.array([], dtype=int)
    if protocol.ignore == 'sequence':
        ignored, unknown = _near_frames(query, gallery), np.flatnonzero(g_pid == NOBODY)
    elif protocol.ignore:
        ignored = _same(query, gallery, *SAME[protocol.ignore])
    itself = _same_photo(query, gallery)
    return Relevance(q_pid, g_pid, ignored, itself, protocol.never_itself, unknown)


def _near_frames(query: Sequence[Photo], gallery: Sequence[Photo]) -> PairTest:
    """Both within a few frames of the same camera sequence."""
    q_frame, g_frame = (
        _numbers(records, lambda record: record.frame or (None,) * 3)
        for records in (query, gallery)
    )
    return lambda row, column: (
        np.abs(q_frame[row] - g_frame[column]) <= (0, 0, SEQUENCE_FRAMES)
    ).all(axis=1)


def _same(
    query: Sequence[Photo], gallery: Sequence[Photo], name: str, unknown_too: bool
) -> PairTest:
    """Both of the same camera, encounter … as the attribute ``name`` says."""
    q_fact, g_fact = _numbers(query, attrgetter(name)), _numbers(gallery, attrgetter(name))
    if unknown_too:
        return lambda row, column: ~(np.abs(q_fact[row] - g_fact[column]) > 0)
    return lambda row, column: q_fact[row] == g_fact[column]


def _same_photo(query: Sequence[Photo], gallery: Sequence[Photo]) -> PairTest:
    numbers: dict[str, int] = {}

    def number(record: Photo) -> int:
        return numbers.setdefault(record.photo, len(numbers))

    q_photo, g_photo = _numbers(query, number, int), _numbers(gallery, number, int)
    return lambda row, column: q_photo[row] == g_photo[column]


def _numbers(
    records: Sequence[Photo], value: Callable[[Any], Any], dtype: type = float
) -> np.ndarray:
    """``value`` of each record; NaN, which equals nothing and is near nothing, for None."""
    return np.array([value(record) for record in records], dtype)
