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
from utils.photo_distances import Metric
from utils.ranking import BLOCK, Ranking, masked_rows, rank_positives
from utils.relevance import Relevance, relevance_of
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

    def rank(self, distance: np.ndarray, rules: Protocol | None = None, also: str = '') -> Ranking:
        """Rank by distances (Q, G).

        Args:
            distance: The distances.
            rules: By default those of the test.
            also: A second ``RankingRules.ignore``, such as 'side'.
        """
        rules = rules or self.test.protocol
        return rank_positives(distance, self.relevance(rules, also), rules)

    def relevance(self, rules: Protocol, also: str = '') -> Relevance:
        """Return the pairs of the same individual; for the arguments see :meth:`rank`."""
        relevance = relevance_of(self.trial.query, self.trial.gallery, rules)
        if also:
            first = relevance.ignored
            second = relevance_of(*self.trial[:2], replace(rules, ignore=also)).ignored
            relevance.ignored = lambda row, column: first(row, column) | second(row, column)
        return relevance

    def with_rules(self, **changes: object) -> Protocol:
        """Return the protocol of the test with other values of some fields."""
        return replace(self.test.protocol, **changes)  # type: ignore[arg-type]

    def similarities(self, rules: Protocol | None = None, also: str = '') -> 'Similarities':
        """Return cosine similarities to the compared photos; for arguments see :meth:`rank`."""
        rules = rules or self.test.protocol
        distance = trial_distance(F.normalize(self.features[WHOLE]), self.trial, None, 'cosine')
        return similarities(distance, self.relevance(rules, also), rules.drop_nearest)


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


def similarities(distance: np.ndarray, relevance: Relevance, drop_nearest: bool) -> Similarities:
    """Average cosine similarities by kind of pair, one block of rows at a time.

    Args:
        distance: (Q, G), one minus the similarity.
        relevance: The pairs of the same individual, and which of them are compared.
        drop_nearest: Whether the first photo of every ranking is dropped.
    """
    queries, gallery = distance.shape
    found = np.full((3, queries), np.nan)
    step = max(1, BLOCK // gallery)
    for start in range(0, queries, step):
        rows = slice(start, min(start + step, queries))
        ranked, row, column = masked_rows(distance, relevance, rows, drop_nearest)
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
