"""Rows of the open-set test: cross-fitted and with a calibrator, their means, and words."""

from dataclasses import replace

import numpy as np
import pytest

from tests.wildlife.identify.worlds import random_table, table_of
from utils.errors import InputError
from utils.logistic import brier
from utils.open_sets import threshold_at
from wildlife.identify import open_set
from wildlife.identify.answers import best_answers
from wildlife.identify.calibration import HeldOutErrors
from wildlife.identify.fitting import (
    FOLDS,
    choose_kind,
    fit_calibrator,
    folds_of,
    leave_out,
)
from wildlife.identify.open_set import (
    NAMES,
    Row,
    as_dicts,
    check_both_sides,
    decision_rows,
    mean_rows,
    measure_rows,
    sentences,
)
from wildlife.identify.sets import set_limit


@pytest.fixture(scope='module')
def table():
    return random_table(individuals=14, unknown=14, photos_each=8)


@pytest.fixture(scope='module')
def crossed(table):
    return open_set.cross_fitted_test(table)


def test_rows(table, crossed):
    rows = {row.name: row for row in measure_rows(crossed, 200)}
    assert list(rows)[: len(NAMES)] == list(NAMES)
    for name in ('AUROC', 'sqrt', 'right/ECE', 'false matches@0.05', 'answered@0.1'):
        low, high = rows[name].pair
        assert low <= rows[name].value <= high
    found, answers = choose_kind(table, folds_of(table, 0)).found, best_answers(table)
    assert rows['right/Brier'].value == pytest.approx(brier(found.best, answers.right))
    assert rows['right/Brier'].is_loss and not rows['AUROC'].is_loss
    share = answers.known.mean()
    assert rows['known/Brier'].no_skill == pytest.approx(share * (1 - share))
    none = {row.name: row for row in measure_rows(crossed, 0)}
    assert none['AUROC'].pair is None and none['answered@0.1'].pair is None


def test_decisions_are_made_with_limits_of_other_individuals(table, crossed):
    folds, known = folds_of(table, 0), table.known
    rows = folds == 2
    limit = threshold_at(crossed.found.best[~rows & ~known], 0.05)
    expected = crossed.found.best[rows] > max(limit, 0.5)
    assert ((crossed.decisions[0.05][rows] == 'known') == expected).all()


def test_rates_that_the_data_do_not_allow_are_left_out():
    few = random_table(individuals=10, unknown=10, photos_each=2)  # 20 queries on each side
    decisions = open_set.cross_fitted_test(few).decisions
    assert list(decisions) == [0.1] and FOLDS == 10


@pytest.mark.parametrize('photos', [[300] + [1] * 9, [150]])
def test_a_new_animal_with_most_of_the_photos_does_not_stop_the_test(photos):
    """Without its fold, the limits would rest on nine photos, or on none."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(15 + len(photos)), [8] * 15 + photos)
    scores = rng.normal(size=(len(who), 15)) + 2 * np.equal.outer(who, np.arange(15))
    assert open_set.cross_fitted_test(table_of(scores / 10, np.arange(15), who)).decisions == {}


def test_decision_rows_by_hand():
    table = random_table(individuals=2, unknown=2, photos_each=5, skill=30)
    answers = best_answers(table)  # five queries each of 0, 1 (known), 2 and 3 (new)
    decisions = np.array(['known'] * 4 + ['new'] + ['unsure'] * 5 + ['known'] + ['new'] * 9)
    rows = {row.name: row for row in decision_rows(answers, decisions, 0.05, 100)}
    assert rows['false matches@0.05'].value == pytest.approx(0.1)
    assert rows['false new@0.05'].value == pytest.approx(0.1)
    assert rows['wrong name@0.05'].value == 0
    assert rows['answered@0.05'].value == pytest.approx(0.75)
    assert rows['answered@0.05'].pair is None  # four individuals


def test_a_calibrator_of_other_individuals(table):
    calibrator = fit_calibrator(leave_out(random_table(seed=7, individuals=24), 0), draws=100)
    test = open_set.open_set_test(calibrator, table)
    p = calibrator.label_probabilities(table)
    np.testing.assert_allclose(test.found.new, p[:, -1])
    accept, _ = calibrator.thresholds(0.1)
    assert ((test.decisions[0.1] == 'known') == (test.found.best > max(accept, 0.5))).all()
    assert calibrator.fewest >= 100 and list(test.decisions) == [0.01, 0.05, 0.1]
    fewer = tuple(
        HeldOutErrors(each.new_scores[:50], each.new_doubts[:50]) for each in calibrator.errors
    )
    few = open_set.open_set_test(replace(calibrator, errors=fewer), table)
    assert list(few.decisions) == [0.05, 0.1]


def test_the_share_to_expect_moves_probabilities_but_no_decision(table):
    calibrator = fit_calibrator(leave_out(random_table(seed=7, individuals=24), 0), draws=0)
    plain, told = (
        open_set.open_set_test(calibrator, table),
        open_set.open_set_test(calibrator, table, 0.1),
    )
    assert (told.found.new > plain.found.new).all()
    assert (told.found.accepted == plain.found.accepted).all()
    assert (told.decisions[0.1] == plain.decisions[0.1]).all()
    expected = calibrator.label_probabilities(table, 0.1)[:, -1]
    np.testing.assert_allclose(told.found.new, expected)


def test_the_sets_of_a_calibrator_hold_the_truth(table):
    calibrator = fit_calibrator(leave_out(random_table(seed=7, individuals=40), 0), draws=0)
    other = random_table(seed=8, individuals=40)
    truth = np.column_stack([other.truth, ~other.known])
    sets = calibrator.sets(calibrator.label_probabilities(other))
    assert 0.85 < (sets & truth).any(axis=1).mean() <= 1
    assert sets.sum(axis=1).mean() < 41
    assert set_limit(np.linspace(0, 1, 40), np.arange(40), 0) < 1


def test_means_over_draws():
    first = [Row('AUROC', 'a', 0.8, (0.7, 0.9), 0.5), Row('ECE', 'e', None, None)]
    second = [Row('AUROC', 'a', 0.6, (0.4, 0.8), 0.5), Row('ECE', 'e', 0.2, (0.1, 0.3))]
    auroc, ece = mean_rows([first, second])
    assert (auroc.value, auroc.no_skill, auroc.spread) == pytest.approx((0.7, 0.5, 0.1))
    assert auroc.pair == pytest.approx((0.55, 0.85))
    assert (ece.value, ece.pair, ece.spread) == (0.2, (0.1, 0.3), 0.0)
    assert as_dicts([auroc])['AUROC'] == {
        'value': pytest.approx(0.7),
        'low': pytest.approx(0.55),
        'high': pytest.approx(0.85),
        'no_skill': 0.5,
        'sd': pytest.approx(0.1),
    }


def test_words(crossed):
    words = sentences(measure_rows(crossed, 100), 14, 'photo')
    assert words[1].startswith('Rank-1: for ')
    assert words[0].startswith('These weights tell new animals from known ones: AUROC 0.')
    assert 'of 14 individuals' in words[1] and 'if a coin decided' in words[2]
    assert sentences(measure_rows(crossed, 0), 14, 'photo')[0].startswith('Too few individuals')


@pytest.mark.parametrize('unknown, side', [(0, 'known'), (1, 'new')])
def test_one_side_alone(unknown, side):
    table = random_table()
    with pytest.raises(InputError, match=f'all 60 usable queries are of {side} ones.*--draws 30'):
        check_both_sides(table.as_new() if unknown else table)
    with pytest.raises(InputError, match='all 0 usable'):
        check_both_sides(table.take(np.arange(0)))
