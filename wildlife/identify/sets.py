"""Sets of labels that contain the truth with a stated probability (split conformal prediction).

Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005.
"""

import numpy as np

COVERAGE = 0.95
DRAWS = 200


def set_limit(
    strangeness: np.ndarray, individuals: np.ndarray, seed: int, coverage: float = COVERAGE
) -> float:
    """Return the limit of the strangeness of labels in a set.

    It is the ⌈(n + 1) · coverage⌉-th smallest strangeness of n queries, one of each individual,
    since photos of an animal are alike; the mean over draws of these.

    Args:
        strangeness: (Q,), 1 - P(true label).
        individuals: (Q,).
        seed: The seed of the draws.
        coverage: The probability that the set has the truth.

    Returns:
        The limit; infinite if there are too few individuals for this coverage.
    """
    names, index = np.unique(individuals, return_inverse=True)
    place = int(np.ceil((len(names) + 1) * coverage)) - 1
    if place >= len(names):
        return np.inf
    rng, limits = np.random.default_rng(seed), []
    for _ in range(DRAWS):
        order = rng.permutation(len(index))
        first = np.unique(index[order], return_index=True)[1]  # one query of each individual
        limits.append(np.partition(strangeness[order[first]], place)[place])
    return float(np.mean(limits))
