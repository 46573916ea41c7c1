"""The most similar individuals of photos, in the plain way: sort all photos, take names once."""

import numpy as np


def best_individuals_plain(features, queries, individuals, top):
    """Similarities (Q, top) of the best individuals, each by its most similar photo.

    Args:
        features: (R, D), L2-normalised.
        queries: (Q, D), L2-normalised.
        individuals: (R,), the individual of each row.
        top: The number of individuals.
    """
    found = []
    for similarity in queries @ features.T:
        best = {}
        for row in np.argsort(-similarity, kind='stable').tolist():
            best.setdefault(individuals[row], similarity[row])
            if len(best) == top:
                break
        found.append(list(best.values()))
    return np.array(found)
