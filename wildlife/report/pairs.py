"""How far apart photos of the same and of different individuals are."""

from dataclasses import dataclass

import numpy as np

from datasets.loaders import TestSet
from utils.ranking import BLOCK, masked_rows
from utils.relevance import relevance_of

BINS = 200


@dataclass(frozen=True)
class PairDistances:
    """Histograms of the distances of all pairs that the protocol compares.

    Attributes:
        edges: (BINS + 1,), the limits of the bins.
        same: (BINS,), the number of pairs of the same individual.
        different: (BINS,), the number of pairs of different individuals.
    """

    edges: np.ndarray
    same: np.ndarray
    different: np.ndarray

    def separation(self) -> float:
        """Return the probability that a pair of the same individual is nearer than another pair.

        This is the area under the ROC curve, to the precision of the bins: 0.5 = no better than
        guessing, 1 = perfect. NaN if one of the kinds has no pair.
        """
        farther = self.different.sum() - self.different.cumsum()
        wins = self.same @ (farther + self.different / 2)
        total = float(self.same.sum()) * float(self.different.sum())
        return float(wins) / total if total else float('nan')


def pair_distances(distance: np.ndarray, test: TestSet) -> PairDistances:
    """Count the distances of a test by size, one block of rows at a time.

    Args:
        distance: (Q, G) distances of the first trial.
        test: The test set, with the protocol that says which pairs are compared.
    """
    relevance = relevance_of(test.query, test.gallery, test.protocol)
    limits = float(distance.min()), float(distance.max())
    edges = np.histogram_bin_edges(distance[:1], BINS, limits)
    all_pairs, same = np.zeros((2, BINS), dtype=np.int64)
    step = max(1, BLOCK // len(test.gallery))
    for start in range(0, len(test.query), step):
        rows = slice(start, min(start + step, len(test.query)))
        ranked, row, column = masked_rows(distance, relevance, rows, test.protocol.drop_nearest)
        all_pairs += _count(ranked[np.isfinite(ranked)], edges)
        same += _count(ranked[row, column], edges)
    return PairDistances(edges, same, all_pairs - same)


def _count(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Count the values by bin, three times as fast as ``np.histogram``, which corrects rounding."""
    places = (values - edges[0]) * (BINS / (edges[-1] - edges[0]))
    return np.bincount(np.minimum(places.astype(int), BINS - 1), minlength=BINS)
