"""The photos of a catalogue's individuals, laid out for the search."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from datasets.records import NOBODY
from wildlife.catalogue.records import Photo
from wildlife.catalogue.store import Features

UNKNOWN = -1  # side of a photo


class Facts(Protocol):
    """What decides which photos a photo is not compared with; of a catalogue, or new."""

    @property
    def encounter(self) -> str: ...
    @property
    def side(self) -> int | None: ...


class Gallery:
    """The photos of known individuals.

    Args:
        features: The features of a catalogue.
        photos: Those of its photos that are compared; None = all with an individual.

    Attributes:
        matrix: (R, D) float32, L2-normalised, memory-mapped.
        names: The names of N individuals, sorted; an individual is called by its index here.
        individuals: (R,) int64, the individual of each row; NOBODY (-1) = the row is not compared.
        sides: (R,) int8, 0 left, 1 right, UNKNOWN.
        counts: (N,) int64, the number of photos of each individual.
    """

    def __init__(self, features: Features, photos: Sequence[Photo] | None = None):
        chosen = {photo.id for photo in (features.photos if photos is None else photos)}
        shown = [
            (row, photo)
            for row, photo in zip(features.rows.tolist(), features.photos, strict=True)
            if photo.individual and photo.id in chosen
        ]
        self.matrix = features.matrix
        self.names = sorted({photo.individual for _, photo in shown})
        number = {name: place for place, name in enumerate(self.names)}
        self._photos = dict(shown)
        self.individuals = np.full(len(self.matrix), NOBODY, np.int64)
        self.sides = np.full(len(self.matrix), UNKNOWN, np.int8)
        self._same: dict[str, list[int]] = {}
        for row, photo in shown:
            self.individuals[row] = number[photo.individual]
            self.sides[row] = side_of(photo)
            self._same.setdefault(f'file {photo.sha256}', []).append(row)
            if photo.encounter:
                self._same.setdefault(f'encounter {photo.encounter}', []).append(row)
        kept = self.individuals[self.individuals != NOBODY]
        self.counts = np.bincount(kept, minlength=len(self.names))
        self._by_individual = np.argsort(self.individuals, kind='stable')
        self._first = np.searchsorted(
            self.individuals[self._by_individual], np.arange(len(self.names) + 1)
        )

    def rows_of(self, individual: int) -> np.ndarray:
        """Return the rows of an individual."""
        start, stop = self._first[individual : individual + 2]
        return self._by_individual[start:stop]

    def photo(self, row: int) -> Photo:
        """Return the photo of a row that is compared."""
        return self._photos[row]

    def not_compared(self, photo: Facts, sha256: str) -> np.ndarray:
        """Return the sorted rows that a photo is not compared with.

        They are those of its own encounter, whose photos look alike whatever they show, and of its
        own file.
        """
        rows = self._same.get(f'file {sha256}', [])
        if photo.encounter:
            rows = rows + self._same.get(f'encounter {photo.encounter}', [])
        return np.unique(np.array(rows, np.int64))


def side_of(photo: Facts) -> int:
    """Return the side of a photo: 0 left, 1 right, UNKNOWN."""
    return UNKNOWN if photo.side is None else photo.side
