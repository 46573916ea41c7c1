"""The p of a paired comparison, on simulated animals: some are easy for a model, some are not."""

import numpy as np
import pytest

from utils.intervals import Average, paired_p, resample

INDIVIDUALS, PHOTOS = 40, 8
LABELS = np.repeat(np.arange(INDIVIDUALS), PHOTOS)


def simulated_p(rng, gain, units):
    """The p of two models; the animals differ in difficulty, and each model has its own luck."""
    difficulty = rng.normal(0.6, 0.15, INDIVIDUALS)
    resampled = []
    for advantage in (0, gain):
        luck = rng.normal(0, 0.08, INDIVIDUALS)
        noise = rng.normal(0, 0.1, len(LABELS))
        values = (difficulty + luck + advantage)[LABELS] + noise
        average = {'mAP': Average(values, np.ones(len(values)))}
        resampled.append(resample(average, units, 200, 0)['mAP'])
    return paired_p(resampled[1] - resampled[0])


@pytest.fixture
def share_found():
    """``share_found(gain, units, count)``: how often p < 0.05 in simulated comparisons."""
    rng = np.random.default_rng(1)
    return lambda gain, units, count: np.mean(
        [simulated_p(rng, gain, units) < 0.05 for _ in range(count)]
    )


def test_equal_models_are_rarely_told_apart(share_found):
    assert 0.02 <= share_found(0, LABELS, 300) <= 0.08


def test_a_real_difference_is_found(share_found):
    assert share_found(0.08, LABELS, 100) > 0.85


def test_photos_as_units_find_differences_that_are_not_there(share_found):
    assert share_found(0, np.arange(len(LABELS)), 80) > 0.15
