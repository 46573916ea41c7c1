"""Made-up figures and features, for tests of measures and words."""

from types import SimpleNamespace

import numpy as np
import torch

from datasets.loaders import TestSet, Trial
from datasets.protocols import PROTOCOLS
from datasets.records import Record
from wildlife.diagnosis.figures import Figure
from wildlife.diagnosis.material import Material

INDIVIDUALS, PHOTOS = 14, 6  # of each; two encounters of three photos; sides alternate


def records():
    return [
        Record(f'{pid}/{number}.png', pid, side=number % 2, encounter=2 * pid + number // 3)
        for pid in range(INDIVIDUALS)
        for number in range(PHOTOS)
    ]


def features(identity, encounter, side, seed=0, length=64):
    """(N, D) features: noise and, with these weights, what individual, encounter, side share."""
    rng = np.random.default_rng(seed)
    photos = records()
    rows = rng.normal(size=(len(photos), length))
    parts = ((identity, 'pid'), (encounter, 'encounter'), (side, 'side'))
    for weight, name in parts:
        shared = rng.normal(size=(2 * INDIVIDUALS, length))
        rows += weight * shared[[getattr(photo, name) for photo in photos]]
    return torch.tensor(rows, dtype=torch.float32)


def material(whole, protocol='all', mirrored=None, draws=300, **parts):
    """The material of a test in which all photos are queries and gallery."""
    photos = records()
    everyone = torch.arange(len(photos))
    trial = Trial(photos, photos, everyone, everyone)
    loader = SimpleNamespace(dataset=SimpleNamespace(records=photos))
    test = TestSet(loader, photos, photos, PROTOCOLS[protocol], {}, [trial])
    views = {'whole': whole, 'mirrored': whole if mirrored is None else mirrored, **parts}
    return Material(test, views, True, 'cosine', draws)


def figures(**values):
    """Name -> figure; a value is (value, low, high), or a number without interval.

    '_minus_' in a name stands for ' - ', '_of_' for '/', '_' for ' '.
    """
    found = {}
    for name, value in values.items():
        name = name.replace('_minus_', ' - ').replace('_of_', '/').replace('_', ' ')
        if isinstance(value, tuple):
            found[name] = Figure(value[0], value[1:])
        else:
            found[name] = Figure(value)
    return found
