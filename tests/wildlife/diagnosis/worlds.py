"""Made-up photos with masks: either the animal or the background has the individual's colour."""

import itertools

import numpy as np
from PIL import Image

from tests.helpers import World

INDIVIDUALS, PHOTOS = 12, 4
SIZE = (40, 30)  # width, height
COLOURS = list(itertools.product((40, 130, 220), repeat=3))  # of individuals: every other one


def photo(individual, number, decides):
    """A photo and its mask, (30, 40, 3) and (30, 40)."""
    rng = np.random.default_rng([individual, number])
    own = np.array(COLOURS[2 * individual])
    other = rng.integers(100, 156, 3)  # less different than individuals
    animal, background = (own, other) if decides == 'animal' else (other, own)
    mask = np.zeros(SIZE[::-1], dtype=bool)
    left, top = rng.integers(4, 12), rng.integers(4, 10)
    mask[top : top + 16, left : left + 24] = True
    pixels = np.where(mask[..., None], animal, background) + rng.normal(0, 8, (*mask.shape, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8), mask


class MaskedWorld(World):
    """Photos 0 and 2 are queries, 1 and 3 the gallery; an encounter is two photos.

    Sides are left, right, left, left.
    """

    def __init__(self, folder, weights, decides):
        super().__init__(folder, weights)
        self.masks = folder / 'masks'
        lines = {'query': [], 'gallery': []}
        for individual, number in itertools.product(range(INDIVIDUALS), range(PHOTOS)):
            pixels, mask = photo(individual, number, decides)
            name = f'{individual}/{number}'
            for root, image in (('test', pixels), ('masks', mask)):
                path = folder / root / f'{name}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
            split = ('query', 'gallery')[number % 2]
            encounter = 2 * individual + number // 2
            lines[split].append(f'{name}.png {individual} {int(number == 1)} - {encounter}')
        for split, text in lines.items():
            (folder / 'lists' / f'{split}.txt').write_text('\n'.join(text) + '\n')

    def args(self, *opts):
        usual = ('TEST.WEIGHT', 'start', 'TEST.BOOTSTRAP', 200)
        return super().args(*usual, *opts)
