"""Curves of the report: the CMC curve of a test, and the losses of its training."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils.intervals import Average, interval, resample
from utils.ranking import Ranking

MOST_RANKS = 50
TITLES = {'stage1_epoch': 'Stage 1', 'stage2_epoch': 'Stage 2', 'validation': 'Validation'}

Points = list[tuple[int, float]]  # (epoch, value)


@dataclass(frozen=True)
class Cmc:
    """The share of queries with a match among the first k photos, for k = 1 … K.

    Attributes:
        share: (K,).
        band: The limits (K,) of the 95% interval; None without intervals.
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
        found = (ranking.first_hit > 0) & (ranking.first_hit <= rank)
        averages[str(rank)] = Average(found.astype(float), counted)
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
    counted = ranking.counted
    compared, others = ranking.compared[counted], (ranking.compared - ranking.positives)[counted]
    missed, shares = np.ones(len(compared)), []
    for drawn in range(last):
        missed *= np.maximum(others - drawn, 0) / np.maximum(compared - drawn, 1)
        shares.append(1 - missed.mean())
    return np.array(shares)


def training_curves(path: Path) -> dict[str, dict[str, Points]]:
    """Read the curves of a training run from its metrics.jsonl.

    Returns:
        'Stage 1', 'Stage 2' -> loss and its terms; 'Validation' -> mAP. Each is a dict of points by
        name. Empty curves are left out; {} if there is no file. Lines that cannot be read are
        skipped.
    """
    curves: dict[str, dict[str, Points]] = defaultdict(lambda: defaultdict(list))
    for line in _lines(path):
        title = TITLES.get(line.get('event', ''))
        for name in line:
            if title and (name in ('loss', 'mAP') or name.endswith('_loss')):
                curves[title][name].append((line['epoch'], line[name]))
    return {name: dict(lines) for name, lines in curves.items()}


def _lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl that are JSON objects with finite numbers."""
    try:
        texts = path.read_text(encoding='utf-8', errors='replace').splitlines()
    except OSError:
        return []
    lines = []
    for text in texts:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get('epoch'), int):
            lines.append({name: value for name, value in line.items() if _is_plain(value)})
    return lines


def _is_plain(value: object) -> bool:
    """Return whether a value can be drawn, or is a text."""
    return isinstance(value, str) or (isinstance(value, int | float) and bool(np.isfinite(value)))
