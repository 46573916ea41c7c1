"""The vehicle sets: VeRi-776, with viewpoints where there are key-point lists, and VehicleID."""

import logging
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from yacs.config import CfgNode

from datasets import reid_sets
from datasets.copies import as_photos
from datasets.photos import TestPhotos, TrainPhotos, Trial
from datasets.protocols import Protocol
from datasets.records import Record, read_file
from utils.errors import InputError

logger = logging.getLogger('transreid')

Splits = dict[str, list[Record]]

SETS = ('veri', 'VehicleID')

VERI = {'train': 'image_train', 'query': 'image_query', 'gallery': 'image_test'}
VERI_PUBLISHED = {'train': 37778, 'query': 1678, 'gallery': 11579, 'ids': 576}
# Annotations beside VeRi: 20 points and a viewpoint for each photo
KEYPOINTS = ('keypoint_train.txt', 'keypoint_test.txt')
FIELDS, VIEWS = 42, 8

TRIALS = 10
VEHICLEID_PUBLISHED = {'train': 113346, 'ids': 13164}
VEHICLEID_TESTS = {800: 6493, 1600: 13377, 2400: 19777}  # vehicles: photos
PAIR = re.compile(r'(\d{1,18})\s+(\d{1,18})', re.ASCII)
VEHICLEID_PROTOCOL = Protocol(
    'vehicleid',
    ap='precision',
    no_positive='skip',
    text='VehicleID: one photo of each vehicle is the gallery, the others are the queries; '
    f'{TRIALS} such trials, drawn from SOLVER.SEED, are averaged',
)


def load_train(cfg: CfgNode) -> TrainPhotos:
    """Return the photos of DATASETS.NAMES below ROOT_DIR; the official test is the validation.

    Raises:
        InputError: where the set is not as it was published.
    """
    if cfg.DATASETS.NAMES == 'veri':
        return reid_sets.train_photos(cfg, *_read_veri(cfg, reid_sets.SPLITS))
    root, splits = _read_vehicleid(cfg, ('train', 'test'))
    return reid_sets.train_photos(cfg, root, splits, _draw_test(cfg, root, splits['test']))


def load_test(cfg: CfgNode) -> TestPhotos:
    """Return the test of DATASETS.NAMES below ROOT_DIR, of VehicleID with ten trials.

    Raises:
        InputError: where the set is not as it was published.
    """
    if cfg.DATASETS.NAMES == 'veri':
        return reid_sets.test_photos(cfg, *_read_veri(cfg, reid_sets.TEST))
    root, splits = _read_vehicleid(cfg, ('test',))
    return _draw_test(cfg, root, splits['test'])


def _read_veri(cfg: CfgNode, names: Sequence[str]) -> tuple[str, Splits]:
    root = reid_sets.find_root(
        cfg, 'VeRi', [VERI[split] for split in names], f'VeRi/{{{",".join(VERI.values())}}}/*.jpg'
    )
    splits = {split: reid_sets.read_folder(root, VERI[split]) for split in names}
    reid_sets.warn_of_counts('veri', splits, VERI_PUBLISHED)
    views = _veri_views(cfg, root)
    if views is None:
        return root, splits
    seen = {split: _with_views(records, views) for split, records in splits.items()}
    dropped = [
        f'{len(splits[split]) - len(seen[split])} of {len(splits[split])} {split}'
        for split in names
    ]
    logger.info(
        'veri: photos without a viewpoint are dropped, as in the original: %s', ', '.join(dropped)
    )
    for split, records in seen.items():
        if not records:
            raise InputError(
                f'{" and ".join(KEYPOINTS)} name none of the photos in '
                f"{os.path.join(root, VERI[split])}; are they VeRi's?"
            )
    return root, seen


def _with_views(records: Sequence[Record], views: dict[str, int]) -> list[Record]:
    """The records whose views are known, with these."""
    seen = []
    for record in records:
        view = views.get(os.path.basename(record.path))
        if view is not None:
            seen.append(replace(record, viewid=view))
    return seen


def _veri_views(cfg: CfgNode, root: str) -> dict[str, int] | None:
    """{base name: view} of all photos that the key-point lists name, None without such lists."""
    files = {}
    for name in KEYPOINTS:
        candidates = [os.path.join(folder, name) for folder in (root, cfg.DATASETS.LIST_DIR)]
        present = [path for path in candidates if os.path.isfile(path)]
        if present:
            files[name] = present[0]
    missing = [name for name in KEYPOINTS if name not in files]
    if missing and (files or cfg.MODEL.SIE_VIEW):
        raise InputError(
            f'veri: no {" and ".join(missing)} in {root} or DATASETS.LIST_DIR; viewpoints are '
            f"told by {' and '.join(KEYPOINTS)} (key-point annotations, not in VeRi's archive): "
            'put both there, or none and set MODEL.SIE_VIEW False'
        )
    if missing:
        logger.info(
            'veri: no %s in %s or DATASETS.LIST_DIR: all photos count as one view',
            ' and '.join(KEYPOINTS),
            root,
        )
        return None
    train, test = (read_views(files[name]) for name in KEYPOINTS)
    return test | train  # the train list is asked first


def read_views(path: str) -> dict[str, int]:
    """Read a key-point list: ``folder/name.jpg``, 20 points (x y) and the view in a line.

    Returns:
        {base name: view 0 … 7}

    Raises:
        InputError: with file and line.
    """
    views: dict[str, int] = {}
    content = read_file(path, 'key-point list', f'{path}: no such key-point list').decode(
        'utf-8-sig', 'replace'
    )
    for number, line in enumerate(content.splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
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


def _read_vehicleid(cfg: CfgNode, names: Sequence[str]) -> tuple[str, Splits]:
    reid_sets.check_protocol_name(cfg, [VEHICLEID_PROTOCOL.name])
    if cfg.MODEL.SIE_CAMERA or cfg.MODEL.SIE_VIEW:
        raise InputError(
            'VehicleID tells neither cameras nor views; set MODEL.SIE_CAMERA and MODEL.SIE_VIEW '
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
    splits = {split: read_numbers(os.path.join(root, files[split])) for split in names}
    reid_sets.warn_of_counts(
        'VehicleID', splits, VEHICLEID_PUBLISHED | {'test': VEHICLEID_TESTS[size]}
    )
    return root, splits


def read_numbers(path: str) -> list[Record]:
    """Read a VehicleID list, lines ``number identity``, photos image/number.jpg.

    A line that occurs again is skipped, which is logged.

    Raises:
        InputError: with file and line, of a photo under two identities too.
    """
    records: list[Record] = []
    seen: dict[str, tuple[int, str]] = {}
    again = 0
    content = read_file(path, 'list', f'{path}: no such list').decode('utf-8-sig', 'replace')
    for number, line in enumerate(content.splitlines(), start=1):
        pair = PAIR.fullmatch(line.strip())
        if pair:
            first, identity = seen.setdefault(pair[1], (number, pair[2]))
            if identity != pair[2]:
                raise InputError(
                    f'{path}:{number}: photo {pair[1]} of identity {pair[2]} is in line {first} '
                    f'already, as {identity}; list each photo once'
                )
            if first == number:
                records.append(Record(f'image/{pair[1]}.jpg', int(pair[2])))
            else:
                again += 1
        elif line.strip():
            raise InputError(
                f"{path}:{number}: expected 'number identity', as 0346796 12345, got "
                f'{ascii(line)[:100]}'
            )
    if not records:
        raise InputError(f"{path}: the list is empty; expected lines 'number identity'")
    if again:
        logger.warning(
            '%s: %d lines name a photo that was listed before, as the same vehicle; they are '
            'left out',
            path,
            again,
        )
    return records


def _draw_test(cfg: CfgNode, root: str, records: Sequence[Record]) -> TestPhotos:
    """Ten trials, drawn from SOLVER.SEED.

    A random photo of each vehicle is the gallery (camera 1), the rest are queries (camera 0).
    """
    (records,) = as_photos(('VehicleID test', reid_sets.located(cfg, root, records, 'test')))
    photos = defaultdict(list)
    for index, record in enumerate(records):
        photos[record.pid].append(index)
    if len(photos) == len(records):
        raise InputError(
            f'VehicleID test: each of the {len(photos)} vehicles has one photo only, so none is '
            'left as a query'
        )
    in_gallery = [replace(record, camid=1) for record in records]
    random = np.random.RandomState(cfg.SOLVER.SEED)
    trials: list[Trial] = []
    for _ in range(TRIALS):
        chosen = {photos[pid][random.randint(len(photos[pid]))] for pid in sorted(photos)}
        query = [record for index, record in enumerate(records) if index not in chosen]
        trials.append((query, [in_gallery[index] for index in sorted(chosen)]))
    return TestPhotos(trials, VEHICLEID_PROTOCOL, root)
