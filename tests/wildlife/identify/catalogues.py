"""Small catalogues whose features have individuals, encounters and noise, without a network."""

import hashlib

import numpy as np

from tests.wildlife.catalogue.worlds import ANNA, Encoder, write
from wildlife.catalogue.add import add_photos
from wildlife.catalogue.create import create_catalogue
from wildlife.catalogue.new_photos import NewPhoto, NewPhotos


def direction(text, length):
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], 'big')
    return np.random.default_rng(seed).normal(size=length)


class Animals(Encoder):
    """A centre for each individual, a shift of each encounter, and noise; 'Nala_2_0.png'.

    Args:
        skill: The length of the centres: 0 = individuals cannot be told apart.
    """

    def __init__(self, name='a', length=16, skill=3.0):
        super().__init__(name, length)
        self.skill = skill

    def vector(self, path, box):
        name, encounter, _ = path.rpartition('/')[2].split('_')
        found = self.skill * direction(f'{self.name} {name}', self.length)
        found = found + direction(f'{self.name} {name} {encounter}', self.length)
        found = found + 0.5 * direction(f'{path} {box}'.rpartition('/')[2], self.length)
        return (found / np.linalg.norm(found)).astype(np.float32)


def animals(folder, names, encounters=(0, 1, 2), count=2, named=True):
    """New photos of individuals in encounters, each with its own name 'Nala 0'."""
    found = [
        NewPhoto(
            write(folder, f'{name}_{encounter}_{number}'),
            encounter=f'{name} {encounter}',
            individual=name if named else '',
            side=number % 2,
        )
        for name in names
        for encounter in encounters
        for number in range(count)
    ]
    return NewPhotos(found, 'a folder', [], [])


def herd(count, first=0):
    """Names 'A00' … that sort as they are numbered."""
    return [f'A{number:02d}' for number in range(first, first + count)]


def make_herd(folder, count=24, encoder=None):
    """A catalogue of individuals with three encounters of two photos each."""
    (folder / 'c').mkdir()
    catalogue = create_catalogue(folder / 'c', ANNA, 'animal', 0.05)
    add_photos(catalogue, ANNA, animals(folder / 'photos', herd(count)), encoder or Animals())
    return catalogue
