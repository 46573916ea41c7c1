"""Sets of labels that hold the truth."""

import numpy as np
import pytest

from wildlife.identify.sets import set_limit


def test_sets_hold_the_truth_as_often_as_stated():
    """Animals that are alike within themselves: one query each keeps the promise."""
    rng, covered = np.random.default_rng(0), []
    for trial in range(25):
        animals = rng.random(41)
        who = np.repeat(np.arange(40), 5)
        strange = np.clip(animals[:40][who] + rng.normal(0, 0.01, 200), 0, 1)
        covered.append(animals[40] <= set_limit(strange, who, trial, 0.9) + 0.01)
    assert 0.75 < np.mean(covered) <= 1


def test_too_few_individuals_have_no_limit():
    assert set_limit(np.linspace(0, 1, 18), np.arange(18), 0) == np.inf
    assert set_limit(np.linspace(0, 1, 19), np.arange(19), 0) == pytest.approx(1.0)
    twice = np.repeat(np.linspace(0, 1, 19), 2)
    twice[-1] = 0.5  # of the strangest individual, any of its two photos is drawn
    assert 0.95 < set_limit(twice, np.repeat(np.arange(19), 2), 0) < 0.99
    limit = set_limit(np.linspace(0, 1, 39), np.arange(39), 0)
    assert limit == pytest.approx(37 / 38)  # the ⌈40 · 0.95⌉-th = 38th smallest
