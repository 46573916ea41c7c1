"""The photos of DATASETS.NAMES, whatever data set it is."""

from datasets import animal, person, vehicle
from utils.errors import InputError

READERS = {
    'animals': animal,
    **dict.fromkeys(person.SETS, person),
    **dict.fromkeys(vehicle.SETS, vehicle),
}


def load_train(cfg):
    """Photos of a training run: ``datasets.photos.TrainPhotos``. Raises ``InputError``."""
    return _reader(cfg).load_train(cfg)


def load_test(cfg):
    """Photos of a test: ``datasets.photos.TestPhotos``. Raises ``InputError``."""
    return _reader(cfg).load_test(cfg)


def _reader(cfg):
    if cfg.DATASETS.NAMES not in READERS:
        raise InputError(
            f"DATASETS.NAMES '{cfg.DATASETS.NAMES}' is unknown; choose one of "
            f'{", ".join(map(repr, READERS))}'
        )
    return READERS[cfg.DATASETS.NAMES]
