"""The ranking of known individuals, against a plain loop."""

import pytest
import torch
import torch.nn.functional as F

from datasets.records import Record
from wildlife.matches.photos import KnownPhotos
from wildlife.matches.ranking import rank


def test_against_the_loop():
    generator = torch.Generator().manual_seed(0)
    new, known = (
        [f'{part}{n}' for n in range(count)] for part, count in (('new', 7), ('known', 40))
    )
    names = [f'animal {n % 9}' for n in range(40)]
    features = F.normalize(torch.randn(47, 16, generator=generator))
    photos = KnownPhotos([Record(path, 0) for path in known], names)
    rows = rank(new, features[:7], photos, features[7:], 4)
    for index, photo in enumerate(new):
        nearest = {}
        for place, name in enumerate(names):
            distance = 1 - float(features[index] @ features[7 + place])
            if name not in nearest or distance < nearest[name][0]:
                nearest[name] = distance, known[place]
        expected = sorted((distance, name, path) for name, (distance, path) in nearest.items())[:4]
        mine = [row for row in rows if row['photo'] == photo]
        assert [(row['individual'], row['known_photo']) for row in mine] == [
            (name, path) for _, name, path in expected
        ]
        assert [float(row['distance']) for row in mine] == pytest.approx(
            [distance for distance, _, _ in expected], rel=0.005
        )
