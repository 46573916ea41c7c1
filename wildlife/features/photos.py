"""Which photos features are extracted from: the lists of a config, or a folder."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from datasets.animal import list_files
from datasets.folders import fingerprint
from datasets.images import find_unreadable, photo_extensions
from datasets.records import NOBODY, Record
from datasets.sources import load_test, load_train
from utils.errors import InputError
from utils.logger import logger
from wildlife.lists.folders import photos_below
from wildlife.names import given_names, listed_path

SPLITS = ('train', 'val', 'query', 'gallery')
LISTS = {'train': 'train', 'val': 'validation', 'query': 'query', 'gallery': 'gallery'}


@dataclass(frozen=True)
class PhotoTable:
    """The photos, each file once.

    Attributes:
        records: N located records.
        paths: N paths relative to the folder of the photos, with '/'.
        individuals: N names, '' = unknown.
        fingerprints: Split -> fingerprint of its photos.
        upright: Whether the EXIF orientation is applied.
    """

    records: list[Record]
    paths: list[str]
    individuals: list[str]
    fingerprints: dict[str, Any]
    upright: bool = False

    def columns(self) -> dict[str, list[Any]]:
        """Return the columns of a file of features besides path and features."""
        return {
            'individual': self.individuals,
            'side': [record.side for record in self.records],
            'camera': [record.camera for record in self.records],
            'encounter': [record.encounter for record in self.records],
            'bytes': [os.path.getsize(record.path) for record in self.records],
        }


@dataclass(frozen=True)
class FoundPhotos:
    """Photos of unknown animals, found in a folder.

    Attributes:
        paths: The paths of the readable photos.
        problems: Path of an unreadable photo -> why it cannot be read.
    """

    paths: list[str]
    problems: dict[str, str]


def photos_of_lists(cfg: CfgNode, splits: Sequence[str] = ()) -> PhotoTable:
    """Read the photos of some splits, by default of all that the config has.

    Paths are relative to the folder that contains the photos of these splits. Individuals are
    named as in the photos.csv of make_lists, or by list and label ('train 12') without one.

    Raises:
        InputError: A list is missing or cannot be read.
    """
    split_files = list_files(cfg) if cfg.DATASETS.NAMES == 'animals' else {}
    present = [split for split in SPLITS if split_files.get(LISTS[split], 'some list')]
    missing = [split for split in splits if split not in present]
    if missing or not present:
        asked = ', '.join(missing) or 'any split'
        raise InputError(
            f'the config has no list of {asked}; it has {", ".join(present) or "none"}: set '
            'DATASETS.*_LIST'
        )
    # in the order of SPLITS, however they were asked for: the parts of an interrupted extraction
    # count photos
    chosen = {split: _read_split(cfg, split) for split in present if split in (splits or present)}
    given = given_names(cfg.DATASETS.LIST_DIR) if cfg.DATASETS.NAMES == 'animals' else {}
    base = os.path.commonpath([os.path.abspath(root) for _, root in chosen.values()])
    records: dict[str, Record] = {}
    individuals: dict[str, str] = {}
    for split, (photos, root) in chosen.items():
        part = 'train' if split in ('train', 'val') else 'test'
        for record in photos:
            name = given.get(listed_path(record.path, root), f'{part} {record.pid}')
            records.setdefault(record.path, record)
            individuals.setdefault(record.path, '' if record.pid == NOBODY else name)
    return PhotoTable(
        list(records.values()),
        [listed_path(path, base) for path in records],
        list(individuals.values()),
        {split: fingerprint(photos, root) for split, (photos, root) in chosen.items()},
    )


def _read_split(cfg: CfgNode, split: str) -> tuple[list[Record], str]:
    """Return the photos of a split and their folder."""
    if split in ('train', 'val'):
        train = load_train(cfg)
        return (train.train if split == 'train' else train.query), train.root
    test = load_test(cfg)
    index = ('query', 'gallery').index(split)
    return list(dict.fromkeys(chain(*(trial[index] for trial in test.trials)))), test.root


def photos_of_folder(folder: str) -> PhotoTable:
    """Find the photos of unknown animals in a folder, read upright like those of rank_photos.

    Photos that cannot be read are skipped, with a warning.

    Raises:
        InputError: There is no photo, or none can be read.
    """
    found = find_photos(folder)
    for path, problem in found.problems.items():
        logger.warning('skipped: %s: %s', path, problem)
    root = folder if os.path.isdir(folder) else os.path.dirname(folder)
    records = [Record(path, 0) for path in found.paths]
    return PhotoTable(
        records,
        [listed_path(path, root or '.') for path in found.paths],
        [''] * len(records),
        {'photos': fingerprint(records, root or '.')},
        upright=True,
    )


def find_photos(source: str) -> FoundPhotos:
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
    return FoundPhotos([path for path in paths if path not in problems], problems)


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
