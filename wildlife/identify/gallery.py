"""The gallery: the photos of a catalogue's individuals, arranged for the search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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


@dataclass(frozen=True)
class Gallery:
    """The photos of N known individuals, which are called by their index here.

    Attributes:
        matrix: (R, D) float32, L2-normalised, memory-mapped.
        names: The names of the individuals, sorted.
        individuals: (R,) int64, the individual of each row; NOBODY (-1) = the row is not compared.
        sides: (R,) int8, 0 left, 1 right, UNKNOWN.
        photos: Row -> photo, of the rows that are compared.
    """

    matrix: np.ndarray
    names: list[str]
    individuals: np.ndarray
    sides: np.ndarray
    photos: Mapping[int, Photo]

    @cached_property
    def counts(self) -> np.ndarray:
        """(N,) int64, the number of photos of each individual."""
        kept = self.individuals[self.individuals != NOBODY]
        return np.bincount(kept, minlength=len(self.names))

    @cached_property
    def _by_individual(self) -> list[np.ndarray]:
        """The rows of each individual."""
        order = np.argsort(self.individuals, kind='stable')
        first = np.searchsorted(self.individuals[order], np.arange(len(self.names)))
        return np.split(order, first)[1:]

    @cached_property
    def _same(self) -> dict[str, list[int]]:
        """The rows of each file and of each encounter."""
        found: dict[str, list[int]] = {}
        for row, photo in self.photos.items():
            found.setdefault(f'file {photo.sha256}', []).append(row)
            if photo.encounter:
                found.setdefault(f'encounter {photo.encounter}', []).append(row)
        return found

    def rows_of(self, individual: int) -> np.ndarray:
        """Return the rows of an individual."""
        return self._by_individual[individual]

    def not_compared(self, photo: Facts, sha256: str) -> np.ndarray:
        """Return the sorted rows that a photo is not compared with.

        They are those of its own encounter, whose photos look alike whatever they show, and of its
        own file, as far as they are known (not '').
        """
        rows = self._same.get(f'file {sha256}', []) if sha256 else []
        if photo.encounter:
            rows = rows + self._same.get(f'encounter {photo.encounter}', [])
        return np.unique(np.array(rows, np.int64))


def gallery_of(features: Features, photos: Sequence[Photo] | None = None) -> Gallery:
    """Return the photos of a catalogue that have an individual.

    Args:
        features: The features of the catalogue.
        photos: Those of its photos that are compared; None = all.
    """
    chosen = {photo.id for photo in (features.photos if photos is None else photos)}
    shown = {
        row: photo
        for row, photo in zip(features.rows.tolist(), features.photos, strict=True)
        if photo.individual and photo.id in chosen
    }
    names = sorted({photo.individual for photo in shown.values()})
    number = {name: place for place, name in enumerate(names)}
    individuals = np.full(len(features.matrix), NOBODY, np.int64)
    sides = np.full(len(features.matrix), UNKNOWN, np.int8)
    rows = list(shown)
    individuals[rows] = [number[photo.individual] for photo in shown.values()]
    sides[rows] = [side_of(photo) for photo in shown.values()]
    return Gallery(features.matrix, names, individuals, sides, shown)


def side_of(photo: Facts) -> int:
    """Return the side of a photo: 0 left, 1 right, UNKNOWN."""
    return UNKNOWN if photo.side is None else photo.side
