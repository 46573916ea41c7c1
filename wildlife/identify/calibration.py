"""Turns similarities into probabilities of each individual, and of a new one.

Two logistic regressions on the best answer give P(it is right) and P(the animal is known). Their
inputs are the similarity ('platt'), or also the gap to the second best individual, its number of
photos and the size of the catalogue ('logistic'); see :func:`inputs_of`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from utils.intervals import Interval
from utils.logistic import Logistic, logit, sigmoid
from utils.open_sets import check_rate, threshold_at
from wildlife.identify.answers import REMOVED, Answers, Similarities, best_answers

INPUTS = {  # kind -> names of its inputs
    'platt': ('score', 'photos of the query'),
    'logistic': ('score', 'photos of the query', 'gap', 'log photos', 'log individuals'),
}
LIKELY = 0.5  # an answer needs a probability above this, whatever the stated rate of errors
GROWN = 1.5  # a catalogue this many times as large as that of the fit gets a warning


@dataclass(frozen=True)
class HeldOutErrors:
    """Held-out probabilities of queries of one kind, such as whole encounters.

    Attributes:
        new_scores: (U,) sorted, P(best) of new animals.
        new_doubts: (K,) sorted, P(new) of known animals.
    """

    new_scores: np.ndarray
    new_doubts: np.ndarray


@dataclass(frozen=True)
class Calibrator:
    """Turns similarities into probabilities.

    Attributes:
        kind: A key of INPUTS.
        right: P(the best individual is the right one), from :func:`inputs_of`.
        known: P(the catalogue has the animal), from the same inputs.
        share: The share of known animals that it was fitted on.
        sharpness: Weights of individuals are exp(sharpness · similarity) for a single photo; at
            least 0.
        alpha: The evidence of n photos of an encounter is their sum, divided by n^alpha: 0 =
            independent photos, 1 = as one photo.
        set_limits: The set of an answer has the individuals with 1 - P <= the first, and "new" if
            1 - P <= the second; infinite = all labels.
        errors: Held-out errors, which give the error rates, of single photos and of encounters.
        facts: What it was fitted on, and how good it is.
    """

    kind: str
    right: Logistic
    known: Logistic
    share: float
    sharpness: float
    alpha: float = 1.0
    set_limits: tuple[float, float] = (np.inf, np.inf)
    errors: tuple[HeldOutErrors, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def label_probabilities(self, table: Similarities, share: float | None = None) -> np.ndarray:
        """Return the probabilities (Q, N + 1) of each individual and, last, of a new one.

        Rows sum to 1, and no individual is more probable than the best one. The remainder
        P(known) - P(best) is shared among the others by their weights.

        Args:
            table: Q queries.
            share: The share of known animals to expect; None = as in the fit.
        """
        answers = best_answers(table)
        best, known = self.best_and_known(answers, share)
        rows, column = np.arange(len(best)), table.scores.argmax(axis=1)
        is_compared = table.scores > REMOVED
        gaps = np.where(is_compared, answers.score[:, None] - table.scores, 0.0)
        sharpness = self.sharpness * evidence_of(answers, self.alpha)
        weights = np.exp(-sharpness[:, None] * gaps) * is_compared
        weights[rows, column] = 0.0
        found = np.column_stack([shared_rest(weights, known - best, best), 1 - known])
        found[rows, column] = best
        return found

    def best_and_known(
        self, answers: Answers, share: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return P(the best is right) (Q,) and P(known) (Q,), which is not lower.

        P(best) is at least P(known) divided by the number of individuals.

        Args:
            answers: Q answers.
            share: The share of known animals to expect; None = as in the fit.
        """
        inputs = inputs_of(answers, self.kind, self.alpha)
        best = self.right(inputs)
        known = np.maximum(best, self.known(inputs))
        if share is not None:
            expected = with_share(known, self.share, share)
            best *= np.divide(expected, known, where=known > 0, out=np.zeros_like(known))
            known = expected
        return np.maximum(best, known / answers.catalogue), known

    def sets(self, probabilities: np.ndarray) -> np.ndarray:
        """Return which labels (Q, N + 1) are in the 95 % sets."""
        individuals, new = self.set_limits
        limits = np.full(probabilities.shape[1], individuals)
        limits[-1] = new
        return 1 - probabilities <= limits

    @property
    def tells_new(self) -> bool:
        """Whether new animals can be told from known ones; False if the interval holds 0.5."""
        pair = self.facts.get('open_set', {}).get('intervals', {}).get('AUROC')
        return pair is None or pair[0] > 0.5

    def thresholds(self, rate: float) -> tuple[float, float]:
        """Return the thresholds of :func:`decide` at a stated error rate.

        At most ``rate`` of the new animals of the fit have a P(best) above the first, and at most
        ``rate`` of its known ones a P(new) above the second, as single photos and as whole
        encounters: then the rate holds for bursts between them, too. If new animals cannot be told
        from known ones, nothing is above the second.

        Raises:
            InputError: The fit had too few animals for this rate.
        """
        check_rate(self.fewest, rate)
        accept = max(0.0, *(threshold_at(each.new_scores, rate) for each in self.errors))
        if not self.tells_new:
            return accept, 1.0
        return accept, max(0.0, *(threshold_at(each.new_doubts, rate) for each in self.errors))

    @property
    def fewest(self) -> int:
        """The smallest number of queries behind an error rate; rates below 1 / it are rejected."""
        counts = [min(len(each.new_scores), len(each.new_doubts)) for each in self.errors]
        return min(counts, default=0)

    def with_facts(self, **facts: Any) -> 'Calibrator':
        """Return the calibrator with more facts."""
        return replace(self, facts={**self.facts, **facts})


def decide(best: np.ndarray, new: np.ndarray, accept: float, reject: float) -> np.ndarray:
    """Return 'known', 'new' or 'unsure' (Q,); an answer must also be more likely than not.

    Args:
        best: (Q,), the probability of the best individual.
        new: (Q,), that of a new one.
        accept: 'known' above this ``best``.
        reject: Else 'new' above this ``new``.
    """
    is_known, is_new = best > max(accept, LIKELY), new > max(reject, LIKELY)
    return np.select([is_known, is_new], ['known', 'new'], 'unsure')


def inputs_of(answers: Answers, kind: str, alpha: float) -> np.ndarray:
    """Return the inputs (Q, D) of the regressions, named by INPUTS.

    A sum of log likelihood ratios a · s + b over n photos, divided by n^α, is
    n^(1 - α) · (a · mean s + b). So the mean similarity is multiplied by that power, which is an
    input itself; it is 1 for single photos.

    Args:
        answers: The answers.
        kind: A key of INPUTS.
        alpha: α, 0 … 1.
    """
    evidence = evidence_of(answers, alpha)
    columns = [evidence * answers.score, evidence]
    if kind == 'logistic':
        counts = np.log(np.maximum(answers.photos, 1)), np.log(np.maximum(answers.catalogue, 1))
        columns += [evidence * answers.gap, *counts]
    return np.column_stack(columns)


def evidence_of(answers: Answers, alpha: float) -> np.ndarray:
    """Return how many independent photos the n photos of a query are worth: n^(1 - α), (Q,)."""
    return answers.size.astype(float) ** (1 - alpha)


def shared_rest(weights: np.ndarray, rest: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Share a rest among the other individuals by their weights; none gets more than ``most``.

    Where the largest share would exceed it, the shares are made more equal, as far as needed.

    Args:
        weights: (Q, N), 0 for the best individual and those that a query is not compared with.
        rest: (Q,), at most ``most`` times the number of the others.
        most: (Q,).
    """
    others = weights > 0
    count, total = np.maximum(others.sum(axis=1), 1), weights.sum(axis=1)
    shares = np.divide(weights, total[:, None], where=others, out=np.zeros(weights.shape))
    limit = np.divide(most, rest, where=rest > 0, out=np.ones(len(rest)))
    largest = shares.max(axis=1, initial=0.0)
    room = largest - 1 / count
    drawn = np.divide(largest - limit, room, where=room > 0, out=np.zeros(len(rest)))
    drawn = np.clip(drawn, 0, 1)[:, None]
    return rest[:, None] * ((1 - drawn) * shares + drawn * others / count[:, None])


def with_share(probabilities: np.ndarray, fitted: float, share: float) -> np.ndarray:
    """Correct probabilities for another base rate: logit p + logit share - logit fitted."""
    shift = logit(np.array(share)) - logit(np.array(fitted))
    return sigmoid(logit(probabilities) + shift)


def accepted(probabilities: np.ndarray) -> np.ndarray:
    """Return whether the most probable label of each row (Q, N + 1) is an individual."""
    return probabilities[:, :-1].max(axis=1) > probabilities[:, -1]


def trust_notes(calibrator: Calibrator, individuals: int) -> list[str]:
    """Return warnings about a calibrator as sentences; [] if there are none.

    Args:
        calibrator: A calibrator made by ``fit_calibrator``.
        individuals: The number of individuals in the catalogue now.
    """
    fitted, measures = calibrator.facts['catalogue'], calibrator.facts['open_set']
    notes = []
    pair = measures['intervals'].get('AUROC')
    if pair is None or pair[0] <= 0.5:
        notes.append(told_apart(measures['values']['AUROC'], pair))
        notes.append('So nearly all answers are unsure: compare the photos yourself.')
    if individuals > GROWN * fitted:
        notes.append(
            f'The catalogue has grown from {fitted} to {individuals} individuals since the '
            'calibration, so false matches are more frequent than stated: calibrate again.'
        )
    return notes


def told_apart(auroc: float | None, pair: Interval | None) -> str:
    """Return a sentence: can new animals be told from known ones, judging by the interval?

    Args:
        auroc: The AUROC; None = not defined.
        pair: Its interval; None = none.
    """
    if auroc is None:
        return 'Whether new animals can be told from known ones was not tested.'
    if pair is None:
        return (
            'Too few individuals to say whether new animals can be told from known ones (AUROC '
            f'{auroc:.2f}; 0.5 is guessing).'
        )
    can = 'tell' if pair[0] > 0.5 else 'cannot tell'
    return (
        f'These weights {can} new animals from known ones: AUROC {auroc:.2f} [{pair[0]:.2f}, '
        f'{pair[1]:.2f}]; 0.5 is guessing.'
    )
