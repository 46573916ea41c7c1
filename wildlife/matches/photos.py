"""New photos to identify, and the photos of known individuals to compare them with."""

import logging
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from yacs.config import CfgNode

from datasets.animal import list_files
from datasets.images import find_unreadable, photo_extensions
from datasets.records import NOBODY, Record
from datasets.sources import load_test, load_train
from utils.errors import InputError
from wildlife.lists.folders import photos_below
from wildlife.names import given_names, listed_path

logger = logging.getLogger('transreid')


@dataclass(frozen=True)
class NewPhotos:
    """Photos of unknown animals.

    Attributes:
        paths: The paths of the readable photos.
        problems: Path of an unreadable photo -> why it cannot be read.
    """

    paths: list[str]
    problems: dict[str, str]


@dataclass(frozen=True)
class KnownPhotos:
    """Photos of known animals.

    Attributes:
        records: M photos, one record per file.
        names: The individual of each photo.
    """

    records: list[Record]
    names: list[str]


def new_photos(source: str) -> NewPhotos:
    """Find the photos in a folder and its subfolders, and check which can be read.

    Args:
        source: A folder, or a single photo.

    Raises:
        InputError: There is no photo, or none can be read.
    """
    paths = [source] if os.path.isfile(source) else _photos_in(source)
    problems = find_unreadable(paths)
    if len(problems) == len(paths):
        first, problem = next(iter(problems.items()))
        raise InputError(
            f'{source}: none of the {len(paths)} photos can be read; the first, {first}: {problem}'
        )
    return NewPhotos([path for path in paths if path not in problems], problems)


def _photos_in(folder: str) -> list[str]:
    """Return the sorted paths of the photos in a folder; skipped files are logged."""
    photos, skipped = photos_below(folder)
    counts = Counter(reason for _, reason in skipped)
    first = {reason: path for path, reason in reversed(skipped)}
    reasons = ', '.join(
        f'{count} x {reason}, for example {first[reason]}'
        for reason, count in counts.most_common(6)
    )
    if not photos:
        what = f' (skipped: {reasons})' if reasons else ''
        raise InputError(
            f'{folder}: no photo found{what}; name a folder of photos '
            f'({", ".join(sorted(photo_extensions()))}), or a single photo'
        )
    if reasons:
        logger.warning('skipped in %s: %s', folder, reasons)
    return [str(Path(folder, path)) for path in photos]


def known_photos(cfg: CfgNode) -> KnownPhotos:
    """Read all photos of known individuals in the lists of a config, each file once.

    Distractors are skipped. Individuals are named as in the photos.csv of make_lists, or by list
    and label if there is none.
    """
    names_of = {}
    if cfg.DATASETS.NAMES == 'animals':
        names_of = given_names(cfg.DATASETS.LIST_DIR)
    records: dict[str, Record] = {}
    names: dict[str, str] = {}
    for part, root, photos in _listed(cfg):
        for record in photos:
            file = os.path.realpath(record.path)
            listed = listed_path(record.path, root)
            records.setdefault(file, record)
            names.setdefault(file, names_of.get(listed, f'{part} {record.pid}'))
    return KnownPhotos(list(records.values()), list(names.values()))


def _listed(cfg: CfgNode) -> list[tuple[str, str, list[Record]]]:
    """Return ('train' or 'test', root, photos of individuals) for the lists of a config."""
    lists = list_files(cfg) if cfg.DATASETS.NAMES == 'animals' else {}
    parts = []
    if lists.get('train', True) or not lists['query']:
        train = load_train(cfg)
        parts.append(('train', train.root, [*train.train, *train.query]))
    if lists.get('query', True):
        test = load_test(cfg)
        shown = [record for record in test.gallery if record.pid != NOBODY]
        parts.append(('test', test.root, [*test.query, *shown]))
    return parts
