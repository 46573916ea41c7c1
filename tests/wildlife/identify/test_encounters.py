"""Mean similarities of encounters."""

import numpy as np

from tests.wildlife.identify.worlds import random_table
from wildlife.identify.answers import joined
from wildlife.identify.encounters import encounter_means


def test_means_equal_loops():
    table = random_table(unknown=2)
    encounters = np.arange(len(table.individuals)) % 2  # two of each individual
    means, photos = encounter_means(table, encounters)
    assert len(photos) == 28 and photos.sum() == 70
    for row, query in enumerate(means.queries):
        same = (table.individuals == table.individuals[query]) & (encounters == encounters[query])
        assert photos[row] == same.sum()
        np.testing.assert_allclose(
            means.scores[row], table.scores[same].mean(axis=0), rtol=1e-5, atol=1e-7
        )


def test_a_query_as_known_and_as_new_are_two_encounters():
    table = random_table()
    both = joined([table, table.as_new()])
    means, photos = encounter_means(both, np.zeros(len(both.queries), int))
    assert len(photos) == 24 and set(photos) == {5}
    assert means.known.sum() == 12
    assert np.isneginf(means.scores[~means.known]).sum() == 12
