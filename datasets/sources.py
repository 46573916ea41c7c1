"""The photos of any data set (animals, persons or vehicles), as DATASETS.NAMES says."""

from types import ModuleType

from yacs.config import CfgNode

from datasets import animal, person, vehicle
from datasets.photos import TestPhotos, TrainPhotos

READERS: dict[str, ModuleType] = {
    'animals': animal,
    **dict.fromkeys(person.SETS, person),
    **dict.fromkeys(vehicle.SETS, vehicle),
}


def load_train(cfg: CfgNode) -> TrainPhotos:
    """Return the photos of a training run. Raises ``InputError``."""
    return READERS[cfg.DATASETS.NAMES].load_train(cfg)


def load_test(cfg: CfgNode) -> TestPhotos:
    """Return the photos of a test. Raises ``InputError``."""
    return READERS[cfg.DATASETS.NAMES].load_test(cfg)
