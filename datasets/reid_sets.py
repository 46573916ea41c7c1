"""What the person and vehicle sets share: folders, file names, counts and protocols."""

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
PROTOCOL_NAMES = ('market', 'cross-camera', 'all')  # the sets lack what others compare
# the identity, and the camera from 1
NAME = re.compile(r'(-1|\d{1,18})_c(?!0+\D)(\d{1,4})(?!\d)[ -~]*\.jpg', re.ASCII)


def find_root(cfg: CfgNode, folder: str, parts: Iterable[str], layout: str) -> str:
    """Return ROOT_DIR/folder, the folder of the set.

    Args:
        cfg: The config.
        folder: The folder of the set.
        parts: The files and folders that must be in it.
        layout: The expected layout, for the message.

    Raises:
        InputError: A part is missing.
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
    """Read photos whose file names state identity and camera; junk is skipped.

    Args:
        cfg: The config.
        folder: The folder of the set below ROOT_DIR.
        parts: {split: its folder}
        names: The splits to read.
        view: The view of all photos.

    Returns:
        The folder of the set, and the records of each split: identity as named, camera from 0.

    Raises:
        InputError: A folder is missing or has no photos, or a photo has another kind of name.
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
                'identity and camera (from 1), like 0002_c1s1_000451_03.jpg; rename or remove it'
            )
        if match[1] != '-1':  # junk
            path, camera = f'{folder}/{name}', int(match[2]) - 1
            records.append(Record(path, int(match[1]), camera, view, camera=camera))
    if not records:
        raise InputError(
            f'{os.path.join(root, folder)}: no photo (*.jpg) except junk; unpack the archive again'
        )
    return records


def warn_of_counts(
    name: str, splits: Mapping[str, Sequence[Record]], published: Mapping[str, int]
) -> None:
    """Warn if the numbers of photos or train identities differ from the published ones.

    Args:
        name: The name of the set.
        splits: {split: its records}
        published: {split: number of photos, 'identities': number of train identities}
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
            '%s: the numbers of photos differ from the published ones: %s; is this a part of the '
            'set, or another version?',
            name,
            ', '.join(other),
        )


def train_photos(
    cfg: CfgNode,
    root: str,
    splits: Mapping[str, Sequence[Record]],
    validation: TestPhotos | None = None,
) -> TrainPhotos:
    """Return the photos of a training run, with identities renumbered to labels 0 … n-1.

    Args:
        cfg: The config.
        root: The folder that the records' paths are relative to.
        splits: {split of SPLITS: records as listed}; 'train' is enough if ``validation`` is given.
        validation: The photos of the validation, by default query and gallery as in Market-1501.

    Raises:
        InputError: The photos cannot be trained on.
    """
    identities = sorted({record.pid for record in splits['train']})
    labels = {identity: label for label, identity in enumerate(identities)}
    train = [replace(record, pid=labels[record.pid]) for record in splits['train']]
    check_contiguous(train, f'{cfg.DATASETS.NAMES} train')  # at least two identities
    train = located(cfg, root, train, 'train')
    validation = validation or test_photos(cfg, root, splits, 'market')
    return TrainPhotos(train, len(labels), root, validation)


def test_photos(
    cfg: CfgNode, root: str, splits: Mapping[str, Sequence[Record]], protocol: str = ''
) -> TestPhotos:
    """Return the photos of a test.

    Args:
        cfg: The config.
        root: The folder that the records' paths are relative to.
        splits: {split of TEST: records as listed}
        protocol: The name of the protocol, by default DATASETS.PROTOCOL.

    Raises:
        InputError: The photos cannot be tested on.
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
    """Return the located records of a split, see ``datasets.folders.locate``."""
    data = cfg.DATASETS
    folder = PhotoFolder(
        root, 'DATASETS.ROOT_DIR', data.SKIP_MISSING, data.ALLOW_OUTSIDE, data.SKIP_BROKEN
    )
    return locate(records, folder, f'{data.NAMES} {split}')


def check_protocol_name(cfg: CfgNode, names: Sequence[str]) -> str:
    """Return DATASETS.PROTOCOL, or the first of the suitable ``names`` if it is ''.

    Raises:
        InputError: The protocol is not one of ``names``.
    """
    name = cfg.DATASETS.PROTOCOL or names[0]
    if name not in names:
        raise InputError(
            f"DATASETS.PROTOCOL '{name}' does not suit {cfg.DATASETS.NAMES}; choose one of "
            f"{', '.join(names)}, or '' for {names[0]}"
        )
    return name
