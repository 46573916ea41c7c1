"""Fitting a calibrator: what it may see, what it keeps, and whether its probabilities are right."""

import numpy as np
import pytest

from tests.wildlife.identify.worlds import random_table
from utils.errors import InputError
from utils.logistic import ece
from wildlife.identify import fitting
from wildlife.identify.answers import REMOVED, best_answers, joined
from wildlife.identify.fitting import (
    cross_fit,
    fit_calibrator,
    fit_models,
    folds_of,
    held_out,
    held_out_loss,
    leave_out,
)


@pytest.fixture(scope='module')
def table():
    """Every photo as known and as new."""
    return leave_out(random_table(individuals=24, photos_each=8), 0)


@pytest.fixture(scope='module')
def calibrator(table):
    return fit_calibrator(table, draws=100)


def test_leaving_out():
    plain = random_table(individuals=24)
    both = leave_out(plain, 0)
    found = best_answers(both)
    sizes = {size: int((found.catalogue == size).sum()) for size in set(found.catalogue.tolist())}
    assert sizes == {23: 240, 12: 120, 6: 120}
    whole = found.catalogue == 23
    assert both.known[whole].sum() == 120  # the size does not tell known from new
    half = both.take(found.catalogue == 12)
    assert half.known.sum() == 60  # those whose individual is among the twelve
    assert (plain.scores[both.queries] == both.scores)[both.scores > REMOVED].all()
    few = best_answers(leave_out(random_table(individuals=8), 0))
    assert set(few.catalogue.tolist()) == {7, 4}  # not two


def test_folds_never_divide_an_individual_and_have_both_sides():
    both = joined([random_table(individuals=24, unknown=13)])
    folds = folds_of(both, 0)
    pairs = set(zip(both.individuals.tolist(), folds.tolist()))
    assert len(pairs) == 37 and len(set(folds)) == 10
    for fold in set(folds.tolist()):
        assert set(both.known[folds == fold].tolist()) == {True, False}


def test_held_out_probabilities_do_not_depend_on_the_own_fold(table):
    folds = folds_of(table, 0)
    found = cross_fit(table, 'platt', folds)
    rows = folds == 3
    other = fit_models(best_answers(table.take(~rows)), 'platt')
    np.testing.assert_allclose(found.best[rows], held_out(other, table.take(rows)).best)
    own = fit_models(best_answers(table), 'platt')
    assert not np.allclose(found.best[rows], held_out(own, table.take(rows)).best)


def test_the_kind_with_the_lower_held_out_loss_is_taken(table, calibrator):
    losses = calibrator.facts['log_loss']
    folds = folds_of(table, 0)
    for kind, loss in losses.items():
        found, answers = cross_fit(table, kind, folds), best_answers(table)
        right = np.where(answers.right, found.best, 1 - found.best)
        known = np.where(answers.known, 1 - found.new, found.new)
        assert loss == pytest.approx(-np.log(right).mean() - np.log(known).mean())
        assert loss == pytest.approx(held_out_loss(answers, kind, folds))
    assert calibrator.kind == min(losses, key=losses.get)


def test_facts(table, calibrator):
    facts = calibrator.facts
    assert (facts['individuals'], facts['queries'], facts['catalogue']) == (24, 192, 23)
    assert calibrator.fewest == 192
    sizes = {'known_queries': 96, 'known_individuals': 12}  # half of them are the new ones
    sizes |= {'unknown_queries': 96, 'unknown_individuals': 12}
    assert facts['open_set']['counts'] == sizes
    assert calibrator.tells_new
    low, high = facts['right']['intervals']['Brier']
    assert low < facts['right']['values']['Brier'] < high
    assert facts['right']['values']['Brier'] < facts['right']['no_skill']['Brier']


def test_probabilities_are_right_for_other_animals(calibrator):
    """500 other individuals: answers with P = 0.8 are right in 80 % of cases."""
    others = random_table(seed=9, individuals=24, photos_each=60)
    both = joined([others, others.as_new()])
    found, answers = held_out(calibrator, both), best_answers(both)
    assert ece(found.best, answers.right) < 0.05
    assert ece(1 - found.new, answers.known) < 0.06
    rare = held_out(calibrator, both, share=0.01)  # another share does not change the answers
    assert (rare.accepted == found.accepted).all() and (rare.new > found.new).all()
    assert ((rare.best > rare.new) != found.accepted).any()
    accept, _ = calibrator.thresholds(0.05)
    assert 0.02 < (found.best[~both.known] > accept).mean() < 0.1


def test_sets_hold_the_truth_however_many_animals_are_new():
    """Weak features, for which "new" is in nearly every set: known animals are not its price."""
    worlds = [random_table(seed, individuals=40, photos_each=20, skill=0.7) for seed in (1, 2)]
    made = fit_calibrator(leave_out(worlds[0], 0), draws=0)
    for table in (worlds[1], worlds[1].as_new()):
        truth = np.column_stack([table.truth & table.known[:, None], ~table.known])
        inside = (made.sets(made.label_probabilities(table)) & truth).any(axis=1)
        assert inside.mean() > 0.93
    assert made.set_limits[0] != made.set_limits[1]


def test_no_skill_is_found_out():
    found = fit_calibrator(leave_out(random_table(individuals=24, skill=0.0), 0), draws=200)
    assert not found.tells_new
    p = found.label_probabilities(random_table(seed=5, individuals=24, skill=0.0))
    assert p[:, :-1].max() < 0.5


@pytest.mark.parametrize('unknown, side', [(False, 'known'), (True, 'new')])
def test_one_side_alone_is_rejected(unknown, side):
    plain = random_table()
    with pytest.raises(InputError, match=f'all 60 queries are {side}'):
        fit_calibrator(plain.as_new() if unknown else plain)


def test_many_held_out_numbers_are_thinned(monkeypatch):
    monkeypatch.setattr(fitting, 'KEPT', 11)
    sample = fitting._sorted_sample(np.arange(101.0)[::-1])
    np.testing.assert_allclose(sample, np.arange(0, 101, 10))


def test_errors_are_stated_for_some_queries(table):
    """Such as whole encounters: only these count in the limits, the last in the facts."""
    stated = table.queries % 2 == 0
    found = fit_calibrator(table, [stated, table.queries % 3 == 0], draws=0)
    assert [len(each.new_scores) for each in found.errors] == [96, 64]
    alone = [fit_calibrator(table, [part], draws=0) for part in (stated, table.queries % 3 == 0)]
    assert alone[0].facts['open_set']['counts']['known_queries'] == 48
    limits = np.array([each.set_limits for each in alone])
    assert found.set_limits == tuple(limits.max(axis=0))  # the sets hold for both
    assert (limits[0] != limits[1]).all()
