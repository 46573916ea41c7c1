"""Which photos are answered together."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from wildlife.catalogue.new_photos import NewPhoto
from wildlife.identify.answers import REMOVED
from wildlife.identify.units import unit_means, units_of

START = datetime(2026, 5, 1, 6, 0)


def photo(path, encounter='', seconds=None):
    date = None if seconds is None else START + timedelta(seconds=seconds)
    return NewPhoto(path, encounter=encounter, date=date)


PHOTOS = [
    photo('a', 'cam1 2026-05-01', 0),
    photo('b', 'cam1 2026-05-01', 59),
    photo('c', 'cam2 2026-05-01', 10),
    photo('d', 'cam1 2026-05-01', 130),
    photo('e'),
    photo('f', 'sighting 7'),
    photo('g', 'sighting 7'),
    photo('h', 'cam1 2026-05-01', 189),
    photo('i', seconds=0),
]


@pytest.mark.parametrize(
    ('kind', 'minutes', 'expected'),
    [
        ('photo', 1, [[0], [1], [2], [3], [4], [5], [6], [7], [8]]),
        ('encounter', 1, [[0, 1, 3, 7], [2], [4], [5, 6], [8]]),
        ('burst', 1, [[0, 1], [2], [3, 7], [4], [5, 6], [8]]),
        ('burst', 2, [[0, 1, 3, 7], [2], [4], [5, 6], [8]]),
        ('burst', 0.5, [[0], [1], [2], [3], [4], [5, 6], [7], [8]]),
    ],
)
def test_units(kind, minutes, expected):
    assert units_of(PHOTOS, kind, minutes) == expected


def test_a_break_of_just_the_minutes_ends_a_burst():
    photos = [photo('a', 'x', 0), photo('b', 'x', 60), photo('c', 'x', 119)]
    assert units_of(photos, 'burst', 1) == [[0], [1, 2]]
    assert units_of(photos[::-1], 'burst', 1) == [[0, 1], [2]]  # in the order given


def test_several_animals_in_a_file():
    """Which of the two is the one on the next photo? Nobody knows."""
    photos = [photo('a', 'x', 0), photo('a', 'x', 0), photo('b', 'x', 1), photo('c', 'y', 0)]
    assert units_of(photos, 'burst', 1) == [[0], [1], [2], [3]]


def test_means_of_what_is_compared():
    scores = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    scores[1, 2] = scores[0, 2] = scores[3] = scores[2, 0] = REMOVED
    sizes = [3, 1, 2]
    means, compared = unit_means(scores, sizes)
    start = 0
    for line, size in zip(means, sizes):
        for column in range(4):
            values = scores[start : start + size, column]
            kept = [value for value in values.tolist() if value > REMOVED]
            expected = sum(kept) / len(kept) if kept else REMOVED
            assert line[column] == pytest.approx(expected, rel=1e-5)
        start += size
    assert compared.tolist() == [3, 0, 2]
