"""Whitening against scikit-learn and loops, its properties, and its file."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA

from utils.checkpoint import save_state
from utils.errors import InputError
from utils.whitening import fit_whitening, load_whitening, principal_components, save_whitening


def made_up(photos=90, length=20, individuals=15, seed=0):
    """Features (N, D) of individuals whose photos differ most in four directions, and labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(photos) % individuals
    nuisance = rng.normal(size=(photos, 4)) @ rng.normal(size=(4, length))
    centres = rng.normal(size=(individuals, length))[labels]
    features = 3 + centres + 1.5 * nuisance + 0.3 * rng.normal(size=(photos, length))
    return torch.tensor(features, dtype=torch.float32), labels.tolist()


def cosines(rows):
    rows = F.normalize(torch.as_tensor(rows, dtype=torch.float64))
    return (rows @ rows.T).numpy()


def by_loops(features, labels, dimension, shrinkage):
    """The whitened features by scikit-learn's PCA, loops and a Cholesky factor."""
    x = features.double().numpy()
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    x = PCA(dimension, svd_solver='full').fit_transform(x)
    scatter = np.zeros((x.shape[1], x.shape[1]))
    for label in set(labels):
        own = x[[i for i, each in enumerate(labels) if each == label]]
        for row in own:
            scatter += np.outer(row - own.mean(0), row - own.mean(0))
    scatter /= len(x) - len(set(labels))
    mean = np.trace(scatter) / len(scatter)
    shrunk = (1 - shrinkage) * scatter + shrinkage * mean * np.eye(len(scatter))
    return x @ np.linalg.cholesky(np.linalg.inv(shrunk))


@pytest.mark.parametrize('shape', [(90, 20), (30, 60)])  # more photos than dimensions, and fewer
@pytest.mark.parametrize('shrinkage', [0.05, 0.3, 1.0])
def test_equals_plain_loops(shape, shrinkage):
    features, labels = made_up(*shape, individuals=10)
    found = fit_whitening(features, labels, 12, shrinkage)(features)
    assert found.shape == (shape[0], 12) and found.dtype == torch.float32
    expected = by_loops(features, labels, 12, shrinkage)
    np.testing.assert_allclose(cosines(found), cosines(expected), atol=1e-5)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, rtol=1e-3, atol=1e-3)


def test_the_scatter_within_individuals_becomes_the_identity():
    features, labels = made_up()
    whitened = fit_whitening(features, labels, 256, 0.0)(features).double()
    assert whitened.shape == (90, 20)
    numbers = torch.tensor(labels)
    means = torch.stack([whitened[numbers == n].mean(0) for n in range(15)])
    within = whitened - means[numbers]
    np.testing.assert_allclose(within.T @ within / 75, np.eye(20), atol=1e-3)
    np.testing.assert_allclose(whitened.mean(0), np.zeros(20), atol=1e-4)


def test_it_finds_more_of_other_individuals():
    features, labels = made_up()
    others, names = made_up(individuals=30, seed=0)

    def rank1(rows):
        distances = -cosines(rows)
        np.fill_diagonal(distances, np.inf)
        return np.mean(np.array(names)[distances.argmin(1)] == np.array(names))

    before, after = rank1(others), rank1(fit_whitening(features, labels)(others))
    assert after > before + 0.1


def test_order_and_lengths_do_not_matter():
    features, labels = made_up()
    order = torch.randperm(90, generator=torch.Generator().manual_seed(1))
    scale = torch.rand(90, 1, generator=torch.Generator().manual_seed(2)) + 0.1
    one = fit_whitening(features, labels)(features)
    mixed = fit_whitening((features * scale)[order], [labels[i] for i in order])(features * scale)
    np.testing.assert_allclose(cosines(one), cosines(mixed), atol=1e-5)


def test_the_number_of_dimensions():
    features, labels = made_up(photos=12, length=30, individuals=4)
    assert fit_whitening(features, labels).matrix.shape == (30, 11)
    flat = torch.cat([features[:, :3], torch.zeros(12, 27)], dim=1)
    assert fit_whitening(flat, labels).matrix.shape[1] <= 3
    components = principal_components(features.double() - features.double().mean(0), 5)
    np.testing.assert_allclose(components.T @ components, np.eye(5), atol=1e-9)


def test_rejected():
    features, labels = made_up(photos=30, length=60, individuals=10)
    with pytest.raises(InputError, match='needs two photos of the same side'):
        fit_whitening(features, range(30))
    with pytest.raises(InputError, match='singular: 20 differences between photos for 29'):
        fit_whitening(features, labels, shrinkage=0.0)
    with pytest.raises(InputError, match='those of all photos are equal'):
        fit_whitening(torch.ones(6, 4), [0, 0, 1, 1, 2, 2])
    with pytest.raises(InputError, match='for features of length 60, but these have length 7'):
        fit_whitening(features, labels)(torch.ones(2, 7))


def test_the_file(tmp_path):
    features, labels = made_up()
    whitening = fit_whitening(features, labels)
    path = str(tmp_path / 'w.safetensors')
    save_whitening(whitening, path)
    again = load_whitening(path, {'shrinkage': 0.3, 'photos': 90})
    assert torch.equal(again(features), whitening(features)) and again.facts['classes'] == 15
    with pytest.raises(InputError, match='another model .* its model_sha256 is None.* it is .ab'):
        load_whitening(path, {'model_sha256': 'ab'})


@pytest.mark.parametrize('state', ['weights', 'nan', 'shape'])
def test_other_files_are_rejected(tmp_path, state):
    whitening = fit_whitening(*made_up())
    mean, matrix = whitening.mean, whitening.matrix
    states = {
        'weights': {'classifier.weight': mean},
        'nan': {'mean': mean * torch.nan, 'matrix': matrix},
        'shape': {'mean': mean[:-1], 'matrix': matrix},
    }
    path = str(tmp_path / 'w.safetensors')
    save_state(states[state], path, {'whitening': '{}'})
    with pytest.raises(InputError, match='TEST.WHITENING: .* is not a whitening, or is damaged'):
        load_whitening(path, {})
    with pytest.raises(InputError, match='TEST.WHITENING'):
        load_whitening(str(tmp_path / 'missing'), {})
