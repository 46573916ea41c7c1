"""Features, settings and golden numbers for tests of the re-ranking."""

import numpy as np

from tests.helpers import GOLDEN

ARRAYS = np.load(GOLDEN / 'rerank.npz')
CASES = [name for name in ARRAYS.files if '/k1' in name]


def similarities(query, gallery):
    return query @ gallery.T, query @ query.T, gallery @ gallery.T


def features(name):
    return ARRAYS[f'{name}/query'], ARRAYS[f'{name}/gallery']


def settings(name):
    """'set/k1_20_k2_6_lambda_0.3' as keyword arguments."""
    words = name.split('/')[1].removeprefix('market_').split('_')
    return {'k1': int(words[1]), 'k2': int(words[3]), 'lambda_value': float(words[5])}


SETTINGS = [(20, 6, 0.3), (9, 1, 0.0), (6, 15, 1.0), (50, 15, 0.3), (1, 1, 0.5)]


def photos_with_copies(seed, count=150, dim=24):
    """Features of photos of 12 individuals, normalised; every fifth is a copy of the one before."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((12, dim))[
        generator.integers(0, 12, count)
    ] + generator.standard_normal((count, dim))
    x[4::5] = x[3::5]
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def exact_features(seed, count=120):
    """Features of length 1, four of their 10 numbers ± 1/2: products are exact, and nearly all
    distances tie.
    """
    generator = np.random.default_rng(seed)
    x = np.zeros((count, 10), dtype=np.float32)
    for row in x:
        row[generator.choice(10, 4, replace=False)] = generator.choice([-0.5, 0.5], 4)
    return x
