"""What the person and vehicle sets share: their folder, names of photos, counts, protocols."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from yacs.config import CfgNode

from datasets.folders import PhotoFolder, locate
from datasets.photos import TestPhotos, TrainPhotos, as_photos
from datasets.protocols import resolve_protocol
from datasets.records import Record, check_contiguous, individuals
from utils.errors import InputError
from utils.logger import logger

TEST = ('query', 'gallery')
SPLITS = ('train', *TEST)
Splits = dict[str, list[Record]]
PROTOCOL_NAMES = ('market', 'cross-camera', 'all')  # the others need what these sets do not tell
# identity, camera from 1
NAME = re.compile(r'(-1|\d{1,18})_c(?!0+\D)(\d{1,4})(?!\d)[ -~]*\.jpg', re.ASCII)


def find_root(cfg: CfgNode, folder: str, parts: Iterable[str], layout: str) -> str:
    """Return ROOT_DIR/folder, where the set is.

    Args:
        cfg: the config.
        folder: of the set.
        parts: files and folders that must be in it.
        layout: what is expected, for the message.

    Raises:
        InputError: where one of the parts is missing.
    """
    root = os.path.join(cfg.DATASETS.ROOT_DIR, folder)
    missing = [part for part in ('', *parts) if not os.path.exists(os.path.join(root, part))]
    if missing:
        raise InputError(
            f"DATASETS.ROOT_DIR '{cfg.DATASETS.ROOT_DIR}': there is no "
            f'{os.path.normpath(os.path.join(folder, missing[0]))} in it; {cfg.DATASETS.NAMES} is '
            f'expected as {layout}'
        )
    logger.info('%s: photos of %s', cfg.DATASETS.NAMES, root)
    return root


def read_folders(
    cfg: CfgNode, folder: str, parts: Mapping[str, str], names: Sequence[str], view: int = 0
) -> tuple[str, Splits]:
    """Read photos that are named by identity and camera; junk is skipped.

    Args:
        cfg: the config.
        folder: of the set, below ROOT_DIR.
        parts: {split: its folder}
        names: the splits to read.
        view: of all photos.

    Returns:
        The set's folder, and the records of each split: identity as named, camera from 0.

    Raises:
        InputError: for a missing folder, a photo of another name, and where there is none.
    """
    layout = f'{folder}/{{{",".join(parts.values())}}}/*.jpg'
    root = find_root(cfg, folder, [parts[split] for split in names], layout)
    return root, {split: _read_folder(root, parts[split], view) for split in names}


def _read_folder(root: str, folder: str, view: int) -> list[Record]:
    records = []
    for name in sorted(path.name for path in Path(root, folder).glob('[!.]*.jpg')):
        match = NAME.fullmatch(name)
        if not match:
            raise InputError(
                f'{os.path.join(root, folder)}: photo {ascii(name)[:100]} is not named by '
                'identity and camera (from 1), as 0002_c1s1_000451_03.jpg; rename it or take it out'
            )
        if match[1] != '-1':  # junk
            path, camera = f'{folder}/{name}', int(match[2]) - 1
            records.append(Record(path, int(match[1]), camera, view, camera=camera))
    if not records:
        raise InputError(
            f'{os.path.join(root, folder)}: no photo (*.jpg) in it but junk; unpack the archive '
            'again'
        )
    return records


def warn_of_counts(
    name: str, splits: Mapping[str, Sequence[Record]], published: Mapping[str, int]
) -> None:
    """Warn once where there are other numbers of photos or train identities than published.

    Args:
        name: of the set.
        splits: {split: its records}
        published: {split: photos, 'identities': of train}
    """
    found = {split: len(records) for split, records in splits.items()}
    if 'train' in splits:
        found['identities'] = individuals(splits['train'])
    other = [
        f'{what} {number} instead of {published[what]}'
        for what, number in found.items()
        if number != published[what]
    ]
    if other:
        logger.warning(
            '%s: other numbers of photos than published: %s; is it a part of the set, or another '
            'version?',
            name,
            ', '.join(other),
        )


def train_photos(
    cfg: CfgNode,
    root: str,
    splits: Mapping[str, Sequence[Record]],
    validation: TestPhotos | None = None,
) -> TrainPhotos:
    """Return the photos of a training, with labels 0 … n-1 by identity.

    Args:
        cfg: the config.
        root: of the records' paths.
        splits: {split of SPLITS: records as listed}, 'train' alone with a ``validation``.
        validation: default: query and gallery, judged as Market.

    Raises:
        InputError: where photos cannot be trained on.
    """
    identities = sorted({record.pid for record in splits['train']})
    labels = {identity: label for label, identity in enumerate(identities)}
    train = [replace(record, pid=labels[record.pid]) for record in splits['train']]
    check_contiguous(train, f'{cfg.DATASETS.NAMES} train')  # so there are two identities
    train = located(cfg, root, train, 'train')
    validation = validation or test_photos(cfg, root, splits, 'market')
    return TrainPhotos(train, len(labels), root, validation)


def test_photos(
    cfg: CfgNode, root: str, splits: Mapping[str, Sequence[Record]], protocol: str = ''
) -> TestPhotos:
    """Return the photos of a test.

    Args:
        cfg: the config.
        root: of the records' paths.
        splits: {split of TEST: records as listed}
        protocol: its name, default DATASETS.PROTOCOL.

    Raises:
        InputError: where photos cannot be tested on.
    """
    wanted = check_protocol_name(cfg, PROTOCOL_NAMES)
    found = [
        (f'{cfg.DATASETS.NAMES} {split}', located(cfg, root, splits[split], split))
        for split in TEST
    ]
    query, gallery = as_photos(*found)
    resolved = resolve_protocol(protocol or wanted, '', query, gallery)
    return TestPhotos([(query, gallery)], resolved, root)


def located(cfg: CfgNode, root: str, records: Sequence[Record], split: str) -> list[Record]:
    """Return the records of a split with their files: see ``datasets.folders.locate``."""
    data = cfg.DATASETS
    folder = PhotoFolder(
        root, 'DATASETS.ROOT_DIR', data.SKIP_MISSING, data.ALLOW_OUTSIDE, data.SKIP_BROKEN
    )
    return locate(records, folder, f'{data.NAMES} {split}')


def check_protocol_name(cfg: CfgNode, names: Sequence[str]) -> str:
    """Return DATASETS.PROTOCOL, '' = the first of the ``names`` that suit the set.

    Raises:
        InputError: for any other.
    """
    name = cfg.DATASETS.PROTOCOL or names[0]
    if name not in names:
        raise InputError(
            f"DATASETS.PROTOCOL '{name}' does not suit {cfg.DATASETS.NAMES}; choose one of "
            f"{', '.join(names)}, or '' for {names[0]}"
        )
    return name
