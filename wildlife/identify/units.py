"""Units: photos that get one answer, since they show one animal: bursts and encounters."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np

from wildlife.identify.answers import REMOVED
from wildlife.identify.gallery import Facts


class Dated(Facts, Protocol):
    """What decides which photos are answered together; of a catalogue, or new."""

    @property
    def path(self) -> str: ...
    @property
    def date(self) -> datetime | None: ...


def units_of(photos: Sequence[Dated], kind: str, minutes: float) -> list[list[int]]:
    """Return the units of photos, as indices.

    A photo of an unknown encounter is a unit by itself. So is each photo of a unit in which one
    file shows several animals: it is not known which of them the other photos show.

    Args:
        photos: The photos.
        kind: 'encounter' = all photos of an encounter; 'burst' = those of an encounter with
            shorter breaks than ``minutes`` (photos without a date stay together); 'photo' = none.
        minutes: The shortest break between two bursts.

    Returns:
        The units in the order of their first photos.
    """
    groups: dict[tuple[str, int], list[int]] = {}
    for place, photo in enumerate(photos):
        alone = kind == 'photo' or not photo.encounter
        groups.setdefault(('', place) if alone else (photo.encounter, 0), []).append(place)
    found = []
    for group in groups.values():
        bursts = _bursts(photos, group, timedelta(minutes=minutes)) if kind == 'burst' else [group]
        for burst in bursts:
            found += _apart(photos, burst)
    return sorted(found)


def _bursts(photos: Sequence[Dated], group: list[int], shortest: timedelta) -> list[list[int]]:
    """Divide an encounter where the time between two photos is at least ``shortest``."""
    bursts = [[place for place in group if photos[place].date is None]]
    last = datetime.min
    dated = [(taken, place) for place in group if (taken := photos[place].date)]
    for date, place in sorted(dated):
        if date - last >= shortest:
            bursts.append([])
        bursts[-1].append(place)
        last = date
    return [sorted(burst) for burst in bursts if burst]


def _apart(photos: Sequence[Dated], unit: list[int]) -> list[list[int]]:
    """Return the unit, or its photos one by one if a file shows several animals."""
    files = Counter(photos[place].path for place in unit)
    return [unit] if max(files.values()) == 1 else [[place] for place in unit]


def unit_means(scores: np.ndarray, sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean similarity of the photos of each unit, and how many photos it is based on.

    A photo that is not compared with an individual does not count in its mean.

    Args:
        scores: (Q, N), of the photos of U units, one unit after the other.
        sizes: U numbers of photos.

    Returns:
        (U, N) float32, REMOVED where no photo is compared; (U,) photos compared with anything.
    """
    starts = np.cumsum([0, *sizes[:-1]])
    compared = scores > REMOVED
    total = np.add.reduceat(np.where(compared, scores, 0.0), starts, axis=0)
    count = np.add.reduceat(compared.astype(int), starts, axis=0)
    means = np.full(total.shape, REMOVED, np.float32)
    np.divide(total, count, out=means, where=count > 0, casting='same_kind')
    return means, np.add.reduceat(compared.any(axis=1).astype(int), starts)
