"""The deletion test: what is deleted, what is lost, and its interval."""

import numpy as np
import pytest
import torch

from tests.wildlife.explain.fakes import FakeExplainer
from utils.intervals import Average, interval, resample
from wildlife.explain.deletion import DRAWS, Losses, deletion_losses, summarize_losses, without


def test_deleted_places_get_the_mean_of_their_own_photo():
    images = torch.arange(2 * 1 * 4 * 6.0).reshape(2, 1, 4, 6)
    places = torch.tensor([[[False, True]], [[False, False]]])  # 1 x 2 places of 4 x 3 pixels
    cut = without(images, places)
    assert torch.equal(cut[1], images[1])
    assert torch.equal(cut[0, :, :, :3], images[0, :, :, :3])
    assert (cut[0, :, :, 3:] == images[0].mean()).all()


def test_the_losses_are_means_over_both_photos():
    """The fake similarity is the sum of the products of all places, the mean of a photo is 0."""
    draw = np.random.default_rng(5)
    photos = torch.tensor(draw.normal(size=(22, 1, 4, 5)), dtype=torch.float32)
    photos -= photos.mean((2, 3), keepdim=True)
    pairs = [(number, number + 11) for number in range(11)]
    losses = deletion_losses(FakeExplainer(photos), pairs)
    for pair, (first, second) in enumerate(pairs):
        products = (photos[first] * photos[second])[0].numpy()
        assert losses.similarity[pair] == pytest.approx(products.sum(), abs=1e-5)
        # both maps are these products, so both photos lose the two largest ones
        largest = np.sort(products, axis=None)[-2:].sum()
        assert losses.important[pair] == pytest.approx(largest, abs=1e-5)
    assert (losses.random < losses.important).all()
    assert abs(losses.random - losses.similarity / 10).mean() < 0.5


def test_the_interval_is_that_of_the_difference_over_individuals():
    draw = np.random.default_rng(2)
    losses = Losses(*draw.normal(size=(3, 40)))
    individuals = draw.integers(0, 12, 40).tolist()
    found = summarize_losses(losses, individuals)
    difference = losses.important - losses.random
    average = {'x': Average(difference, np.ones(40))}
    assert found['interval'] == interval(resample(average, individuals, DRAWS, 0)['x'])
    assert found['interval'][0] < found['difference'] < found['interval'][1]
    assert found['difference'] == pytest.approx(difference.mean())
    assert found['share_of_pairs'] == np.mean(difference > 0)
    assert (found['pairs'], found['individuals'], found['reason']) == (40, 12, '')


def test_few_individuals_get_no_interval():
    found = summarize_losses(Losses(*np.ones((3, 20))), [1, 2] * 10)
    assert found['interval'] is None and 'at least 10' in found['reason']
