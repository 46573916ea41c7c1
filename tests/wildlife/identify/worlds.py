"""Made-up features of individuals: a centre for each, shifts of encounters, and noise."""

import numpy as np
import torch

from datasets.records import Record
from wildlife.identify.answers import Similarities


def photos(individuals=30, encounters=3, each=4, noise=1.0, seed=0, dimension=16):
    """Return features (N, D) and N records.

    Args:
        noise: How much encounters and photos differ, beside centres of length 4.
    """
    rng = np.random.default_rng(seed)
    features, records = [], []
    for individual in range(individuals):
        centre = rng.normal(size=dimension)
        for encounter in range(encounters):
            place = centre + 0.5 * noise * rng.normal(size=dimension)
            for photo in range(each):
                features.append(place + 0.3 * noise * rng.normal(size=dimension))
                path = f'{individual}/{encounter}_{photo}.png'
                records.append(Record(path, individual, encounter=individual * 100 + encounter))
    return torch.from_numpy(np.array(features, dtype=np.float32)), records


def random_table(seed=0, individuals=12, photos_each=5, skill=2.0, unknown=0):
    """Similarities of N individuals; those of ``unknown`` further ones are not in the catalogue.

    Args:
        skill: How many standard deviations the right individual is more similar.
    """
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(individuals + unknown), photos_each)
    labels = np.arange(individuals)
    scores = rng.normal(size=(len(who), individuals))
    scores += skill * np.equal.outer(who, labels)
    counts = rng.integers(1, 9, individuals)
    return table_of(scores / 10, labels, who, counts)


def table_of(scores, labels, individuals, photos=None):
    """Single photos as queries."""
    photos = np.ones(len(labels), int) if photos is None else photos
    numbers, sizes = np.arange(len(individuals)), np.ones(len(individuals), int)
    scores = np.asarray(scores, dtype=np.float32)
    return Similarities(scores, labels, photos, np.asarray(individuals), numbers, sizes)
