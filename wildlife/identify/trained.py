"""Which individuals of a catalogue its model was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from yacs.config import CfgNode

from configs import load_cfg
from model.names import START
from utils.errors import InputError
from utils.words import did_you_mean
from wildlife.catalogue.new_photos import NewPhoto, fingerprints
from wildlife.catalogue.records import Individual, Model, Photo
from wildlife.catalogue.sources import photos_of_config
from wildlife.catalogue.store import Catalogue

SPLITS = ('train', 'val')  # validation photos are of individuals of the training


@dataclass(frozen=True)
class Usable:
    """The individuals to calibrate with.

    Attributes:
        names: Those that the model was not trained on.
        trained: The number of the others.
        source: How this is known, in words.
    """

    names: list[str]
    trained: int
    source: str


def usable_individuals(catalogue: Catalogue, trained_on: str = '', chosen: str = '') -> Usable:
    """Find out which individuals of a catalogue its model was not trained on.

    Starting weights were not trained on any of them. For other weights, the config.yml beside them
    or a given yml names the train and validation lists. Their photos are looked up in the catalogue
    by path, then by content.

    Args:
        catalogue: The catalogue.
        trained_on: A yml with the lists of the training; '' = beside the weights.
        chosen: A text file that names the individuals to use, one per line; 'all' = the model was
            trained on none; '' = find out.

    Raises:
        InputError: It cannot be found out, or a name is unknown.
    """
    model = catalogue.model_in_use()
    individuals = catalogue.individuals()
    names = [individual.name for individual in individuals]
    if chosen == 'all':
        return Usable(names, 0, '--individuals all')
    if chosen:
        found = _named(chosen, individuals)
        return Usable(found, len(names) - len(found), f'--individuals {chosen}')
    if model.config['TEST.WEIGHT'] == START and not trained_on:
        return Usable(names, 0, 'TEST.WEIGHT start: these weights were not trained on any of them')
    path = trained_on or str(Path(model.config['TEST.WEIGHT']).parent / 'config.yml')
    trained = _trained(catalogue.photos(), _train_photos(path, model))
    left = [name for name in names if name not in trained]
    return Usable(left, len(trained), f'the train and validation lists of {path}')


def _named(path: str, individuals: Sequence[Individual]) -> list[str]:
    """Read a file of names or aliases."""
    try:
        lines = Path(path).read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'--individuals {path}: cannot be read as text ({error})') from None
    name_of = {alias: each.name for each in individuals for alias in (each.name, *each.aliases)}
    wanted = [line.strip() for line in lines if line.strip()]
    unknown = [name for name in wanted if name not in name_of]
    if unknown or not wanted:
        what = f'no individual is called {unknown[0]!r}' if unknown else 'it has no names'
        hint = did_you_mean(unknown[0], name_of) if unknown else ''
        raise InputError(f'--individuals {path}: {what}{hint}')
    return list(dict.fromkeys(name_of[name] for name in wanted))


def _train_photos(path: str, model: Model) -> list[NewPhoto]:
    """Return the photos that a model was trained on."""
    if not Path(path).is_file():
        raise InputError(
            f'{path}: there is no such file, so it is not known which individuals '
            f'{model.config["TEST.WEIGHT"]} was trained on; name the yml of its training with '
            '--trained-on, or individuals that it was not trained on with --individuals FILE (or '
            'all)'
        )
    cfg: CfgNode = load_cfg(path)
    return photos_of_config(cfg, SPLITS if cfg.DATASETS.VAL_LIST else SPLITS[:1]).photos


def _trained(known: Sequence[Photo], trained: Sequence[NewPhoto]) -> set[str]:
    """Return the individuals of a catalogue with a photo among those of the training."""
    paths = {photo.path for photo in trained}
    elsewhere = paths - {photo.path for photo in known}
    there = [path for path in sorted(elsewhere) if Path(path).is_file()]
    hashes = {sha256 for sha256, _ in fingerprints(there).values()}
    return {
        photo.individual
        for photo in known
        if photo.individual and (photo.path in paths or photo.sha256 in hashes)
    }
