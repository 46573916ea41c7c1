"""The vehicle sets: VeRi-776, with viewpoints where the user has the key-point lists, and VehicleID
with its ten trials.
"""

import logging
import os
import re
from collections import defaultdict
from dataclasses import replace

import numpy as np

from datasets import reid_sets as official
from datasets.copies import as_photos
from datasets.protocols import Protocol
from datasets.records import Record, read_file
from utils.errors import InputError

logger = logging.getLogger('transreid')

SETS = ('veri', 'VehicleID')

VERI = {'train': 'image_train', 'query': 'image_query', 'gallery': 'image_test'}
VERI_PUBLISHED = {'train': 37778, 'query': 1678, 'gallery': 11579, 'ids': 576}
KEYPOINTS = (
    'keypoint_train.txt',
    'keypoint_test.txt',
)  # annotations beside VeRi: 20 points and a viewpoint for each photo
FIELDS, VIEWS = 42, 8

TRIALS = 10
VEHICLEID_PUBLISHED = {'train': 113346, 'ids': 13164, 800: 6493, 1600: 13377, 2400: 19777}
PAIR = re.compile(r'(\d{1,18})\s+(\d{1,18})', re.ASCII)
VEHICLEID_PROTOCOL = Protocol(
    'vehicleid',
    ap='precision',
    no_positive='skip',
    text='VehicleID: one photo of each vehicle is the gallery, the others are the queries; '
    f'{TRIALS} such trials, drawn from '
    'SOLVER.SEED, are averaged',
)


def load_train(cfg):
    """``TrainPhotos`` of DATASETS.NAMES below ROOT_DIR; the official test is the validation. Raises
    ``InputError``.
    """
    if cfg.DATASETS.NAMES == 'veri':
        return official.train_photos(cfg, *_read_veri(cfg, official.SPLITS))
    root, splits = _read_vehicleid(cfg, ('train', 'test'))
    return official.train_photos(
        cfg, root, splits, _trials(cfg, root, splits['test']), VEHICLEID_PROTOCOL
    )


def load_test(cfg):
    """``TestPhotos`` of DATASETS.NAMES below ROOT_DIR, of VehicleID with ten trials. Raises
    ``InputError``.
    """
    if cfg.DATASETS.NAMES == 'veri':
        return official.test_photos(cfg, *_read_veri(cfg, official.TEST))
    root, splits = _read_vehicleid(cfg, ('test',))
    return official.test_photos(
        cfg, root, splits, _trials(cfg, root, splits['test']), VEHICLEID_PROTOCOL
    )


# -------------------------------------------------------------------------------------------- VeRi


def _read_veri(cfg, names):
    root = official.find_root(
        cfg, 'VeRi', [VERI[split] for split in names], f'VeRi/{{{",".join(VERI.values())}}}/*.jpg'
    )
    splits = {split: official.read_folder(root, VERI[split]) for split in names}
    official.warn_of_counts('veri', splits, VERI_PUBLISHED)
    views = _veri_views(cfg, root)
    if views is None:
        return root, splits
    seen = {
        split: [
            replace(record, viewid=views[os.path.basename(record.path)])
            for record in records
            if os.path.basename(record.path) in views
        ]
        for split, records in splits.items()
    }
    logger.info(
        'veri: photos without a viewpoint are dropped, as in the original: %s',
        ', '.join(
            f'{len(splits[split]) - len(seen[split])} of {len(splits[split])} {split}'
            for split in names
        ),
    )
    for split, records in seen.items():
        if not records:
            raise InputError(
                f'{" and ".join(KEYPOINTS)} name none of the photos in '
                f'{os.path.join(root, VERI[split])}; are '
                f"they VeRi's?"
            )
    return root, seen


def _veri_views(cfg, root):
    """Base name -> view of all photos that the key-point lists name, None where there are no such
    lists.
    """
    places = {
        file: os.path.join(folder, file)
        for folder in (cfg.DATASETS.LIST_DIR, root)
        for file in KEYPOINTS
        if os.path.isfile(os.path.join(folder, file))
    }
    missing = [file for file in KEYPOINTS if file not in places]
    if missing and (places or cfg.MODEL.SIE_VIEW):
        raise InputError(
            f'veri: no {" and ".join(missing)} in {root} or DATASETS.LIST_DIR; viewpoints are '
            'told by '
            f"{' and '.join(KEYPOINTS)} (key-point annotations, not in VeRi's archive): put both "
            'there, or none '
            f'and set MODEL.SIE_VIEW False'
        )
    if missing:
        logger.info(
            'veri: no %s in %s or DATASETS.LIST_DIR: all photos count as one view',
            ' and '.join(KEYPOINTS),
            root,
        )
        return None
    train, test = (read_views(places[file]) for file in KEYPOINTS)
    return test | train  # the train list is asked first


def read_views(path):
    """Base name -> view 0 … 7 of a key-point list: ``folder/name.jpg``, 20 points (x y) and the
    view in a line.

    Raises ``InputError`` with file and line.
    """
    views = {}
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
                f'{VIEWS - 1}), got '
                f'{len(fields)}, the last {ascii(fields[-1])[:50]}'
            )
        name, view = fields[0].rsplit('/', 1)[-1], int(fields[-1])
        if views.setdefault(name, view) != view:
            raise InputError(
                f'{path}:{number}: {ascii(name)[1:-1][:100]} has view {view} here and '
                f'{views[name]} above'
            )
    return views


# --------------------------------------------------------------------------------------- VehicleID


def _read_vehicleid(cfg, names):
    official.check_protocol_name(cfg, [VEHICLEID_PROTOCOL.name])
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
    root = official.find_root(
        cfg,
        'VehicleID_V1.0',
        ['image', *(files[split] for split in names)],
        f'VehicleID_V1.0/image/*.jpg with VehicleID_V1.0/{{{",".join(files.values())}}}',
    )
    splits = {split: read_numbers(os.path.join(root, files[split])) for split in names}
    official.warn_of_counts(
        'VehicleID', splits, VEHICLEID_PUBLISHED | {'test': VEHICLEID_PUBLISHED[size]}
    )
    return root, splits


def read_numbers(path):
    """Records of a VehicleID list, lines ``number identity``, photos image/number.jpg; a line that
    occurs again is left out, and told. ``InputError`` with file and line, of a photo under two
    identities too.
    """
    records, seen, again = [], {}, 0
    content = read_file(path, 'list', f'{path}: no such list').decode('utf-8-sig', 'replace')
    for number, line in enumerate(content.splitlines(), start=1):
        pair = PAIR.fullmatch(line.strip())
        if pair:
            first, identity = seen.setdefault(pair[1], (number, pair[2]))
            if identity != pair[2]:
                raise InputError(
                    f'{path}:{number}: photo {pair[1]} of identity {pair[2]} is in line {first} '
                    'already, as '
                    f'{identity}; list each photo once'
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


def _trials(cfg, root, records):
    """Ten (query, gallery) pairs of located records: a random photo of each vehicle is the gallery
    (camera 1), the rest are queries (camera 0). Drawn from SOLVER.SEED.
    """
    (records,) = as_photos(('VehicleID test', official.located(cfg, root, records, 'test')))
    photos = defaultdict(list)
    for index, record in enumerate(records):
        photos[record.pid].append(index)
    if len(photos) == len(records):
        raise InputError(
            f'VehicleID test: each of the {len(photos)} vehicles has one photo only, so none is '
            'left as a query'
        )
    in_gallery = [replace(record, camid=1) for record in records]
    random, trials = np.random.RandomState(cfg.SOLVER.SEED), []
    for _ in range(TRIALS):
        chosen = {photos[pid][random.randint(len(photos[pid]))] for pid in sorted(photos)}
        trials.append(
            (
                [record for index, record in enumerate(records) if index not in chosen],
                [in_gallery[index] for index in sorted(chosen)],
            )
        )
    return trials
