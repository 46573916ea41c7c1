"""Exact search: the similarity of photos to each individual of a catalogue.

All products are float32, and no index is built. For each batch of photos, the memory-mapped file of
features is read once, in blocks of rows. So memory does not grow with the catalogue.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from utils.errors import InputError
from utils.linear import linear
from wildlife.identify.answers import REMOVED
from wildlife.identify.gallery import UNKNOWN, Gallery

PHOTOS = 256  # that are compared at once
ROWS = 2**15  # of the file, at once; with 1,280 numbers they are 160 MB


@dataclass(frozen=True)
class Asked:
    """Q photos that a gallery is searched for.

    Attributes:
        features: (Q, D) float32, L2-normalised.
        removed: Q sorted arrays: the rows of the gallery that each is not compared with.
        sides: (Q,) int8, if each is compared only with photos of its own side; None = with all.
    """

    features: np.ndarray
    removed: Sequence[np.ndarray]
    sides: np.ndarray | None = None

    def take(self, index: Sequence[int]) -> 'Asked':
        """Return some of the photos, by index."""
        sides = None if self.sides is None else self.sides[list(index)]
        return Asked(self.features[list(index)], [self.removed[each] for each in index], sides)


@dataclass(frozen=True)
class Match:
    """A photo of an individual that is like one of those asked for.

    Attributes:
        similarity: The cosine similarity.
        asked: The index of the photo that was asked for.
        row: The row of the gallery.
    """

    similarity: float
    asked: int
    row: int


def individual_scores(gallery: Gallery, asked: Asked) -> np.ndarray:
    """Return the similarity (Q, N) float32 of each photo to the most similar one of an individual.

    It is REMOVED where a photo is compared with none of them.

    Args:
        gallery: R photos of N individuals.
        asked: Q photos; memory grows with Q, so ask for about ``PHOTOS`` at once.

    Raises:
        InputError: A feature is not a number.
    """
    queries = torch.from_numpy(asked.features)
    best = torch.full((len(gallery.names) + 1, len(queries)), REMOVED)  # the last one is NOBODY
    for start in range(0, len(gallery.matrix), ROWS):
        rows = slice(start, start + ROWS)
        found = linear(torch.from_numpy(gallery.matrix[rows]), queries)
        _remove(found.numpy(), rows, gallery, asked)
        individuals = torch.from_numpy(gallery.individuals[rows] % len(best))  # -1 is the last
        best.scatter_reduce_(0, individuals[:, None].expand_as(found), found, 'amax')
    if best[:-1].isnan().any():
        raise InputError(
            'some features are not numbers; find the damaged ones: python -m tools.catalogue verify'
        )
    return np.ascontiguousarray(best[:-1].numpy().T)


def _remove(found: np.ndarray, rows: slice, gallery: Gallery, asked: Asked) -> None:
    """Set the similarities (rows, Q) of pairs that are not compared to REMOVED."""
    for query, removed in enumerate(asked.removed):
        first, last = np.searchsorted(removed, (rows.start, rows.stop))
        found[removed[first:last] - rows.start, query] = REMOVED
    if asked.sides is not None:
        found[_other_side(gallery.sides[rows], asked.sides)] = REMOVED


def _other_side(sides: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return whether the side of a row (R,) is another than that asked for (Q,), or unknown."""
    return np.not_equal.outer(sides, asked) | (sides == UNKNOWN)[:, None]


def best_matches(gallery: Gallery, asked: Asked, individual: int, count: int) -> list[Match]:
    """Return the photos of an individual that are most like any of those asked for, best first.

    Args:
        gallery: The gallery.
        asked: The photos, such as those of an encounter.
        individual: The individual.
        count: The most photos to return.
    """
    rows = gallery.rows_of(individual)
    found = np.asarray(gallery.matrix)[rows] @ asked.features.T  # a memory map indexes slowly
    for query, removed in enumerate(asked.removed):
        if len(removed):
            found[np.isin(rows, removed), query] = REMOVED
    if asked.sides is not None:
        found[_other_side(gallery.sides[rows], asked.sides)] = REMOVED
    nearest = found.argmax(axis=1)
    similarity = found[np.arange(len(rows)), nearest]
    order = np.argsort(-similarity, kind='stable')[:count]
    return [
        Match(float(similarity[place]), int(nearest[place]), int(rows[place]))
        for place in order.tolist()
        if similarity[place] > REMOVED
    ]
