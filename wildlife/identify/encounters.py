"""Encounters as queries: their photos show the same animal and look alike."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from datasets.records import Record
from wildlife.identify.answers import Similarities, joined

PART = 2  # photos of a part of an encounter


def encounter_numbers(records: Sequence[Record]) -> np.ndarray:
    """Return the encounter (N,) int of each photo; -1 = unknown."""
    return np.array([-1 if one.encounter is None else one.encounter for one in records], int)


def encounter_means(table: Similarities, encounters: np.ndarray) -> Similarities:
    """Return one query per encounter, with the mean similarity of its photos.

    Photos share a query if they have the same encounter, the same individual, and are compared with
    the same individuals.

    Args:
        table: Q photos.
        encounters: (Q,) int, the encounter of each photo; each negative one is its own.
    """
    first, index = _groups(table, encounters)
    sizes = np.bincount(index)
    order = np.argsort(index, kind='stable')
    sums = np.add.reduceat(table.scores[order], np.cumsum(sizes) - sizes, axis=0)
    scores = (sums / sizes[:, None]).astype(np.float32)
    return replace(table.take(first), scores=scores, sizes=sizes)


def _groups(table: Similarities, encounters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first photo of each query of ``encounter_means``, and the query of each photo."""
    compared = np.packbits(np.isfinite(table.scores), axis=1).astype(np.int64)
    own = np.where(encounters < 0, -1 - np.arange(len(encounters)), encounters)
    keys = np.column_stack([own, table.individuals, compared])
    _, first, index = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return first, index.reshape(-1)  # NumPy 2.0 gives it another shape


def with_encounters(
    table: Similarities, encounters: np.ndarray, seed: int
) -> tuple[Similarities, tuple[np.ndarray, np.ndarray]]:
    """Return photos, parts of encounters and whole encounters as queries, to learn ``alpha``.

    Args:
        table: Q photos.
        encounters: (Q,) int, the encounter of each photo; negative = unknown.
        seed: The seed of the parts.

    Returns:
        The queries; and masks of those that are single photos, and whole encounters.
    """
    order = np.random.default_rng(seed).permutation(len(encounters))
    mixed, known = table.take(order), encounters[order] >= 0
    part = known & (_place_within(mixed, encounters[order]) < PART)
    parts = encounter_means(mixed.take(part), encounters[order][part])
    whole = encounter_means(table, encounters)
    several = parts.take(parts.sizes == PART)
    queries = joined([table.take(np.ones(len(encounters), bool)), several, whole])
    place, count = np.arange(len(queries.sizes)), len(queries.sizes)
    return queries, (place < len(encounters), place >= count - len(whole.sizes))


def _place_within(table: Similarities, encounters: np.ndarray) -> np.ndarray:
    """Return how many earlier photos belong to the same query of :func:`encounter_means`."""
    index = _groups(table, encounters)[1]
    order = np.argsort(index, kind='stable')
    sizes = np.bincount(index)
    place = np.empty(len(index), int)
    place[order] = np.arange(len(index)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return place
