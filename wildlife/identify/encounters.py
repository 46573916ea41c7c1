"""Encounters as queries: the photos of one passage are of one animal, and alike."""

from dataclasses import replace

import numpy as np

from wildlife.identify.answers import Similarities


def encounter_means(table: Similarities, encounters: np.ndarray) -> tuple[Similarities, np.ndarray]:
    """Return one row per encounter, with the mean similarity of its photos, and their numbers.

    Photos share a row if they have the same encounter, the same individual, and are compared with
    the same individuals.

    Args:
        table: Q photos.
        encounters: (Q,) int, the encounter of each photo.

    Returns:
        E encounters, and the number of photos (E,) of each.
    """
    compared = np.packbits(np.isfinite(table.scores), axis=1)
    keys = np.column_stack([encounters, table.individuals, compared.astype(np.int64)])
    _, first, index = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    index = index.reshape(-1)  # NumPy 2.0 gives it another shape
    photos = np.bincount(index)
    order = np.argsort(index, kind='stable')
    starts = np.cumsum(photos) - photos
    scores = np.add.reduceat(table.scores[order], starts, axis=0) / photos[:, None]
    means = table.take(first)
    return replace(means, scores=scores.astype(np.float32)), photos
