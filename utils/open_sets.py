"""Open-set measures: is this animal in the catalogue, and if so, which one is it?

K are the queries of individuals in the catalogue, U those of all others. A query's score is the
similarity of the best individual. The measures are those of ISO/IEC 19795-1 (FPIR, DIR), of Dhamija
et al., "Reducing Network Agnostophobia", NeurIPS 2018 (OSCR), of Wang et al., "OpenAUC", NeurIPS
2022 (its area), and of AnimalCLEF 2025 (BAKS, BAUS). All get worse as the catalogue grows, so state
its size.
"""

import decimal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from utils.errors import InputError
from utils.intervals import Average, macro

RATES = (0.01, 0.1)  # of false matches, for DIR@FAR
ROUNDING = 1e-9  # sums of weights may exceed a rate by this share


@dataclass(frozen=True)
class OpenSet:
    """The answers to Q queries.

    Attributes:
        individuals: (Q,) int, the individual that each query shows.
        known: (Q,) bool, whether the catalogue has it.
        right: (Q,) bool, whether the best individual is the right one; False for unknown ones.
        score: (Q,) float, the similarity of the best individual, or another score that grows.
        accepted: (Q,) bool, whether the best individual is the answer, and not "new".
    """

    individuals: np.ndarray
    known: np.ndarray
    right: np.ndarray
    score: np.ndarray
    accepted: np.ndarray

    def take(self, rows: np.ndarray) -> 'OpenSet':
        """Return some of the queries, by index or mask."""
        return OpenSet(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class Steps:
    """Sums of the weights of queries whose score reaches each threshold, for B draws.

    The T thresholds are the scores that occur, from the highest.

    Attributes:
        known: (B, T), of K.
        right: (B, T), of K whose best individual is the right one.
        unknown: (B, T), of U.
    """

    known: np.ndarray
    right: np.ndarray
    unknown: np.ndarray


def steps(queries: OpenSet, weights: np.ndarray) -> Steps:
    """Return the sums of weights (B, Q) of the queries at each threshold."""
    order = np.argsort(-queries.score, kind='stable')
    score = queries.score[order]
    last = np.flatnonzero(np.append(score[1:] != score[:-1], True))  # equal scores fall together
    weights = weights[:, order]
    known, right = queries.known[order], (queries.known & queries.right)[order]
    sums = [np.cumsum(weights * part, axis=1)[:, last] for part in (known, right, ~known)]
    return Steps(*sums)


def auroc(found: Steps) -> np.ndarray:
    """Return P(score of K > score of U) + ½ P(equal), (B,): how well scores separate the two."""
    beaten = found.unknown[:, -1:] - (found.unknown + _before(found.unknown)) / 2
    wins = (_own(found.known) * beaten).sum(axis=1)
    return _share(wins, found.known[:, -1] * found.unknown[:, -1])


def oscr_area(found: Steps) -> np.ndarray:
    """Return the mean over pairs (k, u) of [k is answered right] · [k scores higher], (B,)."""
    beaten = found.unknown[:, -1:] - found.unknown
    wins = (_own(found.right) * beaten).sum(axis=1)
    return _share(wins, found.known[:, -1] * found.unknown[:, -1])


def detection_rate(found: Steps, rate: float) -> np.ndarray:
    """Return DIR(1) at the lowest threshold whose FPIR is at most ``rate``, (B,).

    It is the share of K whose best individual is right and whose score reaches the threshold.
    """
    total = found.unknown[:, -1:]
    passed = (found.unknown <= (rate + ROUNDING) * total).sum(axis=1)
    right = np.concatenate([np.zeros((len(total), 1)), found.right], axis=1)
    reached = right[np.arange(len(total)), passed]
    return np.where(total[:, 0] > 0, _share(reached, found.known[:, -1]), np.nan)


def rank1(found: Steps) -> np.ndarray:
    """Return the share of K whose best individual is right, (B,), without any threshold."""
    return _share(found.right[:, -1], found.known[:, -1])


def oscr_curve(queries: OpenSet) -> tuple[np.ndarray, np.ndarray]:
    """Return FPIR (T + 1,) and CCR (T + 1,) at all thresholds, from the highest; the OSCR curve.

    FPIR is the share of U that is mistaken for a known individual. CCR is the share of K that is
    identified correctly. Both need a query.
    """
    found = steps(queries, np.ones((1, len(queries.score))))
    fpir = found.unknown[0] / found.unknown[0, -1]
    ccr = found.right[0] / found.known[0, -1]
    return np.append(0.0, fpir), np.append(0.0, ccr)


def threshold_at(unknown_scores: np.ndarray, rate: float) -> float:
    """Return the threshold that the score of another new animal *exceeds* with P = ``rate``.

    Of U scores, ⌊rate · (U + 1)⌋ - 1 exceed it: one more score has the same chance of each of U + 1
    ranks. With ⌊rate · U⌋, the chance would be up to (rate · U + 1) / (U + 1), twice the rate for
    few scores (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005).

    Args:
        unknown_scores: (U,), the scores of queries whose individual is not in the catalogue.
        rate: The rate of false matches, 0 … 1.

    Raises:
        InputError: The rate is below 1 / U, which so few queries cannot show.
    """
    check_rate(len(unknown_scores), rate)
    ordered = np.sort(unknown_scores)[::-1]
    passed = int(np.floor(rate * (len(ordered) + 1) + ROUNDING)) - 1
    return float(ordered[passed]) if passed < len(ordered) else -np.inf


def check_rate(unknown: int, rate: float) -> None:
    """Raise InputError if a rate of false matches cannot be shown by ``unknown`` queries."""
    if not 0 < rate <= 1 or rate * unknown < 1 - ROUNDING:
        lowest = f'from {lowest_rate(unknown)} to 1' if unknown else 'none'
        raise InputError(
            f'a false-match rate of {rate:g} cannot be measured with {unknown} queries of new '
            f'animals; rates that these data allow: {lowest}'
        )


def lowest_rate(unknown: int) -> str:
    """Return 1 / unknown with two digits, rounded up: the lowest rate that is allowed."""
    context = decimal.Context(prec=2, rounding=decimal.ROUND_UP)
    return f'{float(context.divide(1, unknown)):g}'


def _own(sums: np.ndarray) -> np.ndarray:
    return np.diff(sums, axis=1, prepend=0)


def _before(sums: np.ndarray) -> np.ndarray:
    return sums - _own(sums)


def _share(part: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Divide; NaN where the total is 0."""
    return np.divide(part, total, where=total > 0, out=np.full(np.shape(total), np.nan))


# ------------------------------------------------------------------------------------- all of them


def balanced(queries: OpenSet) -> dict[str, Average]:
    """Return BAKS and BAUS as averages over individuals.

    BAKS: over known individuals, the share of their queries answered with them. BAUS: over unknown
    individuals, the share answered "new".
    """
    values = {
        'BAKS': (queries.right & queries.accepted, queries.known),
        'BAUS': (~queries.accepted, ~queries.known),
    }
    return {
        name: macro(Average(value.astype(float), side.astype(float)), queries.individuals)
        for name, (value, side) in values.items()
    }


def geometric(means: Mapping[str, Any]) -> np.ndarray:
    """Return √(BAKS · BAUS), the measure of AnimalCLEF 2025."""
    return np.sqrt(np.asarray(means['BAKS']) * np.asarray(means['BAUS']))


def open_set_values(queries: OpenSet, rates: Sequence[float] = RATES) -> dict[str, float]:
    """Return every measure of the queries; NaN where a side has no query.

    A DIR@FAR is NaN if its rate is below 1 / |U|.
    """
    found = steps(queries, np.ones((1, len(queries.score))))
    values = {name: float(each[0]) for name, each in threshold_measures(found, rates).items()}
    unknown = int((~queries.known).sum())
    for rate in rates:
        if rate * unknown < 1 - ROUNDING:
            values[dir_name(rate)] = float('nan')
    means = {name: average.mean() for name, average in balanced(queries).items()}
    return values | means | {'sqrt': float(geometric(means))}


def dir_name(rate: float) -> str:
    """Return the name of DIR at a rate of false matches, such as 'DIR@0.01'."""
    return f'DIR@{rate:g}'


def threshold_measures(found: Steps, rates: Sequence[float]) -> dict[str, np.ndarray]:
    """Return the measures that depend on the scores, for B draws: name -> (B,)."""
    values = {'rank1': rank1(found), 'AUROC': auroc(found), 'OSCR': oscr_area(found)}
    return values | {dir_name(rate): detection_rate(found, rate) for rate in rates}
