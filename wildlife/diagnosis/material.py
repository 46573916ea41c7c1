"""What a diagnosis works on: a test, the features of its photos and of changed ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F

from datasets.loaders import TestSet, Trial
from datasets.protocols import Protocol
from processor.inference import trial_distance
from utils.metrics import rank_queries
from utils.photo_distances import Metric
from utils.ranking import BLOCK, Ranking, masked_rows
from utils.relevance import relevance_of
from wildlife.diagnosis.figures import Bootstrap

WHOLE, MIRRORED = 'whole', 'mirrored'  # views


@dataclass(frozen=True)
class Material:
    """The (first) trial of a test and its features.

    Attributes:
        test: The test set.
        features: View -> features (N, D) of the photos of ``test.loader``, unchanged ('whole') or
            only a part of them; 'mirrored': (Q, D), of the mirrored queries.
        normalise: Whether the test normalises features.
        metric: Its metric.
        draws: Draws of the bootstrap; 0 = no intervals.
    """

    test: TestSet
    features: Mapping[str, torch.Tensor]
    normalise: bool
    metric: Metric
    draws: int

    @property
    def trial(self) -> Trial:
        """Queries and gallery."""
        return self.test.trials[0]

    @cached_property
    def bootstrap(self) -> Bootstrap:
        """The draws of the individuals of the queries."""
        return Bootstrap(np.array([record.pid for record in self.trial.query]), self.draws)

    @cached_property
    def distance(self) -> np.ndarray:
        """The distances (Q, G) of the test."""
        return self.distance_of(WHOLE)

    def distance_of(self, view: str) -> np.ndarray:
        """Return the distances (Q, G) that the test would have with a view of all photos."""
        features = self.features[view]
        features = F.normalize(features) if self.normalise else features
        return trial_distance(features, self.trial, None, self.metric)

    @cached_property
    def ranking(self) -> Ranking:
        """The result of the test."""
        return self.rank(self.distance)

    def rank(self, distance: np.ndarray, rules: Protocol | None = None) -> Ranking:
        """Rank by distances (Q, G), under other rules than those of the test if given."""
        query, gallery = self.trial.query, self.trial.gallery
        return rank_queries(distance, query, gallery, rules or self.test.protocol)

    def with_rules(self, **changes: object) -> Protocol:
        """Return the protocol of the test with other values of some fields."""
        return replace(self.test.protocol, **changes)  # type: ignore[arg-type]

    def similarities(self, rules: Protocol | None = None) -> 'Similarities':
        """Return cosine similarities of the queries to the photos that the rules compare."""
        distance = trial_distance(F.normalize(self.features[WHOLE]), self.trial, None, 'cosine')
        return similarities(distance, self.trial, rules or self.test.protocol)


@dataclass(frozen=True)
class Similarities:
    """Cosine similarities of each query, (Q,); NaN if there is no such photo.

    Attributes:
        same: Mean over the compared photos of the same individual.
        other: Mean over the photos of other individuals.
        nearest_other: The largest over the photos of other individuals.
    """

    same: np.ndarray
    other: np.ndarray
    nearest_other: np.ndarray


def similarities(distance: np.ndarray, trial: Trial, rules: Protocol) -> Similarities:
    """Average cosine similarities by kind of pair, one block of rows at a time.

    Args:
        distance: (Q, G), one minus the similarity.
        trial: Queries and gallery.
        rules: Which pairs are compared.
    """
    relevance = relevance_of(trial.query, trial.gallery, rules)
    found = np.full((3, len(trial.query)), np.nan)
    step = max(1, BLOCK // len(trial.gallery))
    for start in range(0, len(trial.query), step):
        rows = slice(start, min(start + step, len(trial.query)))
        ranked, row, column = masked_rows(distance, relevance, rows, rules.drop_nearest)
        same = np.zeros(ranked.shape, dtype=bool)
        same[row, column] = True
        other = np.isfinite(ranked) & ~same
        found[0, rows] = _mean(1 - ranked, same)
        found[1, rows] = _mean(1 - ranked, other)
        nearest = np.where(other, ranked, np.inf).min(axis=1)
        found[2, rows] = np.where(other.any(axis=1), 1 - nearest, np.nan)
    return Similarities(*found)


def _mean(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the mean of the chosen values of each row, NaN if there are none."""
    count = chosen.sum(axis=1)
    sums = np.where(chosen, values, 0).sum(axis=1, dtype=np.float64)
    return np.divide(sums, count, where=count > 0, out=np.full(len(count), np.nan))
