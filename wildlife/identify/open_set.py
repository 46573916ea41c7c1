"""The open-set test: measures of answers, decisions and probabilities, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from utils.errors import InputError
from utils.intervals import LEAST_INDIVIDUALS, Average, Interval, interval, resample
from utils.logistic import Reliability, reliability
from utils.open_set_intervals import defined
from utils.open_sets import ROUNDING, OpenSet, dir_name, threshold_at
from wildlife.identify.answers import Answers, Similarities, best_answers
from wildlife.identify.calibration import Calibrator, decide, told_apart
from wildlife.identify.fitting import choose_kind, folds_of, held_out
from wildlife.identify.judging import HeldOut, judge

RATES = (0.01, 0.05, 0.1)  # of errors, at which decisions are tested
NAMES = {  # rows of the report: measure -> its name for people
    'rank1': 'rank-1 of known animals',
    'AUROC': 'AUROC, known or new',
    'OSCR': 'OSCR, area',
    **{dir_name(rate): f'DIR at {100 * rate:g} % false matches' for rate in (0.01, 0.1)},
    'BAKS': 'BAKS, known animals identified correctly',
    'BAUS': 'BAUS, new animals called new',
    'sqrt': '√(BAKS · BAUS)',
    'right/ECE': 'ECE of P(best)',
    'right/Brier': 'Brier score of P(best)',
    'right/log loss': 'log loss of P(best)',
    'known/ECE': 'ECE of P(known)',
    'known/Brier': 'Brier score of P(known)',
    'known/log loss': 'log loss of P(known)',
}
LOSSES = ('ECE', 'Brier', 'log loss')  # smaller is better


@dataclass(frozen=True)
class Row:
    """A measure.

    Attributes:
        name: Its name in open_set.json.
        text: Its name for people.
        value: The value, None = not defined.
        pair: Its interval over individuals; None = none.
        no_skill: What guessing would reach; None = not defined.
        spread: The standard deviation over draws of individuals; None for a single test.
        rate: The stated rate of errors of decisions; None = it is not about decisions.
    """

    name: str
    text: str
    value: float | None
    pair: Interval | None
    no_skill: float | None = None
    spread: float | None = None
    rate: float | None = None

    @property
    def label(self) -> str:
        """Its name for people, with the stated rate."""
        stated = '' if self.rate is None else f'at a stated rate of {percent(self.rate)}: '
        return f'{stated}{self.text}'

    @property
    def is_loss(self) -> bool:
        """Whether smaller is better."""
        return self.name.rpartition('/')[2] in LOSSES


def percent(rate: float) -> str:
    """Return a rate as '5 %'."""
    return f'{100 * rate:g} %'


@dataclass(frozen=True)
class OpenSetTest:
    """Q queries with held-out probabilities.

    Attributes:
        table: The similarities.
        answers: The best individual of each.
        found: Probabilities by calibrators that were not fitted on the query's individual.
        decisions: Rate of errors -> 'known', 'new' or 'unsure' (Q,), for the rates that the fit
            allows.
    """

    table: Similarities
    answers: Answers
    found: HeldOut
    decisions: dict[float, np.ndarray]

    @property
    def queries(self) -> OpenSet:
        """The answers for ``utils.open_sets``, by similarity."""
        answers = self.answers
        facts = (answers.individuals, answers.known, answers.right, answers.score)
        return OpenSet(*facts, self.found.accepted)

    def bins(self) -> Reliability:
        """Return the reliability of P(best)."""
        return reliability(self.found.best, self.answers.right)


def open_set_test(
    calibrator: Calibrator, table: Similarities, share: float | None = None
) -> OpenSetTest:
    """Test a calibrator on individuals that it was not fitted on.

    Args:
        calibrator: The calibrator.
        table: The queries.
        share: The share of known animals to expect, for the probabilities; None = as in the fit.
            Decisions do not depend on it, since errors are stated for each side by itself.
    """
    plain, decisions = held_out(calibrator, table), {}
    for rate in RATES:
        if _allows(rate, calibrator.fewest, calibrator.fewest):
            decisions[rate] = decide(plain.best, plain.new, *calibrator.thresholds(rate))
    found = plain if share is None else held_out(calibrator, table, share)
    return OpenSetTest(table, best_answers(table), found, decisions)


def cross_fitted_test(table: Similarities, seed: int = 0) -> OpenSetTest:
    """Calibrate and test on the same queries: each by those of other individuals.

    Raises:
        InputError: All queries are known, or all are new.
    """
    folds = folds_of(table, seed)
    found = choose_kind(table, folds).found
    known, decisions = table.known, {}
    others = [known[folds != fold] for fold in np.unique(folds)]
    new = min(int((~each).sum()) for each in others)
    kept = min(int(each.sum()) for each in others)
    for rate in RATES:
        if _allows(rate, new, kept):
            decisions[rate] = _decide_by_fold(found, known, folds, rate)
    return OpenSetTest(table, best_answers(table), found, decisions)


def _allows(rate: float, new: int, known: int) -> bool:
    return rate * min(new, known) >= 1 - ROUNDING


def _decide_by_fold(
    found: HeldOut, known: np.ndarray, folds: np.ndarray, rate: float
) -> np.ndarray:
    """Decide with the thresholds of the other folds."""
    decisions = np.full(len(known), 'unsure')
    for fold in np.unique(folds):
        own, others = folds == fold, folds != fold
        thresholds = (
            threshold_at(found.best[others & ~known], rate),
            threshold_at(found.new[others & known], rate),
        )
        decisions[own] = decide(found.best[own], found.new[own], *thresholds)
    return decisions


# -------------------------------------------------------------------------------------------- rows


def measure_rows(test: OpenSetTest, draws: int, seed: int = 0) -> list[Row]:
    """Return the measures of a test.

    Args:
        test: The test.
        draws: Draws of the bootstrap over individuals; 0 = no intervals of these measures.
        seed: The seed of the draws.
    """
    judged = judge(test.table, test.found, draws, seed)
    found = judged['open_set']
    parts = {'': found, 'right/': judged['right'], 'known/': judged['known']}
    rows = []
    for prefix, part in parts.items():
        for name, value in part['values'].items():
            pair, guess = part['intervals'].get(name), part['no_skill'][name]
            rows.append(Row(prefix + name, NAMES[prefix + name], value, pair, guess))
    order = list(NAMES)
    rows.sort(key=lambda row: order.index(row.name))
    for rate, decisions in test.decisions.items():
        rows += decision_rows(test.answers, decisions, rate, draws, seed)
    return rows


def decision_rows(
    answers: Answers, decisions: np.ndarray, rate: float, draws: int, seed: int = 0
) -> list[Row]:
    """Return how often decisions at a stated error rate are wrong, and how often one is made.

    Args:
        answers: Q answers.
        decisions: (Q,), 'known', 'new' or 'unsure'.
        rate: The stated rate.
        draws: Draws of the bootstrap over individuals.
        seed: The seed of the draws.
    """
    known, everyone = answers.known, np.ones(len(answers.known), bool)
    named = decisions == 'known'
    shares = {
        'false matches': ('new animals mistaken for known ones', named, ~known),
        'false new': ('known animals called new', decisions == 'new', known),
        'wrong name': ('known animals given a wrong name', named & ~answers.right, known),
        'answered': ('queries answered (not unsure)', decisions != 'unsure', everyone),
    }
    rows = []
    for name, (text, what, among) in shares.items():
        average = Average(what.astype(float), among.astype(float))
        pair = _interval_of(average, answers.individuals, draws, seed)
        value = average.mean()
        rows.append(Row(f'{name}@{rate:g}', text, defined(value), pair, rate=rate))
    return rows


def _interval_of(
    average: Average, individuals: np.ndarray, draws: int, seed: int
) -> Interval | None:
    counted = len(np.unique(individuals[average.weights > 0]))
    if not draws or counted < LEAST_INDIVIDUALS:
        return None
    return interval(resample({'': average}, individuals, draws, seed)[''])


def mean_rows(tests: Sequence[Sequence[Row]]) -> list[Row]:
    """Return the means over draws of individuals, with the mean limits of their intervals.

    A measure that is not defined in some draws is averaged over the others.
    """
    by_name: dict[str, list[Row]] = {}
    for rows in tests:
        for row in rows:
            by_name.setdefault(row.name, []).append(row)
    means = []
    for rows in by_name.values():
        values = [row.value for row in rows if row.value is not None]
        pairs = [row.pair for row in rows if row.pair is not None]
        guesses = [row.no_skill for row in rows if row.no_skill is not None]
        means.append(
            replace(
                rows[0],
                value=float(np.mean(values)) if values else None,
                pair=tuple(np.mean(pairs, axis=0).tolist()) if pairs else None,
                no_skill=float(np.mean(guesses)) if guesses else None,
                spread=float(np.std(values)) if values else None,
            )
        )
    return means


def check_both_sides(table: Similarities) -> None:
    """Check that there are queries of known and of new individuals.

    Raises:
        InputError: All are known, or all are new.
    """
    known = table.known
    if len(known) and known.any() and not known.all():
        return
    side = 'known' if len(known) and known.all() else 'new'
    raise InputError(
        f'an open-set test needs queries of known and of new individuals, but all {len(known)} '
        f'usable queries are of {side} ones; make lists with python -m tools.make_lists --protocol '
        'open, or split the individuals of these lists at random with --draws 30'
    )


def sentences(rows: Sequence[Row], catalogue: float, unit: str) -> list[str]:
    """Return the result in sentences.

    Args:
        rows: The measures.
        catalogue: The number of individuals in the catalogue; a mean over draws.
        unit: What was asked: a 'photo' or an 'encounter'.
    """
    found = {row.name: row for row in rows}
    words = [told_apart(found['AUROC'].value, found['AUROC'].pair)]
    top, named = found['rank1'], found['sqrt']
    if top.value is not None:
        words.append(
            f'Rank-1: for {100 * top.value:.0f} % of the {unit}s of known animals, the most '
            f'similar of {catalogue:g} individuals is the right one.'
        )
    if named.value is not None and named.no_skill is not None:
        words.append(
            f'√(BAKS · BAUS) is {named.value:.2f}; it would be {named.no_skill:.2f} if a coin '
            'decided which animals are new.'
        )
    return words


def as_dicts(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Return the rows for JSON: measure -> value, low, high, no_skill, sd."""
    found = {}
    for row in rows:
        low, high = row.pair or (None, None)
        facts = {'value': row.value, 'low': low, 'high': high}
        found[row.name] = facts | {'no_skill': row.no_skill, 'sd': row.spread}
    return found
