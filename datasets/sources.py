"""The photos of DATASETS.NAMES, whatever data set it is."""

from datasets import animal, person, vehicle

READERS = {
    'animals': animal,
    **dict.fromkeys(person.SETS, person),
    **dict.fromkeys(vehicle.SETS, vehicle),
}


def load_train(cfg):
    """Photos of a training run: ``datasets.photos.TrainPhotos``. Raises ``InputError``."""
    return READERS[cfg.DATASETS.NAMES].load_train(cfg)


def load_test(cfg):
    """Photos of a test: ``datasets.photos.TestPhotos``. Raises ``InputError``."""
    return READERS[cfg.DATASETS.NAMES].load_test(cfg)
