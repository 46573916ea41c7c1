"""Logistic regression and the quality of probabilities, against scikit-learn and loops."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from utils.logistic import (
    RIDGE,
    brier,
    ece,
    fit_logistic,
    jackknife_interval,
    log_loss,
    logit,
    platt_targets,
    quality,
    reliability,
    sigmoid,
)


def noisy(seed, count=300, inputs=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, inputs)) * [1, 0.02, 50][:inputs] + 3
    z = (x - 3) @ np.array([1.5, -40, 0.01][:inputs]) - 0.5
    return x, rng.random(count) < sigmoid(z)


def by_scikit_learn(x, y):
    """Soft targets: each answer counts as true and as false, with the target as weight."""
    targets = platt_targets(y)
    scaled = (x - x.mean(0)) / x.std(0)
    other = LogisticRegression(C=1 / RIDGE, tol=1e-10, max_iter=1000).fit(
        np.concatenate([scaled, scaled]),
        np.repeat([1, 0], len(x)),
        np.concatenate([targets, 1 - targets]),
    )
    return other.predict_proba(scaled)[:, 1]


@pytest.mark.parametrize('inputs', [1, 3])
@pytest.mark.parametrize('seed', range(3))
def test_the_fit_is_that_of_scikit_learn(seed, inputs):
    x, y = noisy(seed, inputs=inputs)
    np.testing.assert_allclose(fit_logistic(x, y)(x), by_scikit_learn(x, y), atol=1e-6)


def test_the_fit_of_a_single_true_outcome_far_away():
    """Newton's steps would be too long if they were not halved."""
    x = np.append(np.zeros(1000), 1.0)[:, None]
    np.testing.assert_allclose(fit_logistic(x, x[:, 0] == 1)(x), by_scikit_learn(x, x[:, 0] == 1))


def test_platts_targets():
    assert platt_targets(np.array([True, False, True])).tolist() == pytest.approx(
        [0.75, 1 / 3, 0.75]
    )


def test_separated_outcomes_give_a_finite_curve():
    x = np.array([[0.1], [0.2], [0.8], [0.9]])
    found = fit_logistic(x, np.array([False, False, True, True]))
    p = found(x)
    assert np.isfinite(found.weights).all() and 0 < p[0] < p[1] < 0.5 < p[2] < p[3] < 1


def test_one_outcome_alone():
    p = fit_logistic(np.array([[0.1], [0.7], [0.4]]), np.ones(3, bool))(np.array([[0.5]]))
    assert p[0] == pytest.approx(0.8, abs=1e-6)  # (3 + 1) / (3 + 2)


def test_a_constant_input_has_no_weight():
    x, y = noisy(1, inputs=1)
    found = fit_logistic(np.column_stack([x, np.full(len(x), 2.302585)]), y)
    assert found.weights[1] == 0
    np.testing.assert_allclose(found.weights[0], fit_logistic(x, y).weights[0])


def test_extreme_logits():
    assert sigmoid(np.array([-1e4, 0, 1e4])).tolist() == [0, 0.5, 1]
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()
    assert logit(sigmoid(np.array([0.3]))) == pytest.approx(0.3)


# ----------------------------------------------------------------------------------------- quality


def test_scores_equal_those_of_scikit_learn():
    x, y = noisy(2)
    p = fit_logistic(x, y)(x)
    assert brier(p, y) == pytest.approx(metrics.brier_score_loss(y, p))
    assert log_loss(p, y) == pytest.approx(metrics.log_loss(y, p))


def test_ece_by_hand():
    """Two bins of three: gaps |1/3 - 0.2| and |2/3 - 0.8|."""
    p = np.array([0.1, 0.8, 0.2, 0.9, 0.3, 0.7])
    y = np.array([False, True, True, True, False, False])
    assert ece(p, y, bins=2) == pytest.approx((abs(1 / 3 - 0.2) + abs(2 / 3 - 0.8)) / 2)
    bins = reliability(p, y, bins=2)
    assert bins.count.tolist() == [3, 3]
    assert bins.predicted.tolist() == pytest.approx([0.2, 0.8])


def test_ece_falls_to_0_when_outcomes_are_drawn_with_the_probabilities():
    rng, found = np.random.default_rng(0), []
    for count in (300, 3_000, 300_000):
        p = rng.random(count)
        found.append(ece(p, rng.random(count) < p))
    assert found[0] > found[1] > found[2] and found[2] < 0.003
    assert ece(np.full(1000, 0.9), np.arange(1000) < 500) == pytest.approx(0.4)


def test_equal_probabilities_stay_together_and_the_order_does_not_matter():
    rng = np.random.default_rng(1)
    p = rng.random(200).round(1)
    y = rng.random(200) < p
    order = rng.permutation(200)
    assert ece(p, y) == pytest.approx(ece(p[order], y[order]))
    assert ece(np.full(50, 0.5), np.arange(50) < 25) == 0


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).random(40)
    low, high = jackknife_interval(values.mean(), (values.sum() - values) / 39)
    error = values.std(ddof=1) / np.sqrt(40)
    assert (high - low) / 2 == pytest.approx(1.959964 * error)


def test_quality():
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(30), 10)
    p = rng.random(300)
    found = quality(p, rng.random(300) < p, who)
    for name, value in found['values'].items():
        low, high = found['intervals'][name]
        assert 0 <= low <= value < high
    share = 0.4
    y = np.arange(300) < 120
    assert quality(p, y, who)['no_skill']['Brier'] == pytest.approx(share * (1 - share))
    assert quality(p[:90], y[:90], who[:90])['intervals'] == {}
    assert quality(p[:100], y[:100], who[:100])['intervals']  # ten individuals


def test_intervals_over_individuals_are_wider_where_photos_are_alike():
    rng = np.random.default_rng(3)
    who = np.repeat(np.arange(40), 12)
    y = (rng.random(40) < 0.5)[who]  # all photos of an animal are right, or all are wrong
    p = np.full(len(who), 0.5) + rng.normal(0, 0.01, len(who))
    by_animal = quality(p, y, who)['intervals']['Brier']
    p2 = np.where(y, 0.9, 0.2) + rng.normal(0, 0.01, 40)[who]
    wide = quality(p2, y, who)['intervals']['Brier']
    narrow = quality(p2, y, np.arange(len(who)))['intervals']['Brier']
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])
    assert by_animal[1] - by_animal[0] < 0.01
