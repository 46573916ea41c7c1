"""The person sets, as unpacked: Market-1501, (Occluded-)DukeMTMC-reID and MSMT17."""

import os
import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from yacs.config import CfgNode

from datasets import reid_sets
from datasets.photos import TestPhotos, TrainPhotos
from datasets.records import Record, read_list
from utils.errors import InputError

# sets whose photos are named by identity and camera
FOLDERS = {
    'market1501': 'Market-1501-v15.09.15',
    'dukemtmc': 'dukemtmcreid/DukeMTMC-reID',
    'occ_duke': 'dukemtmcreid/Occluded_Duke',
}
PARTS = {'train': 'bounding_box_train', 'query': 'query', 'gallery': 'bounding_box_test'}

# A set with lists: version -> folders of its train and test photos
MSMT17 = {'MSMT17': ('train', 'test'), 'MSMT17_V2': ('mask_train_v2', 'mask_test_v2')}
LISTS = {
    'train': ('list_train.txt', 'list_val.txt'),
    'query': ('list_query.txt',),
    'gallery': ('list_gallery.txt',),
}
# 0000/0000_000_01_0303morning_0008_0.jpg: the third field is the camera, from 1
CAMERA = re.compile(r'[^_]*_[^_]*_(?!0+_)(\d{1,4})_', re.ASCII)

SETS = (*FOLDERS, 'msmt17')
PUBLISHED = {
    'market1501': {'train': 12936, 'query': 3368, 'gallery': 15913, 'identities': 751},
    'dukemtmc': {'train': 16522, 'query': 2228, 'gallery': 17661, 'identities': 702},
    'occ_duke': {'train': 15618, 'query': 2210, 'gallery': 17661, 'identities': 702},
    'msmt17': {'train': 32621, 'query': 11659, 'gallery': 82161, 'identities': 1041},
}


def load_train(cfg: CfgNode) -> TrainPhotos:
    """Return the train photos of DATASETS.NAMES; the official test is the validation.

    Raises:
        InputError: The set does not have its published layout.
    """
    return reid_sets.train_photos(cfg, *_read(cfg, reid_sets.SPLITS))


def load_test(cfg: CfgNode) -> TestPhotos:
    """Return the test photos of DATASETS.NAMES; distractors (identity 0) stay in the gallery.

    Raises:
        InputError: The set does not have its published layout.
    """
    return reid_sets.test_photos(cfg, *_read(cfg, reid_sets.TEST))


def _read(cfg: CfgNode, names: Sequence[str]) -> tuple[str, reid_sets.Splits]:
    name = cfg.DATASETS.NAMES
    if name == 'msmt17':
        root, splits = _read_msmt17(cfg, names)
    else:
        view = int(name == 'occ_duke')  # the original gives all photos of this set view 1
        root, splits = reid_sets.read_folders(cfg, FOLDERS[name], PARTS, names, view)
    reid_sets.warn_of_counts(name, splits, PUBLISHED[name])
    return root, splits


def _read_msmt17(cfg: CfgNode, names: Sequence[str]) -> tuple[str, reid_sets.Splits]:
    above = cfg.DATASETS.ROOT_DIR
    unpacked = [version for version in MSMT17 if any(Path(above, version).glob('*'))]
    version = [*unpacked, 'MSMT17'][0]
    train, test = MSMT17[version]
    folders = {'train': train, 'query': test, 'gallery': test}
    root = reid_sets.find_root(
        cfg,
        version,
        chain.from_iterable([folders[split], *LISTS[split]] for split in names),
        f'{version}/{{{train},{test}}}/0000/*.jpg with {version}/'
        'list_{train,val,query,gallery}.txt',
    )
    splits: reid_sets.Splits = {split: [] for split in names}
    for split, records in splits.items():
        for file in LISTS[split]:
            records += _read_msmt17_list(os.path.join(root, file), folders[split], cfg)
    return root, splits


def _read_msmt17_list(path: str, folder: str, cfg: CfgNode) -> list[Record]:
    records = []
    for record in read_list(path, cfg.DATASETS.ALLOW_OUTSIDE):
        match = CAMERA.match(os.path.basename(record.path))
        if not match:
            raise InputError(
                f"{path}: '{record.path[:100]}' has no camera number (from 1) in the third field "
                'of its name, unlike 0000/0000_000_01_0303morning_0008_0.jpg'
            )
        camera = int(match[1]) - 1
        records.append(Record(f'{folder}/{record.path}', record.pid, camera, camera=camera))
    return records
