"""How good held-out probabilities are."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.logistic import quality, reliability
from utils.open_set_intervals import measure_open_set
from utils.open_sets import OpenSet
from wildlife.identify.answers import Similarities, best_answers


@dataclass(frozen=True)
class HeldOut:
    """Probabilities of Q queries by calibrators that were not fitted on their individuals.

    Attributes:
        best: (Q,), of the best individual.
        new: (Q,), of "new".
        truth: (Q,), of the true label, which may be "new".
        accepted: (Q,) bool, whether the most probable label is an individual.
    """

    best: np.ndarray
    new: np.ndarray
    truth: np.ndarray
    accepted: np.ndarray

    def take(self, rows: np.ndarray) -> 'HeldOut':
        """Return some of the queries, by index or mask."""
        return HeldOut(self.best[rows], self.new[rows], self.truth[rows], self.accepted[rows])


def judge(table: Similarities, found: HeldOut, draws: int, seed: int) -> dict[str, Any]:
    """Return how good held-out probabilities are.

    Returns:
        'right' and 'known': see ``utils.logistic.quality``; 'open_set': see
        ``utils.open_set_intervals.measure_open_set``, by the similarity, "new" if that is the
        likeliest label. There, an individual that is known in some queries and new in others is on
        one side, chosen at random: real new animals are others than the known ones. 'reliability':
        'predicted', 'observed' and 'count' of bins of P(best).
    """
    answers = best_answers(table)
    queries = OpenSet(
        table.individuals, answers.known, answers.right, answers.score, found.accepted
    )
    bins = reliability(found.best, answers.right)
    one_side = queries.take(one_side_each(table.individuals, answers.known, seed))
    return {
        'right': quality(found.best, answers.right, table.individuals),
        'known': quality(1 - found.new, answers.known, table.individuals),
        'open_set': measure_open_set(one_side, draws, seed),
        'reliability': {name: values.tolist() for name, values in vars(bins).items()},
    }


def one_side_each(individuals: np.ndarray, known: np.ndarray, seed: int) -> np.ndarray:
    """Return a mask (Q,): of individuals with known and new queries, half keep the known ones.

    Args:
        individuals: (Q,).
        known: (Q,) bool.
        seed: The seed of the choice.
    """
    both = np.intersect1d(individuals[known], individuals[~known])
    order = np.random.default_rng(seed).permutation(both)
    as_known, as_new = order[: len(order) // 2], order[len(order) // 2 :]
    dropped = np.isin(individuals, as_known) & ~known | np.isin(individuals, as_new) & known
    return ~dropped
