"""Encounters as queries: mean similarities, and parts of encounters."""

import numpy as np
import pytest

from tests.wildlife.identify.worlds import random_table, table_of
from wildlife.identify.answers import best_answers, joined
from wildlife.identify.encounters import encounter_means, with_encounters
from wildlife.identify.fitting import (
    choose_kind,
    folds_of,
    held_out_loss,
    leave_out,
)


def test_means_equal_loops():
    table = random_table(unknown=2)
    encounters = np.arange(len(table.individuals)) % 2  # two of each individual
    means = encounter_means(table, encounters)
    assert len(means.sizes) == 28 and means.sizes.sum() == 70
    for row, query in enumerate(means.queries):
        same = (table.individuals == table.individuals[query]) & (encounters == encounters[query])
        assert means.sizes[row] == same.sum()
        expected = table.scores[same].mean(axis=0)
        np.testing.assert_allclose(means.scores[row], expected, rtol=1e-5, atol=1e-7)


def test_a_query_as_known_and_as_new_are_two_encounters():
    table = random_table()
    both = joined([table, table.as_new()])
    means = encounter_means(both, np.zeros(len(both.queries), int))
    assert means.sizes.tolist() == [5] * 24
    assert means.known.sum() == 12
    assert np.isneginf(means.scores[~means.known]).sum() == 12


def test_photos_without_a_known_encounter_stay_alone():
    table = random_table(individuals=3)
    means = encounter_means(table, np.full(15, -1))
    assert means.sizes.tolist() == [1] * 15
    assert sorted(means.queries) == list(range(15))


def test_photos_parts_and_whole_encounters():
    table = random_table(individuals=6)
    encounters = table.individuals.copy()
    encounters[25:] = -1
    queries, (single, whole) = with_encounters(table, encounters, 0)
    assert np.flatnonzero(single).tolist() == list(range(30))
    assert queries.sizes[:30].tolist() == [1] * 30  # every photo
    assert queries.sizes[30:35].tolist() == [2] * 5  # two photos of each known encounter
    assert sorted(queries.sizes[whole]) == [1] * 5 + [5] * 5
    assert whole.sum() == 10 and not whole[:35].any()


@pytest.mark.parametrize('shared, better, worse', [(0.0, 0.2, 1.0), (1.0, 1.0, 0.2)])
def test_alpha_says_how_much_photos_repeat_each_other(shared, better, worse):
    """Photos with noise of their own are evidence each; copies of one photo are one."""
    rng, count = np.random.default_rng(0), 60
    who = np.repeat(np.arange(count), 5)
    common = np.repeat(rng.normal(size=(count, count)), 5, axis=0)
    noise = np.sqrt(shared) * common + np.sqrt(1 - shared) * rng.normal(size=common.shape)
    skill = 2 * np.equal.outer(who, np.arange(count))
    both = leave_out(table_of(noise + skill, np.arange(count), who), 0)
    both = both.take(best_answers(both).catalogue == count - 1)
    queries, _ = with_encounters(both, both.individuals, 0)
    folds = folds_of(queries, 0) % 3
    loss = {
        alpha: held_out_loss(best_answers(queries), 'platt', folds, alpha)
        for alpha in (better, worse)
    }
    assert loss[better] < loss[worse] - 0.01


def test_single_photos_need_no_alpha():
    table = random_table(individuals=12)
    both = joined([table, table.as_new()])
    assert choose_kind(both, folds_of(both, 0)).alpha == 1.0
