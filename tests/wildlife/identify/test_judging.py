"""How good held-out probabilities are."""

import numpy as np

from wildlife.identify.judging import one_side_each


def test_individuals_of_both_sides_are_judged_on_one():
    individuals = np.array([1, 1, 2, 2, 3, 4, 5, 5, 6, 6])
    known = np.array([True, False, True, False, True, False, True, False, False, True])
    kept = one_side_each(individuals, known, 0)
    sides = [set(known[kept & (individuals == name)]) for name in range(1, 7)]
    assert all(len(side) == 1 for side in sides)
    assert sides[2] == {True} and sides[3] == {False}
    assert sum(side == {True} for side in sides) == sum(side == {False} for side in sides)
