"""Fits a calibrator on queries of known identity, and evaluates it on held-out individuals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from operator import itemgetter

import numpy as np

from utils.errors import InputError
from utils.logistic import fit_logistic, log_loss
from wildlife.identify.answers import REMOVED, Answers, Similarities, best_answers, joined
from wildlife.identify.calibration import (
    INPUTS,
    Calibrator,
    HeldOutErrors,
    accepted,
    inputs_of,
)
from wildlife.identify.judging import HeldOut, judge
from wildlife.identify.sets import set_limit

FEWEST = 20  # individuals with two encounters, below which a calibrator should not be trusted
FOLDS = 10
SMALLER = (0.5, 0.25)  # sizes of the smaller catalogues in ``leave_out``, as shares
LEAST_CATALOGUE = 4  # individuals
WHOLE = 0.9  # errors are stated for queries against at least this share of the catalogue
KEPT = 10_000  # most held-out numbers that a calibrator keeps
ALPHAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def leave_out(table: Similarities, seed: int) -> Similarities:
    """Return the photos of a catalogue as queries: known, new, and against smaller catalogues.

    For a query as new, the catalogue lacks its individual; as known, another one, so that the
    number of individuals does not tell which is which. A smaller catalogue lacks some individuals,
    chosen at random.

    Args:
        table: Every photo of the catalogue against all others, without pairs of one encounter.
        seed: The seed of the choice.
    """
    rng, count = np.random.default_rng(seed), len(table.labels)
    parts = [_without_another(table.take(table.known), rng), table.as_new()]
    for share in SMALLER:
        kept = rng.permutation(count) < max(round(share * count), LEAST_CATALOGUE)
        parts.append(table.compared(np.broadcast_to(kept, table.scores.shape)))
    both = joined(parts)
    return both.take(np.any(both.scores > REMOVED, axis=1))


def _without_another(table: Similarities, rng: np.random.Generator) -> Similarities:
    """Return the queries without one individual of the catalogue that they do not show.

    It is the same one for all photos of an animal, so that encounters stay together.
    """
    names, index = np.unique(table.individuals, return_inverse=True)
    chance = rng.random((len(names), len(table.labels)))
    chance[np.equal.outer(names, table.labels)] = -1.0
    kept = np.ones(chance.shape, bool)
    kept[np.arange(len(names)), chance.argmax(axis=1)] = False
    return table.compared(kept[index] | table.truth)


def fit_models(answers: Answers, kind: str, alpha: float = 1.0) -> Calibrator:
    """Fit the two regressions of a calibrator of one kind, without judging them.

    Args:
        answers: The answers to queries whose individuals the model was not trained on.
        kind: A key of ``calibration.INPUTS``.
        alpha: See ``Calibrator``.
    """
    inputs, scores = inputs_of(answers, kind, alpha), inputs_of(answers, 'platt', alpha)
    slope = float(fit_logistic(scores, answers.right).weights[0])
    return Calibrator(
        kind,
        right=fit_logistic(inputs, answers.right),
        known=fit_logistic(inputs, answers.known),
        share=float((answers.known.sum() + 1) / (len(answers.known) + 2)),
        sharpness=max(0.0, slope),
        alpha=alpha,
    )


def folds_of(table: Similarities, seed: int, folds: int = FOLDS) -> np.ndarray:
    """Return the fold (Q,) of each query; an individual is in one fold, both sides in all."""
    rng = np.random.default_rng(seed)
    ever_known = np.unique(table.individuals[table.known])
    never = np.setdiff1d(table.individuals, ever_known)
    fold: dict[int, int] = {}
    for side in (ever_known, never):
        for place, name in enumerate(rng.permutation(side).tolist()):
            fold[name] = place % folds
    return np.array([fold[name] for name in table.individuals.tolist()])


def cross_fit(table: Similarities, kind: str, folds: np.ndarray, alpha: float = 1.0) -> HeldOut:
    """Return the probabilities of every query by a calibrator fitted on the other folds."""
    answers, count = best_answers(table), len(table.individuals)
    best, new, truth = np.zeros((3, count))
    found = HeldOut(best, new, truth, np.zeros(count, bool))
    for fold in np.unique(folds):
        rows = folds == fold
        part = held_out(fit_models(answers.take(~rows), kind, alpha), table.take(rows))
        for name, values in vars(part).items():
            getattr(found, name)[rows] = values
    return found


def held_out(calibrator: Calibrator, table: Similarities, share: float | None = None) -> HeldOut:
    """Return the probabilities of queries whose individuals were not used for the fit.

    Args:
        calibrator: The calibrator.
        table: The queries.
        share: The share of known animals to expect, for the probabilities; ``accepted`` ignores it.
            None = as in the fit.
    """
    plain = calibrator.label_probabilities(table)
    p = plain if share is None else calibrator.label_probabilities(table, share)
    truth = (p[:, :-1] * table.truth).sum(axis=1)
    return HeldOut(
        best=p[:, :-1].max(axis=1),
        new=p[:, -1],
        truth=np.where(table.known, truth, p[:, -1]),
        accepted=accepted(plain),
    )


def fit_calibrator(
    table: Similarities, stated: Sequence[np.ndarray] = (), draws: int = 1000, seed: int = 0
) -> Calibrator:
    """Fit a calibrator, and judge it on held-out individuals.

    The kind and ``alpha`` with the lowest held-out log loss, of [right] and of [known], are taken.

    Args:
        table: Queries of individuals that the model was not trained on: some with the catalogue,
            some without their individual (see :func:`leave_out`), no pair of one encounter.
        stated: Masks (Q,) of the queries by which errors are stated, such as single photos and
            whole encounters; () = all. Only those compared with almost the whole catalogue count.
            The facts are those of the last mask.
        draws: Draws of the intervals of the open-set measures.
        seed: The seed of folds and draws.

    Returns:
        The calibrator. Its facts are 'individuals', 'queries' (as first photos), 'catalogue' (most
        individuals that a query was compared with), 'log_loss' of each kind, and those of
        :func:`judge`.

    Raises:
        InputError: All queries are known, or all are new.
    """
    answers, choice = best_answers(table), choose_kind(table, folds_of(table, seed))
    whole = answers.catalogue >= WHOLE * answers.catalogue.max()
    masks = [whole & each for each in stated] or [whole]
    parts = [(table.take(mask), choice.found.take(mask)) for mask in masks]
    limits = np.max([set_limits(*part, seed) for part in parts], axis=0)
    fitted = replace(
        fit_models(answers, choice.kind, choice.alpha),
        set_limits=tuple(limits.tolist()),
        errors=tuple(_errors(*part) for part in parts),
    )
    return fitted.with_facts(
        individuals=len(np.unique(table.individuals)),
        queries=len(np.unique(table.queries)),
        catalogue=int(answers.catalogue.max()),
        log_loss=choice.losses,
        **judge(*parts[-1], draws, seed),
    )


def set_limits(table: Similarities, found: HeldOut, seed: int) -> tuple[float, float]:
    """Return the limits of the sets, for individuals and for "new".

    Each is of the queries with such a truth (label-conditional): how many animals are new differs
    from season to season, and a single limit would let one side pay for the other.
    """
    sides = (table.known, ~table.known)
    of_known, of_new = (
        set_limit(1 - found.truth[side], table.individuals[side], seed) for side in sides
    )
    return of_known, of_new


def _errors(table: Similarities, found: HeldOut) -> HeldOutErrors:
    known = table.known
    return HeldOutErrors(_sorted_sample(found.best[~known]), _sorted_sample(found.new[known]))


@dataclass(frozen=True)
class Choice:
    """The best kind of calibrator.

    Attributes:
        kind: A key of ``calibration.INPUTS``.
        alpha: See ``Calibrator``; 1 if all queries are single photos.
        found: Its held-out probabilities.
        losses: Kind -> lowest held-out log loss.
    """

    kind: str
    alpha: float
    found: HeldOut
    losses: dict[str, float]


def choose_kind(table: Similarities, folds: np.ndarray) -> Choice:
    """Choose kind and ``alpha`` by the held-out log loss.

    Raises:
        InputError: All queries are known, or all are new.
    """
    known = table.known
    if known.all() or not known.any():
        side = 'known' if known.all() else 'new'
        raise InputError(
            f'a calibrator needs photos of known and of new animals, but all {len(known)} queries '
            f'are {side}; add individuals with two encounters, or individuals that are not in the '
            'gallery'
        )
    alphas = ALPHAS if (table.sizes > 1).any() else (1.0,)
    answers = best_answers(table)
    tried = [
        (held_out_loss(answers, kind, folds, alpha), kind, alpha)
        for kind, alpha in product(INPUTS, alphas)
    ]
    losses: dict[str, float] = {}
    for loss, kind, _ in tried:
        losses[kind] = min(loss, losses.get(kind, loss))
    _, kind, alpha = min(tried, key=itemgetter(0))
    return Choice(kind, alpha, cross_fit(table, kind, folds, alpha), losses)


def held_out_loss(answers: Answers, kind: str, folds: np.ndarray, alpha: float = 1.0) -> float:
    """Return the log loss of [right] plus that of [known], each fold by a fit on the others."""
    best, known = np.zeros((2, len(folds)))
    for fold in np.unique(folds):
        rows = folds == fold
        made = fit_models(answers.take(~rows), kind, alpha)
        best[rows], known[rows] = made.best_and_known(answers.take(rows))
    return log_loss(best, answers.right) + log_loss(known, answers.known)


def _sorted_sample(values: np.ndarray) -> np.ndarray:
    """Return the values, sorted; of more than KEPT ones, evenly spaced quantiles."""
    if len(values) <= KEPT:
        return np.sort(values)
    return np.quantile(values, np.linspace(0, 1, KEPT))
