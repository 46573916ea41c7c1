"""Curves of the report: the CMC curve of a test, and the losses of its training."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.intervals import Average, interval, resample
from utils.ranking import Ranking
from wildlife.report.events import read_events

MOST_RANKS = 50
TITLES = {'stage1_epoch': 'Stage 1', 'stage2_epoch': 'Stage 2', 'validation': 'Validation'}

Points = list[tuple[int, float]]  # (epoch, value)


@dataclass(frozen=True)
class Cmc:
    """The share of queries with a match among the first k photos, for k = 1 … K.

    Attributes:
        share: (K,).
        band: The limits (K,) of the 95 % interval; None without intervals.
        chance: (K,), of a random ranking.
    """

    share: np.ndarray
    band: tuple[np.ndarray, np.ndarray] | None
    chance: np.ndarray


def cmc_curve(ranking: Ranking, identities: np.ndarray, draws: int, seed: int) -> Cmc:
    """Return the cumulative match curve (CMC) of a ranking.

    Args:
        ranking: The results of Q queries, of which at least one counts.
        identities: (Q,), the individual of each query.
        draws: The number of draws of the bootstrap over individuals; 0 = no band.
        seed: The seed of the draws.
    """
    counted = ranking.counted.astype(float)
    last = int(min(MOST_RANKS, max(1, ranking.compared.max())))
    averages = {}
    for rank in range(1, last + 1):
        averages[str(rank)] = Average(ranking.found_within(rank).astype(float), counted)
    band = None
    if draws:
        drawn = resample(averages, identities, draws, seed).values()
        pairs = [interval(values) or (np.nan, np.nan) for values in drawn]
        low, high = np.transpose(pairs)
        band = low, high
    share = np.array([average.mean() for average in averages.values()])
    return Cmc(share, band, _chance(ranking, last))


def _chance(ranking: Ranking, last: int) -> np.ndarray:
    """Return the expected CMC (last,) of random rankings: 1 - C(N - p, k) / C(N, k).

    N is the number of photos compared and p that of the positives.
    """
    compared, positives = ranking.compared[ranking.counted], ranking.positives[ranking.counted]
    missed, shares = np.ones(len(compared)), []
    for drawn in range(last):
        others = np.maximum(compared - positives - drawn, 0)
        still = np.where(positives > 0, others / np.maximum(compared - drawn, 1), 1.0)
        missed *= still  # without a positive, a query never finds one
        shares.append(1 - missed.mean())
    return np.array(shares)


def training_curves(folder: Path) -> dict[str, dict[str, Points]]:
    """Return the curves of the training in a folder, from its metrics.jsonl.

    Returns:
        'Stage 1', 'Stage 2' -> loss and its terms; 'Validation' -> mAP. Each is a dict of points by
        name. Empty curves are left out; {} if there was no training.
    """
    curves: dict[str, dict[str, Points]] = defaultdict(lambda: defaultdict(list))
    for event in read_events(folder):
        title = TITLES.get(event['event'])
        for name, value in event.items():
            if title and _is_drawn(name, value):
                curves[title][name].append((event['epoch'], value))
    return {title: dict(lines) for title, lines in curves.items()}


def _is_drawn(name: str, value: object) -> bool:
    """Return whether a fact of an epoch belongs to a curve: a loss or mAP that is finite."""
    if name not in ('loss', 'mAP') and not name.endswith('_loss'):
        return False
    return isinstance(value, int | float) and bool(np.isfinite(value))
