"""Fits a calibrator on queries whose individual is known; judged on individuals held out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from utils.errors import InputError
from utils.logistic import fit_logistic, log_loss, quality
from utils.open_sets import OpenSet, measure_open_set
from wildlife.identify.answers import REMOVED, Similarities, best_answers, joined
from wildlife.identify.calibration import KINDS, Calibrator, accepted, inputs_of
from wildlife.identify.encounters import encounter_means

FEWEST = 20  # individuals with two encounters, below which a calibrator should not be trusted
FOLDS = 10
SMALLER = (0.5, 0.25)  # sizes of the smaller catalogues in ``leave_out``, as shares
LEAST_CATALOGUE = 4  # individuals
WHOLE = 0.9  # errors are stated for queries against at least this share of the catalogue
COVERAGE = 0.95  # of the sets
SET_DRAWS = 200
KEPT = 10_000  # most held-out numbers that a calibrator keeps
ALPHAS = np.linspace(0, 1, 21)


@dataclass(frozen=True)
class HeldOut:
    """Probabilities of Q queries by calibrators that were not fitted on their individuals.

    Attributes:
        best: (Q,), of the best individual.
        new: (Q,), of "new".
        truth: (Q,), of the true label, which may be "new".
        accepted: (Q,) bool, whether the most probable label is an individual.
    """

    best: np.ndarray
    new: np.ndarray
    truth: np.ndarray
    accepted: np.ndarray

    def take(self, rows: np.ndarray) -> 'HeldOut':
        """Return some of the queries, by index or mask."""
        return HeldOut(self.best[rows], self.new[rows], self.truth[rows], self.accepted[rows])


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
    """Return the queries, each without one individual of the catalogue that it does not show."""
    chance = rng.random(table.scores.shape)
    chance[table.truth | (table.scores == REMOVED)] = -1.0
    kept = np.ones(chance.shape, bool)
    kept[np.arange(len(kept)), chance.argmax(axis=1)] = False
    return table.compared(kept | table.truth)


def fit_models(table: Similarities, kind: str) -> Calibrator:
    """Fit the two regressions of a calibrator of one kind, without judging them.

    Args:
        table: The queries, whose individuals the model was not trained on.
        kind: One of KINDS.
    """
    answers = best_answers(table)
    inputs, scores = inputs_of(answers, kind), inputs_of(answers, 'platt')
    slope = float(fit_logistic(scores, answers.right).weights[0])
    return Calibrator(
        kind,
        right=fit_logistic(inputs, answers.right),
        known=fit_logistic(inputs, answers.known),
        shares=(_inner_share(answers.right), _inner_share(answers.known)),
        sharpness=max(0.0, slope),
    )


def _inner_share(outcomes: np.ndarray) -> float:
    """Return the share of true outcomes, kept away from 0 and 1."""
    return float((outcomes.sum() + 1) / (len(outcomes) + 2))


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


def _by_fold(
    table: Similarities, kind: str, folds: np.ndarray
) -> Iterator[tuple[Calibrator, np.ndarray]]:
    """Yield a calibrator fitted without each fold, and the rows of the fold."""
    for fold in np.unique(folds):
        yield fit_models(table.take(folds != fold), kind), folds == fold


def cross_fit(table: Similarities, kind: str, folds: np.ndarray) -> HeldOut:
    """Return the probabilities of every query by the calibrator of the other folds."""
    count = len(table.individuals)
    best, new, truth = np.zeros((3, count))
    found = HeldOut(best, new, truth, np.zeros(count, bool))
    for calibrator, rows in _by_fold(table, kind, folds):
        part = held_out(calibrator, table.take(rows))
        for name, values in vars(part).items():
            getattr(found, name)[rows] = values
    return found


def held_out(calibrator: Calibrator, table: Similarities) -> HeldOut:
    """Return the probabilities of queries whose individuals were not used for the fit."""
    p = calibrator.label_probabilities(table)
    truth = (p[:, :-1] * table.truth).sum(axis=1)
    return HeldOut(
        best=p[:, :-1].max(axis=1),
        new=p[:, -1],
        truth=np.where(table.known, truth, p[:, -1]),
        accepted=accepted(p),
    )


def fit_calibrator(
    table: Similarities, encounters: np.ndarray | None = None, draws: int = 1000, seed: int = 0
) -> Calibrator:
    """Fit a calibrator, and judge it on held-out individuals.

    The kind with the lower held-out log loss, of [right] and of [known], is taken.

    Args:
        table: Queries of individuals that the model was not trained on: some with the catalogue,
            some without their individual (see :func:`leave_out`), no pair of one encounter.
        encounters: (Q,), the encounter of each query, for ``alpha``; negative = unknown. None =
            photos of an encounter count as one.
        draws: Draws of the intervals of the open-set measures.
        seed: The seed of folds and draws.

    Returns:
        The calibrator. Its facts are 'individuals', 'queries', 'catalogue' (most individuals that a
        query was compared with), 'log_loss' of each kind, and those of :func:`judge`.

    Raises:
        InputError: All queries are known, or all are new.
    """
    folds, catalogue = folds_of(table, seed), best_answers(table).catalogue
    kind, found, losses = choose_kind(table, folds)
    whole = catalogue >= WHOLE * catalogue.max()
    judged, found = table.take(whole), found.take(whole)
    alpha = 1.0 if encounters is None else fit_alpha(table, encounters, kind, folds)
    fitted = replace(
        fit_models(table, kind),
        alpha=alpha,
        set_limit=set_limit(1 - found.truth, judged.individuals, seed),
        new_scores=_sorted_sample(found.best[~judged.known]),
        new_doubts=_sorted_sample(found.new[judged.known]),
    )
    return fitted.with_facts(
        individuals=len(np.unique(table.individuals)),
        queries=len(np.unique(table.queries)),
        catalogue=int(catalogue.max()),
        log_loss=losses,
        **judge(judged, found, draws, seed),
    )


def choose_kind(table: Similarities, folds: np.ndarray) -> tuple[str, HeldOut, dict[str, float]]:
    """Return the kind with the lower held-out log loss, its probabilities, and all losses.

    Raises:
        InputError: All queries are known, or all are new.
    """
    known = table.known
    if known.all() or not known.any():
        side = 'known' if known.all() else 'new'
        raise InputError(
            f'a calibrator needs photos of known and of new animals, but all {len(known)} queries '
            f'are {side}; it needs individuals with two encounters, and individuals left out'
        )
    candidates = {kind: cross_fit(table, kind, folds) for kind in KINDS}
    losses = {kind: log_losses(table, found) for kind, found in candidates.items()}
    kind = min(KINDS, key=lambda each: losses[each])
    return kind, candidates[kind], losses


def log_losses(table: Similarities, found: HeldOut) -> float:
    """Return the log loss of [right] plus that of [known]."""
    answers = best_answers(table)
    return log_loss(found.best, answers.right) + log_loss(1 - found.new, answers.known)


def judge(table: Similarities, found: HeldOut, draws: int, seed: int) -> dict[str, Any]:
    """Return how good held-out probabilities are.

    Returns:
        'right' and 'known': see ``utils.logistic.quality``; 'open_set': see
        ``utils.open_sets.measure_open_set``, by the similarity, "new" if that is the likeliest
        label.
    """
    answers = best_answers(table)
    queries = OpenSet(
        table.individuals, answers.known, answers.right, answers.score, found.accepted
    )
    return {
        'right': quality(found.best, answers.right, table.individuals),
        'known': quality(1 - found.new, answers.known, table.individuals),
        'open_set': measure_open_set(queries, draws, seed),
    }


def set_limit(
    strangeness: np.ndarray, individuals: np.ndarray, seed: int, coverage: float = COVERAGE
) -> float:
    """Return the limit of split conformal sets (Vovk et al., 2005).

    It is the ⌈(n + 1) · coverage⌉-th smallest strangeness of n queries, one of each individual,
    since photos of an animal are alike; the mean over draws of these.

    Args:
        strangeness: (Q,), 1 - P(true label).
        individuals: (Q,).
        seed: The seed of the draws.
        coverage: The probability that the set has the truth.

    Returns:
        The limit; infinite if there are too few individuals for this coverage.
    """
    names, index = np.unique(individuals, return_inverse=True)
    place = int(np.ceil((len(names) + 1) * coverage)) - 1
    if place >= len(names):
        return np.inf
    rng, limits = np.random.default_rng(seed), []
    for _ in range(SET_DRAWS):
        order = rng.permutation(len(index))
        first = np.unique(index[order], return_index=True)[1]  # one query of each individual
        limits.append(np.partition(strangeness[order[first]], place)[place])
    return float(np.mean(limits))


def fit_alpha(table: Similarities, encounters: np.ndarray, kind: str, folds: np.ndarray) -> float:
    """Return how much photos of one encounter repeat each other, from held-out encounters.

    Args:
        table: The queries.
        encounters: (Q,), negative = unknown.
        kind: The kind of the calibrator.
        folds: (Q,), the fold of each query.
    """
    losses = np.zeros(len(ALPHAS))
    for calibrator, rows in _by_fold(table, kind, folds):
        part = rows & (encounters >= 0)
        if part.any():
            means, photos = encounter_means(table.take(part), encounters[part])
            losses += [_loss_at(calibrator, alpha, means, photos) for alpha in ALPHAS]
    return float(ALPHAS[losses.argmin()]) if losses.any() else 1.0


def _loss_at(
    calibrator: Calibrator, alpha: float, table: Similarities, photos: np.ndarray
) -> float:
    """Return the log losses of some encounters, summed over them."""
    p = replace(calibrator, alpha=float(alpha)).label_probabilities(table, photos)
    best = p[:, :-1].max(axis=1)
    found = HeldOut(best, p[:, -1], best, accepted(p))
    return len(best) * log_losses(table, found)


def _sorted_sample(values: np.ndarray) -> np.ndarray:
    """Return the values, sorted; of more than KEPT ones, evenly spaced quantiles."""
    if len(values) <= KEPT:
        return np.sort(values)
    return np.quantile(values, np.linspace(0, 1, KEPT))
