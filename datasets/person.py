"""The person sets: Market-1501, DukeMTMC-reID, Occluded-Duke, MSMT17 (V1 and V2), as their archives
unpack.
"""

import logging
import os

from datasets import reid_sets as official
from datasets.records import Record, read_list
from utils.errors import InputError

logger = logging.getLogger('transreid')

# Photos in folders, named by identity and camera
FOLDERS = {
    'market1501': 'Market-1501-v15.09.15',
    'dukemtmc': 'dukemtmcreid/DukeMTMC-reID',
    'occ_duke': 'dukemtmcreid/Occluded_Duke',
}
PARTS = {'train': 'bounding_box_train', 'query': 'query', 'gallery': 'bounding_box_test'}
VIEWS = {'occ_duke': 1}  # of all its photos, as the original has it

# Photos in lists: version -> folder of a split's photos
MSMT17 = {
    'MSMT17': {'train': 'train', 'query': 'test', 'gallery': 'test'},
    'MSMT17_V2': {'train': 'mask_train_v2', 'query': 'mask_test_v2', 'gallery': 'mask_test_v2'},
}
LISTS = {
    'train': ('list_train.txt', 'list_val.txt'),
    'query': ('list_query.txt',),
    'gallery': ('list_gallery.txt',),
}

SETS = (*FOLDERS, 'msmt17')
PUBLISHED = {  # photos, identities in train
    'market1501': {'train': 12936, 'query': 3368, 'gallery': 15913, 'ids': 751},
    'dukemtmc': {'train': 16522, 'query': 2228, 'gallery': 17661, 'ids': 702},
    'occ_duke': {'train': 15618, 'query': 2210, 'gallery': 17661, 'ids': 702},
    'msmt17': {'train': 32621, 'query': 11659, 'gallery': 82161, 'ids': 1041},
}


def load_train(cfg):
    """``TrainPhotos`` of DATASETS.NAMES below ROOT_DIR; the official test is the validation. Raises
    ``InputError``.
    """
    return official.train_photos(cfg, *_read(cfg, official.SPLITS))


def load_test(cfg):
    """``TestPhotos`` of DATASETS.NAMES below ROOT_DIR: distractors (identity 0) are in the gallery.
    Raises ``InputError``.
    """
    return official.test_photos(cfg, *_read(cfg, official.TEST))


def _read(cfg, names):
    """The set's folder, and a dict of splits to records as listed."""
    read = _read_msmt17 if cfg.DATASETS.NAMES == 'msmt17' else _read_folders
    root, splits = read(cfg, names)
    official.warn_of_counts(cfg.DATASETS.NAMES, splits, PUBLISHED[cfg.DATASETS.NAMES])
    return root, splits


def _read_folders(cfg, names):
    name = cfg.DATASETS.NAMES
    layout = f'{FOLDERS[name]}/{{{",".join(PARTS.values())}}}/*.jpg'
    root = official.find_root(cfg, FOLDERS[name], [PARTS[split] for split in names], layout)
    return root, {
        split: official.read_folder(root, PARTS[split], VIEWS.get(name, 0)) for split in names
    }


def _read_msmt17(cfg, names):
    def is_there(version):
        folder = os.path.join(cfg.DATASETS.ROOT_DIR, version)
        return os.path.isdir(folder) and os.listdir(folder)

    version = next(filter(is_there, MSMT17), 'MSMT17')
    folders = MSMT17[version]
    parts = dict.fromkeys(part for split in names for part in (folders[split], *LISTS[split]))
    layout = (
        f'{version}/{{{",".join(dict.fromkeys(folders.values()))}}}/0000/*.jpg with {version}/'
        f'{{{",".join(file for files in LISTS.values() for file in files)}}}'
    )
    root = official.find_root(cfg, version, parts, layout)
    logger.info('msmt17: photos of %s', root)
    return root, {
        split: [
            record
            for file in LISTS[split]
            for record in _read_msmt17_list(os.path.join(root, file), folders[split], cfg)
        ]
        for split in names
    }


def _read_msmt17_list(path, folder, cfg):
    """0000/0000_000_01_0303morning_0008_0.jpg: the third field is the camera, from 1."""
    records = []
    for record in read_list(path, cfg.DATASETS.ALLOW_OUTSIDE):
        fields = os.path.basename(record.path).split('_')
        camera = fields[2] if len(fields) > 3 else ''
        if not (camera.isascii() and camera.isdigit() and 0 < len(camera) <= 4 and int(camera)):
            raise InputError(
                f"{path}: '{record.path[:100]}' does not tell the camera (from 1) in the third "
                'field of its name, '
                f'as 0000/0000_000_01_0303morning_0008_0.jpg does'
            )
        camera = int(camera) - 1
        records.append(Record(f'{folder}/{record.path}', record.pid, camid=camera, camera=camera))
    return records
