"""What the person and vehicle sets share: their folder, names of photos, counts, protocols."""

import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from yacs.config import CfgNode

from datasets.copies import as_photos
from datasets.folders import PhotoFolder, locate
from datasets.photos import TestPhotos, TrainPhotos
from datasets.protocols import market_protocol, resolve_protocol
from datasets.records import Record, check_contiguous
from utils.errors import InputError

logger = logging.getLogger('transreid')

TEST = ('query', 'gallery')
SPLITS = ('train', *TEST)
PROTOCOL_NAMES = ('market', 'cross-camera', 'all')  # the others need what these sets do not tell
JUNK = -1
NAME = re.compile(r'(-1|\d{1,18})_c(\d{1,4})(?!\d)[ -~]*\.jpg', re.ASCII)  # identity, camera from 1


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
    lacking = [part for part in parts if not os.path.exists(os.path.join(root, part))]
    missing = [os.path.join(folder, part) for part in lacking]
    if missing:
        raise InputError(
            f"DATASETS.ROOT_DIR '{cfg.DATASETS.ROOT_DIR}': there is no "
            f'{", ".join(missing) if os.path.isdir(root) else folder} in it; '
            f'{cfg.DATASETS.NAMES} is expected as '
            f'{layout}'
        )
    return root


def read_folder(root: str, folder: str, view: int = 0) -> list[Record]:
    """Return records of root/folder/*.jpg by name: identity as named, camera from 0; junk skipped.

    Args:
        root: that the records' paths are relative to.
        folder: of the photos.
        view: of all photos.

    Raises:
        InputError: for a photo of another name, and where there is none.
    """
    records = []
    for name in sorted(os.listdir(os.path.join(root, folder))):
        if not name.endswith('.jpg') or name.startswith('.'):  # as the original's *.jpg
            continue
        match = NAME.fullmatch(name)
        if not match or match[2].strip('0') == '':
            raise InputError(
                f'{os.path.join(root, folder)}: photo {ascii(name)[:100]} is not named by '
                'identity and camera '
                f'(from 1), as 0002_c1s1_000451_03.jpg; rename it or take it out'
            )
        if int(match[1]) != JUNK:
            camera = int(match[2]) - 1
            records.append(
                Record(f'{folder}/{name}', int(match[1]), camid=camera, viewid=view, camera=camera)
            )
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
        published: {split: photos, 'ids': train identities}
    """
    found = {split: len(records) for split, records in splits.items()}
    if 'train' in splits:
        found['ids'] = len({record.pid for record in splits['train']})
    words = {'ids': 'train identities'}
    other = [
        f'{number} {words.get(key, f"{key} photos")} (published: {published[key]})'
        for key, number in found.items()
        if number != published[key]
    ]
    if other:
        logger.warning(
            '%s: %s; is it a part of the set, or another version?', name, ', '.join(other)
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
    name, train = cfg.DATASETS.NAMES, splits['train']
    labels = {pid: label for label, pid in enumerate(sorted({record.pid for record in train}))}
    train = [replace(record, pid=labels[record.pid]) for record in train]
    check_contiguous(train, f'{name} train')  # so there are two identities
    train = located(cfg, root, train, 'train')
    if len({record.pid for record in train}) < 2:
        raise InputError(
            f'{name} train: photos of one identity only; telling identities apart needs at least '
            'two'
        )
    if validation is None:
        validation = test_photos(cfg, root, splits)
        judged = market_protocol([*validation.query, *validation.gallery])
        validation = replace(validation, protocol=judged)
    return TrainPhotos(train, len(labels), root, validation)


def test_photos(cfg: CfgNode, root: str, splits: Mapping[str, Sequence[Record]]) -> TestPhotos:
    """Return the photos of a test.

    Args:
        cfg: the config.
        root: of the records' paths.
        splits: {split of TEST: records as listed}

    Raises:
        InputError: where photos cannot be tested on.
    """
    name = check_protocol_name(cfg, PROTOCOL_NAMES)
    found = [(_name(cfg, split), located(cfg, root, splits[split], split)) for split in TEST]
    query, gallery = as_photos(*found)
    return TestPhotos([(query, gallery)], resolve_protocol(name, '', query, gallery), root)


def located(cfg: CfgNode, root: str, records: Sequence[Record], split: str) -> list[Record]:
    """Return the records of a split with their files: see ``datasets.folders.locate``."""
    data = cfg.DATASETS
    folder = PhotoFolder(
        root, 'DATASETS.ROOT_DIR', data.SKIP_MISSING, data.ALLOW_OUTSIDE, data.SKIP_BROKEN
    )
    return locate(records, folder, _name(cfg, split))


def _name(cfg: CfgNode, split: str) -> str:
    return f'{cfg.DATASETS.NAMES} {split}'


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
