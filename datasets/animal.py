"""The animals: tiger, yak, elephant, and any species with lists of its own."""

import logging
import os

from datasets.copies import as_photos
from datasets.photos import TestPhotos, TrainPhotos
from datasets.protocols import PROTOCOLS, attach_atrw, read_atrw, resolve_protocol
from datasets.records import check_contiguous, locate, read_list
from utils.errors import InputError

logger = logging.getLogger('transreid')

# species -> train list, validation list; the test lists belong to the protocols
TRAINING_LISTS = {
    'tiger': ('mytrain.txt', 'myval.txt'),
    'yak': ('yak_mytrain_aligned.txt', 'yak_myval_aligned.txt'),
    'h_yak': ('yak_mytrain_aligned.txt', 'yak_myval_aligned.txt'),
    's_yak': ('yak_mytrain_aligned.txt', 'yak_myval_aligned.txt'),
    'elephant': ('ele_train.txt', 'ele_val.txt'),
    'all': ('all_train_aligned.txt', 'all_val_aligned.txt'),
}
TEST_LISTS = {
    name: (protocol.query_list, protocol.gallery_list)
    for name, protocol in PROTOCOLS.items()
    if protocol.query_list
}


def load_train(cfg):
    """Read the training lists and find their photos in ROOT_DIR/DATA_DIR: ``TrainPhotos``. Raises
    ``InputError``.

    Lists: DATASETS.TRAIN_LIST and VAL_LIST, else those of DATASETS.SPECIES. A species of one's own
    without VAL_LIST has no validation. Its queries are the validation list, its gallery the train
    photos, by whatever cameras: an individual is mostly seen by a single one. The listed side is
    the view, which the original drops: it is used with MODEL.SIE_VIEW only.
    """
    data = cfg.DATASETS
    defaults = TRAINING_LISTS.get(data.SPECIES, ('', ''))
    train_file = list_file(data.TRAIN_LIST or defaults[0], data.LIST_DIR)
    val_file = list_file(data.VAL_LIST or defaults[1], data.LIST_DIR)
    if not train_file:
        raise InputError(
            _no_list(data.SPECIES, 'train', 'DATASETS.TRAIN_LIST (and VAL_LIST)', TRAINING_LISTS)
        )
    train = read_list(train_file, data.ALLOW_OUTSIDE)
    check_contiguous(train, train_file)
    query = read_list(val_file, data.ALLOW_OUTSIDE) if val_file else []
    labels = {record.pid for record in train}
    strangers = sorted({record.pid for record in query} - labels)
    if strangers:
        logger.warning(
            '%s: %d individuals are not in the train list (%s): they can have no match in '
            'validation',
            val_file,
            len(strangers),
            ', '.join(map(str, strangers[:3])),
        )
    where = {
        'root': train_root(cfg),
        'skip_missing': data.SKIP_MISSING,
        'key': 'DATASETS.ROOT_DIR/DATA_DIR',
        'allow_outside': data.ALLOW_OUTSIDE,
        'skip_broken': data.SKIP_BROKEN,
    }
    train, query = as_photos(
        (train_file, locate(train, what=train_file, **where)),
        (val_file, locate(query, what=val_file, **where)),
    )
    if len({record.pid for record in train}) < 2:
        raise InputError(
            f'{train_file}: photos of one individual only; telling individuals apart needs at '
            'least two'
        )
    if query and not {record.pid for record in query} & {record.pid for record in train}:
        raise InputError(
            f'{val_file}: no validation photo shows an individual of {train_file}, so none could '
            'be found; '
            f"choose another DATASETS.VAL_LIST, or '' for none"
        )
    validation = (
        TestPhotos([(query, train)], PROTOCOLS['market_one_camera'], train_root(cfg))
        if query
        else None
    )
    return TrainPhotos(train, len(labels), train_root(cfg), validation)


def load_test(cfg):
    """Read the test lists and find their photos in TEST_ROOT_DIR: ``TestPhotos``. Raises
    ``InputError``.

    Lists: DATASETS.QUERY_LIST and GALLERY_LIST, else those of DATASETS.SPECIES; without a gallery
    list anywhere it is the query's file, and then both are one and the same list of records.
    """
    data = cfg.DATASETS
    defaults = TEST_LISTS.get(data.SPECIES, ('', ''))
    query_file = list_file(data.QUERY_LIST or defaults[0], data.LIST_DIR)
    gallery_file = list_file(data.GALLERY_LIST or defaults[1] or data.QUERY_LIST, data.LIST_DIR)
    if not query_file:
        raise InputError(
            _no_list(data.SPECIES, 'test', 'DATASETS.QUERY_LIST (and GALLERY_LIST)', TEST_LISTS)
        )
    files = dict.fromkeys((query_file, gallery_file))
    splits = {
        file: read_list(file, data.ALLOW_OUTSIDE, is_gallery=file != query_file) for file in files
    }
    named = PROTOCOLS.get(data.PROTOCOL or data.SPECIES)
    if named and named.ground_truth:
        truth_file = list_file(data.GROUND_TRUTH or named.ground_truth, data.LIST_DIR)
        truth = read_atrw(truth_file)
        splits = {file: attach_atrw(records, truth, truth_file) for file, records in splits.items()}
    splits = {
        file: locate(
            records,
            root=data.TEST_ROOT_DIR,
            skip_missing=data.SKIP_MISSING,
            what=file,
            key='DATASETS.TEST_ROOT_DIR',
            allow_outside=data.ALLOW_OUTSIDE,
            skip_broken=data.SKIP_BROKEN,
        )
        for file, records in splits.items()
    }
    splits = dict(zip(splits, as_photos(*splits.items()), strict=True))
    query, gallery = splits[query_file], splits[gallery_file]
    protocol = resolve_protocol(data.PROTOCOL, data.SPECIES, query, gallery)
    return TestPhotos([(query, gallery)], protocol, data.TEST_ROOT_DIR)


def train_root(cfg):
    """Folder of the train and validation photos."""
    return os.path.join(cfg.DATASETS.ROOT_DIR, cfg.DATASETS.DATA_DIR)


def list_file(name, list_dir):
    """Where a list is: a path as it stands; a bare name in LIST_DIR, or in the working directory if
    only there.
    """
    inside = os.path.join(list_dir, name)
    if not name or os.path.dirname(name) or (os.path.isfile(name) and not os.path.isfile(inside)):
        return name
    return inside


def _no_list(species, what, keys, known):
    return (
        f"DATASETS.SPECIES '{species}' has no {what} list; choose one of {', '.join(known)}, "
        f'or set {keys} to lists of your own'
    )
