"""Probabilities of labels, decisions, sets and words."""

from dataclasses import replace

import numpy as np
import pytest

from tests.wildlife.identify.worlds import random_table
from utils.errors import InputError
from utils.logistic import Logistic, logit, sigmoid
from wildlife.identify.answers import REMOVED, best_answers
from wildlife.identify.calibration import (
    INPUTS,
    Calibrator,
    HeldOutErrors,
    accepted,
    decide,
    inputs_of,
    shared_rest,
    told_apart,
    trust_notes,
    with_share,
)

PLATT = Calibrator(
    'platt',
    right=Logistic(np.array([12.0, -3.2]), 0.2),
    known=Logistic(np.array([10.0, -1.5]), 0.5),
    share=0.5,
    sharpness=12.0,
)


def test_rows_sum_to_1_and_the_best_is_the_most_probable():
    rng = np.random.default_rng(0)
    table = random_table(unknown=3)
    table = table.compared(rng.random(table.scores.shape) < 0.6)
    table = table.take((table.scores > REMOVED).any(axis=1))
    p = PLATT.label_probabilities(table)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (p >= 0).all() and (p[:, :-1][table.scores == REMOVED] == 0).all()
    best = table.scores.argmax(axis=1)
    assert (p[np.arange(len(p)), best] >= p[:, :-1].max(axis=1) - 1e-12).all()
    swapped = replace(PLATT, right=PLATT.known, known=PLATT.right)  # P(known) is not below P(right)
    p = swapped.label_probabilities(table)
    assert (p >= 0).all() and p.sum(axis=1) == pytest.approx(1)


def test_the_best_and_new_are_those_of_the_regressions():
    table = random_table()
    p, found = PLATT.label_probabilities(table), best_answers(table)
    right, known = sigmoid(12 * found.score - 3), sigmoid(10 * found.score - 1)
    known = np.maximum(known, right)
    np.testing.assert_allclose(p[:, -1], 1 - known)
    np.testing.assert_allclose(p[:, :-1].max(axis=1), np.maximum(right, known / 12))


def test_the_rest_is_shared_by_weights():
    """Two others, three times as likely one as the other, and nobody more than the best."""
    weights = np.array([[0.0, 3.0, 1.0]])
    shares = shared_rest(weights, np.array([0.2]), np.array([0.5]))
    np.testing.assert_allclose(shares, [[0, 0.15, 0.05]])
    shares = shared_rest(weights, np.array([0.2]), np.array([0.12]))
    np.testing.assert_allclose(shares, [[0, 0.12, 0.08]])
    shares = shared_rest(weights, np.array([0.2]), np.array([0.1]))
    np.testing.assert_allclose(shares, [[0, 0.1, 0.1]])
    assert not shared_rest(np.zeros((1, 3)), np.array([0.2]), np.array([0.5])).any()


def test_a_single_individual_gets_all_of_known():
    table = random_table().compared(np.arange(12) == 3)
    p = PLATT.label_probabilities(table)
    np.testing.assert_allclose(p[:, 3] + p[:, -1], 1)


def test_another_base_rate_moves_the_log_odds():
    table = random_table()
    plain, rare = PLATT.label_probabilities(table), PLATT.label_probabilities(table, share=0.1)
    moved = logit(1 - rare[:, -1]) - logit(1 - plain[:, -1])
    np.testing.assert_allclose(moved, logit(np.array(0.1)), rtol=1e-6)  # from 0.5
    np.testing.assert_allclose(rare.sum(axis=1), 1)
    same = PLATT.label_probabilities(table, share=0.5)
    np.testing.assert_allclose(same, plain, atol=1e-9)
    assert with_share(np.array([0.2]), 0.5, 0.5)[0] == pytest.approx(0.2)


def test_photos_of_an_encounter():
    """α = 1: as one photo; α = 0: the log likelihood ratios of all photos add up."""
    table = random_table()
    three = replace(table, sizes=np.full(len(table.individuals), 3))
    one = PLATT.label_probabilities(table)
    np.testing.assert_allclose(PLATT.label_probabilities(three), one)
    score = best_answers(table).score
    p = replace(PLATT, alpha=0.0).label_probabilities(three)
    known = sigmoid(0.5 + 3 * (10 * score - 1.5))
    right = sigmoid(0.2 + 3 * (12 * score - 3.2))
    np.testing.assert_allclose(1 - p[:, -1], np.maximum(known, right))


def test_inputs():
    found = best_answers(random_table())
    platt = inputs_of(found, 'platt', 1.0).T
    assert platt[0].tolist() == found.score.tolist() and set(platt[1]) == {1.0}
    columns = inputs_of(found, 'logistic', 0.3).T
    np.testing.assert_allclose(columns[2], found.gap)
    np.testing.assert_allclose(np.exp(columns[3]), found.photos)
    np.testing.assert_allclose(np.exp(columns[4]), 12)
    four = replace(found, size=np.full(len(found.size), 4))
    columns = inputs_of(four, 'logistic', 0.5).T
    np.testing.assert_allclose(columns[:3], [2 * found.score, np.full(60, 2.0), 2 * found.gap])
    assert {kind: inputs_of(found, kind, 1).shape[1] for kind in INPUTS} == {
        kind: len(names) for kind, names in INPUTS.items()
    }


def test_decisions_keep_the_stated_rate_on_the_fit():
    rng = np.random.default_rng(0)
    scores, doubts = np.sort(rng.random(200)), np.sort(rng.random(300))
    calibrator = replace(PLATT, errors=(HeldOutErrors(scores, doubts),))
    accept, reject = calibrator.thresholds(0.05)
    assert (scores > accept).sum() == 9 and (doubts > reject).sum() == 14  # ⌊0.05 · 201⌋ - 1
    assert calibrator.thresholds(1.0) == (0.0, 0.0)  # numbers that JSON can hold
    stricter = HeldOutErrors(scores / 2 + 0.5, doubts / 2)  # such as single photos
    both = replace(calibrator, errors=(*calibrator.errors, stricter))
    assert both.thresholds(0.05) == (pytest.approx(accept / 2 + 0.5), reject)
    assert replace(both, errors=both.errors[::-1]).thresholds(0.05) == both.thresholds(0.05)
    for thinner in (HeldOutErrors(scores[:13], doubts), HeldOutErrors(scores, doubts[:13])):
        few = replace(both, errors=(calibrator.errors[0], thinner))
        assert few.fewest == 13
        with pytest.raises(InputError, match='with 13 queries.* from 0.077 to 1'):
            few.thresholds(0.07)
    with pytest.raises(InputError, match='false-match rate of 0.001 cannot be measured'):
        calibrator.thresholds(0.001)


def test_an_answer_is_more_likely_than_not():
    best, new = np.array([0.45, 0.6, 0.3, 0.1]), np.array([0.3, 0.3, 0.45, 0.8])
    assert decide(best, new, 0.2, 0.2).tolist() == ['unsure', 'known', 'unsure', 'new']
    assert decide(best, new, 0.7, 0.9).tolist() == ['unsure'] * 4


def test_nothing_is_called_new_where_new_animals_cannot_be_told():
    facts = {'open_set': {'intervals': {'AUROC': (0.43, 0.65)}, 'values': {'AUROC': 0.53}}}
    calibrator = replace(
        PLATT, errors=(HeldOutErrors(np.linspace(0, 1, 50), np.linspace(0, 1, 50)),), facts=facts
    )
    assert not calibrator.tells_new and calibrator.thresholds(0.1)[1] == 1.0
    assert PLATT.tells_new


def test_sets_hold_the_labels_that_are_not_strange():
    p = np.array([[0.7, 0.2, 0.1], [0.4, 0.25, 0.35]])
    assert replace(PLATT, set_limits=(0.77, 0.65)).sets(p).tolist() == [
        [True, False, False],
        [True, True, True],
    ]
    assert PLATT.sets(p).all()  # no limit is known: every label


def test_the_most_probable_label_is_the_answer():
    assert accepted(np.array([[0.5, 0.1, 0.4], [0.3, 0.3, 0.4]])).tolist() == [True, False]


@pytest.mark.parametrize(
    'auroc, pair, said',
    [
        (0.53, (0.43, 0.65), 'These weights cannot tell new animals from known ones: AUROC 0.53'),
        (0.40, (0.31, 0.48), 'These weights cannot tell new animals from known ones'),
        (0.93, (0.84, 0.99), 'These weights tell new animals from known ones'),
        (0.93, None, 'Too few individuals to say whether'),
        (None, None, 'was not tested'),
    ],
)
def test_words_claim_no_more_than_the_interval(auroc, pair, said):
    assert said in told_apart(auroc, pair)


def test_how_far_it_may_be_trusted():
    measures = {'values': {'AUROC': 0.9}, 'intervals': {'AUROC': (0.8, 0.95)}}
    calibrator = PLATT.with_facts(catalogue=20, open_set=measures)
    assert trust_notes(calibrator, 30) == []
    (grown,) = trust_notes(calibrator, 31)
    assert 'from 20 to 31 individuals' in grown
    measures['intervals'] = {'AUROC': (0.45, 0.95)}
    cannot, so = trust_notes(calibrator, 20)
    assert 'cannot tell' in cannot and so.startswith('So nearly all answers are unsure')
