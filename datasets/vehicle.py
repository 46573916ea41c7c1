"""The vehicle sets: VeRi-776, with viewpoints if it has key-point lists, and VehicleID."""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from yacs.config import CfgNode

from datasets import reid_sets
from datasets.photos import TestPhotos, TrainPhotos, Trial, as_photos
from datasets.protocols import Protocol
from datasets.records import Record, read_lines
from utils.errors import InputError
from utils.logger import logger

SETS = ('veri', 'VehicleID')

VERI = {'train': 'image_train', 'query': 'image_query', 'gallery': 'image_test'}
VERI_PUBLISHED = {'train': 37778, 'query': 1678, 'gallery': 11579, 'identities': 576}
# Annotations of VeRi; a line is the path of a photo, 20 points (x y) and the view, 0 to 7
KEYPOINTS = ('keypoint_train.txt', 'keypoint_test.txt')
FIELDS, VIEWS = 42, 8

TRIALS = 10
VEHICLEID_PUBLISHED = {'train': 113346, 'identities': 13164}
VEHICLEID_TESTS = {800: 6493, 1600: 13377, 2400: 19777}  # number of vehicles -> number of photos
# A line of a list: 0346796 12345 is photo image/0346796.jpg of vehicle 12345
PAIR = re.compile(r'(\d{1,18})\s+(\d{1,18})', re.ASCII)
VEHICLEID_PROTOCOL = Protocol(
    'vehicleid',
    ap='precision',
    no_positive='skip',
    text='VehicleID: one photo of each vehicle is the gallery, the others are the queries; '
    f'{TRIALS} such trials, drawn from SOLVER.SEED, are averaged',
)


def load_train(cfg: CfgNode) -> TrainPhotos:
    """Return the train photos of DATASETS.NAMES; the official test is the validation.

    Raises:
        InputError: The set does not have its published layout.
    """
    if cfg.DATASETS.NAMES == 'veri':
        return reid_sets.train_photos(cfg, *_read_veri(cfg, reid_sets.SPLITS))
    root, splits = _read_vehicleid(cfg, ('train', 'test'))
    return reid_sets.train_photos(cfg, root, splits, _draw_test(cfg, root, splits['test']))


def load_test(cfg: CfgNode) -> TestPhotos:
    """Return the test photos of DATASETS.NAMES; VehicleID has ten trials.

    Raises:
        InputError: The set does not have its published layout.
    """
    if cfg.DATASETS.NAMES == 'veri':
        return reid_sets.test_photos(cfg, *_read_veri(cfg, reid_sets.TEST))
    root, splits = _read_vehicleid(cfg, ('test',))
    return _draw_test(cfg, root, splits['test'])


def _read_veri(cfg: CfgNode, names: Sequence[str]) -> tuple[str, reid_sets.Splits]:
    root, splits = reid_sets.read_folders(cfg, 'VeRi', VERI, names)
    reid_sets.warn_of_counts('veri', splits, VERI_PUBLISHED)
    views = _veri_views(cfg, root)
    if views:
        splits = {split: _with_views(split, records, views) for split, records in splits.items()}
    return root, splits


def _with_views(split: str, records: Sequence[Record], views: dict[str, int]) -> list[Record]:
    names = [os.path.basename(record.path) for record in records]
    seen = [
        replace(record, viewid=views[name])
        for record, name in zip(records, names, strict=True)
        if name in views
    ]
    if not seen:
        raise InputError(
            f"veri: {' and '.join(KEYPOINTS)} name none of the {split} photos; are they VeRi's?"
        )
    logger.info(
        'veri: %d of %d %s photos have no viewpoint and are dropped, as in the original',
        len(records) - len(seen),
        len(records),
        split,
    )
    return seen


def _veri_views(cfg: CfgNode, root: str) -> dict[str, int]:
    """Return {file name: view} of the photos in the key-point lists, {} without such lists."""
    folders = [
        folder
        for folder, name in product((root, cfg.DATASETS.LIST_DIR), KEYPOINTS)
        if os.path.isfile(os.path.join(folder, name))
    ]
    if folders or cfg.MODEL.SIE_VIEW:
        folder = next(iter(folders), root)
        train, test = (_read_views(os.path.join(folder, name)) for name in KEYPOINTS)
        return test | train  # the train list has priority
    logger.info(
        'veri: no %s in %s or DATASETS.LIST_DIR: all photos count as one view',
        ' and '.join(KEYPOINTS),
        root,
    )
    return {}


def _read_views(path: str) -> dict[str, int]:
    views: dict[str, int] = {}
    missing = (
        f"{path}: no such key-point list (it is not part of VeRi's archive); put both "
        f'{" and ".join(KEYPOINTS)} into the folder of VeRi or into DATASETS.LIST_DIR, or remove '
        'both and set MODEL.SIE_VIEW False'
    )
    for number, line in read_lines(path, 'key-point list', missing):
        fields = line.split()
        if len(fields) != FIELDS or fields[-1] not in map(str, range(VIEWS)):
            raise InputError(
                f'{path}:{number}: expected {FIELDS} fields (a path, 20 points x y, a view 0 … '
                f'{VIEWS - 1}), got {len(fields)}, the last {ascii(fields[-1])[:50]}'
            )
        name, view = fields[0].rsplit('/', 1)[-1], int(fields[-1])
        if views.setdefault(name, view) != view:
            raise InputError(
                f'{path}:{number}: {ascii(name)[1:-1][:100]} has view {view} here and '
                f'{views[name]} above'
            )
    return views


def _read_vehicleid(cfg: CfgNode, names: Sequence[str]) -> tuple[str, reid_sets.Splits]:
    reid_sets.check_protocol_name(cfg, [VEHICLEID_PROTOCOL.name])
    if cfg.MODEL.SIE_CAMERA or cfg.MODEL.SIE_VIEW:
        raise InputError(
            'VehicleID has neither cameras nor views; set MODEL.SIE_CAMERA and MODEL.SIE_VIEW '
            'to False'
        )
    size = cfg.DATASETS.TEST_SIZE
    files = {
        'train': 'train_test_split/train_list.txt',
        'test': f'train_test_split/test_list_{size}.txt',
    }
    root = reid_sets.find_root(
        cfg,
        'VehicleID_V1.0',
        ['image', *(files[split] for split in names)],
        f'VehicleID_V1.0/image/*.jpg with VehicleID_V1.0/{{{",".join(files.values())}}}',
    )
    splits = {split: _read_numbers(os.path.join(root, files[split])) for split in names}
    reid_sets.warn_of_counts(
        'VehicleID', splits, VEHICLEID_PUBLISHED | {'test': VEHICLEID_TESTS[size]}
    )
    return root, splits


def _read_numbers(path: str) -> list[Record]:
    records = []
    identities: dict[str, str] = {}
    for number, line in read_lines(path, 'list', f'{path}: no such list'):
        pair = PAIR.fullmatch(line)
        if not pair:
            raise InputError(
                f"{path}:{number}: expected 'number identity', like 0346796 12345, got "
                f'{ascii(line)[:100]}'
            )
        photo, identity = pair.groups()
        if identities.setdefault(photo, identity) != identity:
            raise InputError(
                f'{path}:{number}: photo {photo} has identity {identity} here and '
                f'{identities[photo]} above; list each photo once'
            )
        records.append(Record(f'image/{photo}.jpg', int(identity)))
    return records


def _draw_test(cfg: CfgNode, root: str, records: Sequence[Record]) -> TestPhotos:
    """Draw ten trials with SOLVER.SEED.

    In each, one random photo per vehicle is in the gallery (camera 1), and the others are queries
    (camera 0).
    """
    (records,) = as_photos(('VehicleID test', reid_sets.located(cfg, root, records, 'test')))
    photos = defaultdict(list)
    for index, record in enumerate(records):
        photos[record.pid].append(index)
    if len(photos) == len(records):
        raise InputError(
            f'VehicleID test: each of the {len(photos)} vehicles has only one photo, so there are '
            'no queries'
        )
    in_gallery = [replace(record, camid=1) for record in records]
    random = np.random.RandomState(cfg.SOLVER.SEED)
    trials: list[Trial] = []
    for _ in range(TRIALS):
        chosen = {photos[pid][random.randint(len(photos[pid]))] for pid in sorted(photos)}
        query = [record for index, record in enumerate(records) if index not in chosen]
        trials.append((query, [in_gallery[index] for index in sorted(chosen)]))
    return TestPhotos(trials, VEHICLEID_PROTOCOL, root)
