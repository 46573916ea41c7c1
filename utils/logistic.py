"""Logistic regression with Platt's targets, and how good probabilities are.

Platt, "Probabilistic Outputs for Support Vector Machines", 1999; Newton's method as in Lin, Lin and
Weng, "A note on Platt's probabilistic outputs for support vector machines", 2007.
"""

from dataclasses import dataclass

import numpy as np

from utils.intervals import LEAST_INDIVIDUALS, Interval

BINS = 10
RIDGE = 1.0  # on weights of standardised inputs: few individuals should not give steep curves
STEPS = 100  # most steps of Newton's method; it needs about ten
TINY = 1e-12  # probabilities are kept this far from 0 and 1 in the log loss
NORMAL = 1.959964  # standard errors on each side of a 95 % interval


@dataclass(frozen=True)
class Logistic:
    """P = σ(weights · inputs + intercept).

    Attributes:
        weights: (D,).
        intercept: A number.
    """

    weights: np.ndarray
    intercept: float

    def logit(self, inputs: np.ndarray) -> np.ndarray:
        """Return the log odds (N,) for inputs (N, D)."""
        return inputs @ self.weights + self.intercept

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Return the probabilities (N,) for inputs (N, D)."""
        return sigmoid(self.logit(inputs))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-logits)), without overflow."""
    return np.exp(-np.logaddexp(0, -logits))


def logit(probabilities: np.ndarray) -> np.ndarray:
    """Return the log odds of probabilities, which are kept away from 0 and 1."""
    kept = np.clip(probabilities, TINY, 1 - TINY)
    return np.log(kept) - np.log1p(-kept)


def platt_targets(outcomes: np.ndarray) -> np.ndarray:
    """Return (n₊ + 1) / (n₊ + 2) for the n₊ true outcomes and 1 / (n₋ + 2) for the others.

    They keep the weights finite where the inputs separate the outcomes without error.
    """
    positive = int(outcomes.sum())
    negative = len(outcomes) - positive
    return np.where(outcomes, (positive + 1) / (positive + 2), 1 / (negative + 2))


def fit_logistic(inputs: np.ndarray, outcomes: np.ndarray) -> Logistic:
    """Fit P(outcome | inputs) by maximum likelihood with Platt's targets.

    An input that is the same for all gets the weight 0.

    Args:
        inputs: (N, D), finite.
        outcomes: (N,) bool.
    """
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0)
    varies = spread > 1e-9 * (1 + np.abs(mean))
    scale = np.where(varies, spread, 1.0)
    rows = np.column_stack([np.where(varies, (inputs - mean) / scale, 0.0), np.ones(len(inputs))])
    found = _newton(rows, platt_targets(outcomes.astype(bool)))
    weights = np.where(varies, found[:-1] / scale, 0.0)
    return Logistic(weights, float(found[-1] - weights @ mean))


def _newton(rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Minimise the cross-entropy of σ(rows · w) by Newton's method with halved steps."""
    ridge = np.append(np.full(rows.shape[1] - 1, RIDGE), 0.0)
    found = np.zeros(rows.shape[1])
    found[-1] = logit(np.clip(targets.mean(), 1e-6, 1 - 1e-6))

    def loss(weights: np.ndarray) -> float:
        z = rows @ weights
        return float(np.sum(np.logaddexp(0, z) - targets * z) + ridge @ weights**2 / 2)

    current = loss(found)
    for _ in range(STEPS):
        p = sigmoid(rows @ found)
        gradient = rows.T @ (p - targets) + ridge * found
        curvature = (rows * (p * (1 - p))[:, None]).T @ rows + np.diag(ridge + 1e-10)
        step = np.linalg.solve(curvature, gradient)
        while (changed := loss(found - step)) > current and np.abs(step).max() > 1e-12:
            step /= 2
        found, gain, current = found - step, current - changed, changed
        if gain < 1e-10 * (1 + abs(current)):
            break
    return found


# ----------------------------------------------------------------------------------------- quality


def brier(probabilities: np.ndarray, outcomes: np.ndarray) -> float:
    """Return the mean squared error of probabilities (N,); a constant π scores π (1 - π)."""
    return float(np.mean((probabilities - outcomes) ** 2))


def log_loss(probabilities: np.ndarray, outcomes: np.ndarray) -> float:
    """Return the mean of -log P(what happened)."""
    p = np.clip(probabilities, TINY, 1 - TINY)
    return float(-np.mean(np.where(outcomes, np.log(p), np.log1p(-p))))


@dataclass(frozen=True)
class Reliability:
    """Bins of equal mass, from the least to the most probable; empty ones are skipped.

    Attributes:
        predicted: (B,), mean probability.
        observed: (B,), share of true outcomes.
        count: (B,), number of answers.
    """

    predicted: np.ndarray
    observed: np.ndarray
    count: np.ndarray

    def error(self) -> float:
        """Return the expected calibration error: Σ count / N · |observed - predicted|."""
        gaps = np.abs(self.observed - self.predicted)
        return float(self.count @ gaps / self.count.sum())


def reliability(probabilities: np.ndarray, outcomes: np.ndarray, bins: int = BINS) -> Reliability:
    """Compare probabilities (N,) with outcomes (N,), N >= 1, in bins with equally many answers.

    Equal probabilities stay in one bin, so the order of the answers does not matter.
    """
    values, index = np.unique(probabilities, return_inverse=True)
    sizes = np.bincount(index)
    middle = np.cumsum(sizes) - sizes / 2
    bin_of = np.minimum((middle * bins / len(index)).astype(int), bins - 1)[index]
    count = np.bincount(bin_of, minlength=bins)
    used = count > 0
    predicted = np.bincount(bin_of, probabilities, bins)[used] / count[used]
    observed = np.bincount(bin_of, outcomes, bins)[used] / count[used]
    return Reliability(predicted, observed, count[used])


def ece(probabilities: np.ndarray, outcomes: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error, 0 … 1, in bins of equal mass."""
    return reliability(probabilities, outcomes, bins).error()


def quality(
    probabilities: np.ndarray, outcomes: np.ndarray, individuals: np.ndarray
) -> dict[str, dict]:
    """Return how good probabilities are, with intervals over individuals.

    The intervals come from a jackknife over individuals: a bootstrap repeats answers, and repeated
    answers look badly calibrated.

    Args:
        probabilities: (N,).
        outcomes: (N,) bool.
        individuals: (N,), the individual of each answer.

    Returns:
        'values', 'intervals' and 'no_skill' of 'Brier', 'log loss' and 'ECE'. No skill is the share
        of true outcomes as a constant answer. 'intervals' is {} for too few individuals.
    """
    measures = {'Brier': brier, 'log loss': log_loss, 'ECE': ece}
    constant = np.full(len(outcomes), outcomes.mean())
    found: dict[str, dict] = {'values': {}, 'intervals': {}, 'no_skill': {}}
    names = np.unique(individuals)
    for name, measure in measures.items():
        value = measure(probabilities, outcomes)
        found['values'][name] = value
        found['no_skill'][name] = None if name == 'ECE' else measure(constant, outcomes)
        if len(names) >= LEAST_INDIVIDUALS:
            without = [
                measure(probabilities[individuals != each], outcomes[individuals != each])
                for each in names
            ]
            found['intervals'][name] = jackknife_interval(value, np.array(without))
    return found


def jackknife_interval(value: float, without: np.ndarray) -> Interval:
    """Return value ± 1.96 standard errors, at least 0.

    Args:
        value: The measure of all.
        without: (n,), the measure without each of the individuals.
    """
    n = len(without)
    error = np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2))
    return max(0.0, float(value - NORMAL * error)), float(value + NORMAL * error)
