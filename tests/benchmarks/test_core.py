"""How ways are timed and compared."""

import math

import numpy as np
import pytest
import torch

from benchmarks import core
from benchmarks.core import Ways, relative_difference


def test_in_turns_after_a_warm_up(clock):
    ways = Ways(
        plain=clock.way('plain', [100, 8, 1, 6, 7], 2.0),
        ours=clock.way('ours', [50, 2, 9, 3, 4], 2.5),
        reset=lambda: clock.calls.append('reset'),
    )
    facts = core.time_in_turns(ways, rounds=4)
    assert clock.calls == ['reset', 'plain', 'ours', *['plain', 'ours', 'ours', 'plain'] * 2]
    assert facts['plain'] == {'median_s': 6.5, 'seconds': [8, 1, 6, 7]}
    assert facts['ours'] == {'median_s': 3.5, 'seconds': [2, 9, 3, 4]}
    assert facts['ratio'] == 6.5 / 3.5 and facts['rounds'] == 4
    assert facts['difference'] == 0.25


@pytest.mark.parametrize(
    ('plain', 'ours', 'difference'),
    [
        (np.array([1, -4.0]), np.array([1, -3.0]), 0.25),
        (
            (1.0, {'a': torch.tensor([2.0, 4.0], requires_grad=True)}),
            (1.0, {'a': torch.tensor([2.5, 4.0])}),
            0.125,
        ),
        ([0.0, 0.5], [0.0, 0.5], 0),
        (np.zeros(2), np.array([0, 0.5]), 0.5),
        (np.zeros(0), np.zeros(0), 0),
        (np.zeros(2), np.zeros(3), math.inf),
        ({'a': 1}, {'b': 1}, math.inf),
        ([1, 2], [1], math.inf),
        (np.array([1.0, math.nan]), np.array([1.0, 2.0]), math.inf),
    ],
)
def test_relative_difference(plain, ours, difference):
    assert relative_difference(plain, ours) == difference
