"""Small catalogues for tests, with an encoder that needs no network."""

import hashlib
import json

import numpy as np
from PIL import Image

from utils.errors import InputError
from wildlife.catalogue.add import add_photos
from wildlife.catalogue.create import create_catalogue
from wildlife.catalogue.journal import Author
from wildlife.catalogue.models import ModelFacts
from wildlife.catalogue.new_photos import NewPhoto, NewPhotos
from wildlife.catalogue.schema import JOURNALED
from wildlife.catalogue.verify import verify

ANNA = Author('anna', 'tests')
LENGTH = 8
PART = 4  # photos


class Encoder:
    """Features that depend on the file, the box and the name of the model alone."""

    def __init__(self, name='a', length=LENGTH):
        config = {'MODEL.NAME': name, 'TEST.WEIGHT': 'start', 'MODEL.PRETRAIN_PATH': f'{name}.pth'}
        self.facts = ModelFacts(json.dumps({'model_sha256': name}), name * 64, config)
        self.name, self.length, self.encoded = name, length, []

    def vector(self, path, box):
        text = f'{self.name} {path} {box}'.encode()
        seed = int.from_bytes(hashlib.sha256(text).digest()[:8], 'big')
        vector = np.random.default_rng(seed).normal(size=self.length).astype(np.float32)
        return vector / np.linalg.norm(vector)

    def __call__(self, photos, margin):
        for start in range(0, len(photos), PART):
            part = photos[start : start + PART]
            for photo in part:
                if not photo.path.endswith('.png'):
                    raise InputError(f'{photo.path}: not a photo')
            self.encoded += [photo.path for photo in part]
            yield np.stack([self.vector(photo.path, photo.box) for photo in part])


def write(folder, name):
    """A tiny photo unlike all others."""
    path = folder / f'{name}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.frombuffer(hashlib.sha256(bytes(path)).digest() * 3, np.uint8)
    Image.fromarray(pixels.reshape(4, 8, 3).copy()).save(path)
    return str(path)


def photos(folder, names, count=3, **facts):
    """New photos of some individuals."""
    found = [
        NewPhoto(write(folder, f'{name}_{number}'), individual=name, **facts)
        for name in names
        for number in range(count)
    ]
    return NewPhotos(found, 'a folder', [], [])


def make(folder, names=('Nala', 'Zuri'), encoder=None):
    """A catalogue with three photos of each individual."""
    (folder / 'c').mkdir()
    catalogue = create_catalogue(folder / 'c', ANNA, 'lion', 0.05)
    if names:
        add_photos(catalogue, ANNA, photos(folder / 'photos', names), encoder or Encoder())
    return catalogue


def content(catalogue):
    """All that the journal keeps, table by table."""
    with catalogue.reading() as opened:
        return {
            name: [tuple(row) for row in opened.execute(table.select().order_by(table.c.id))]
            for name, table in JOURNALED.items()
        }


def assert_clean(catalogue):
    found = verify(catalogue)
    assert not found.damage, found.damage


def check_features(catalogue, encoder):
    """Every photo has its own features, of this encoder."""
    features = catalogue.features()
    assert [photo.id for photo in features.photos] == [photo.id for photo in catalogue.photos()]
    for photo, row in zip(features.photos, features.rows, strict=True):
        assert (features.matrix[row] == encoder.vector(photo.path, photo.box)).all()
        assert features.photos[features.owner[row]] == photo
