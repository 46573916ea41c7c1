"""Invented features."""

import numpy as np

from benchmarks import inputs


def test_features_overlap_but_can_be_told_apart():
    """Neighbourhoods neither trivial nor noise, or re-ranking would have an easier time than on
    real photos.
    """
    features = inputs.clustered_features(400, seed=0)
    similarity = features @ features.T
    np.fill_diagonal(similarity, -1)
    individual = np.random.default_rng(0).permutation(np.arange(400) // inputs.CLUSTER)
    same = individual[(-similarity).argsort(axis=1)] == individual[:, None]
    assert 0.5 < same[:, 0].mean() < 1.0 and 0.2 < same[:, : inputs.CLUSTER - 1].mean() < 0.9
    assert features.dtype == np.float32 and np.allclose(
        np.linalg.norm(features, axis=1), 1, atol=1e-3
    )
    exact = (features.astype(np.float64) @ features.T.astype(np.float64)).astype(np.float32)
    assert np.array_equal(features @ features.T.copy(), exact) and np.array_equal(
        features @ features.T, exact
    )
