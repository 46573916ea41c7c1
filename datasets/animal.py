"""The animals: tiger, yak, elephant, and any species with its own lists."""

import os
from collections.abc import Iterable, Mapping, Sequence

from yacs.config import CfgNode

from datasets.atrw import attach_atrw, read_atrw
from datasets.folders import PhotoFolder, locate
from datasets.photos import TestPhotos, TrainPhotos, as_photos
from datasets.protocols import PROTOCOLS, resolve_protocol
from datasets.records import Record, check_contiguous, individuals, read_list
from utils.errors import InputError
from utils.logger import logger
from utils.words import first_few

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


def load_train(cfg: CfgNode) -> TrainPhotos:
    """Read the training lists and locate their photos in ROOT_DIR/DATA_DIR.

    The lists are DATASETS.TRAIN_LIST and VAL_LIST, by default those of DATASETS.SPECIES. Without a
    validation list there is no validation. Otherwise its queries are the validation list and its
    gallery is the train photos, with no camera filter, as one camera sees most individuals. The
    listed side is the view; only MODEL.SIE_VIEW uses it, and the original drops it.

    Raises:
        InputError: The lists or photos cannot be trained on.
    """
    files = list_files(cfg, 'train')
    train_file, val_file = files['train'], files['validation']
    listed = read_list(train_file, cfg.DATASETS.ALLOW_OUTSIDE)
    check_contiguous(listed, train_file)
    validation = read_list(val_file, cfg.DATASETS.ALLOW_OUTSIDE) if val_file else []
    folder = photo_folder(cfg, 'train')
    train, query = as_photos(
        (train_file, locate(listed, folder, train_file)),
        (val_file, locate(validation, folder, val_file)),
    )
    if individuals(train) < 2:
        raise InputError(
            f'{train_file}: only one individual has photos in {folder.root}; training needs at '
            'least two: check DATASETS.ROOT_DIR and DATASETS.DATA_DIR'
        )
    photos = None
    if query:
        check_validation(query, train, val_file, train_file)
        photos = TestPhotos([(query, train)], PROTOCOLS['market_one_camera'], folder.root)
    return TrainPhotos(train, individuals(listed), folder.root, photos)


def load_test(cfg: CfgNode) -> TestPhotos:
    """Read the test lists and locate their photos in TEST_ROOT_DIR.

    The lists are DATASETS.QUERY_LIST and GALLERY_LIST, by default those of DATASETS.SPECIES.
    Without a gallery list the query list is also the gallery: both are the same list of records.

    Raises:
        InputError: The lists or photos cannot be tested on.
    """
    data = cfg.DATASETS
    files = list_files(cfg, 'query')
    listed = {files['query']: read_list(files['query'], data.ALLOW_OUTSIDE)}
    if files['gallery'] not in listed:
        gallery = read_list(files['gallery'], data.ALLOW_OUTSIDE, is_gallery=True)
        listed[files['gallery']] = gallery
    listed = attach_ground_truth(listed, cfg)
    folder = photo_folder(cfg, 'query')
    located = [(file, locate(records, folder, file)) for file, records in listed.items()]
    photos = as_photos(*located)
    trial = photos[0], photos[-1]
    protocol = resolve_protocol(data.PROTOCOL, data.SPECIES, *trial)
    return TestPhotos([trial], protocol, folder.root)


def list_files(cfg: CfgNode, required: str = '') -> dict[str, str]:
    """Return the path of each split's list, '' if the split has none.

    Args:
        cfg: The config.
        required: The split that must have a list, 'train' or 'query'.

    Raises:
        InputError: The required list is not configured.
    """
    data = cfg.DATASETS
    train, validation = TRAINING_LISTS.get(data.SPECIES, ('', ''))
    query, gallery = TEST_LISTS.get(data.SPECIES, ('', ''))
    names = {
        'train': data.TRAIN_LIST or train,
        'validation': data.VAL_LIST or validation,
        'query': data.QUERY_LIST or query,
        'gallery': data.GALLERY_LIST or gallery or data.QUERY_LIST,
    }
    if required and not names[required]:
        known = TRAINING_LISTS if required == 'train' else TEST_LISTS
        raise InputError(
            f"DATASETS.SPECIES '{data.SPECIES}' has no {required} list; choose one of "
            f'{", ".join(known)}, or set DATASETS.{required.upper()}_LIST to your own list'
        )
    return {split: list_file(name, data.LIST_DIR) for split, name in names.items()}


def list_file(name: str, list_dir: str) -> str:
    """Return the path of a list.

    Args:
        name: A path, which is returned unchanged; or a file name in ``list_dir``, or in the
            working directory if the file exists only there.
        list_dir: The value of DATASETS.LIST_DIR.
    """
    inside = os.path.join(list_dir, name)
    if not name or os.path.dirname(name) or (os.path.isfile(name) and not os.path.isfile(inside)):
        return name
    return inside


def attach_ground_truth(
    lists: Mapping[str, Sequence[Record]], cfg: CfgNode
) -> dict[str, list[Record]]:
    """Return the test lists, with the ground truth if the protocol has one.

    Args:
        lists: {name: records as listed} of query and gallery.
        cfg: The config.
    """
    data = cfg.DATASETS
    protocol = PROTOCOLS.get(data.PROTOCOL or data.SPECIES)
    if not protocol or not protocol.ground_truth:
        return {name: list(records) for name, records in lists.items()}
    file = list_file(data.GROUND_TRUTH or protocol.ground_truth, data.LIST_DIR)
    truth = read_atrw(file)
    return {name: attach_atrw(records, truth, file) for name, records in lists.items()}


def check_validation(
    query: Iterable[Record], train: Iterable[Record], val_file: str, train_file: str
) -> None:
    """Warn about individuals in the validation photos that are not in the train photos.

    Raises:
        InputError: No validation photo shows an individual of the train photos.
    """
    validated = {record.pid for record in query}
    untrained = sorted(validated - {record.pid for record in train})
    if len(untrained) == len(validated):
        raise InputError(
            f'{val_file}: no validation photo shows an individual of {train_file}, so no query '
            "can have a match; choose another DATASETS.VAL_LIST, or '' for no validation"
        )
    if untrained:
        logger.warning(
            '%s: %d individuals are not in the train list (%s): their queries have no match in '
            'the validation',
            val_file,
            len(untrained),
            first_few(list(map(str, untrained))),
        )


def photo_folder(cfg: CfgNode, split: str) -> PhotoFolder:
    """Return the folder of the photos of 'train', 'validation', 'query' or 'gallery'."""
    data = cfg.DATASETS
    root, key = os.path.join(data.ROOT_DIR, data.DATA_DIR), 'DATASETS.ROOT_DIR/DATA_DIR'
    if split in ('query', 'gallery'):
        root, key = data.TEST_ROOT_DIR, 'DATASETS.TEST_ROOT_DIR'
    return PhotoFolder(root, key, data.SKIP_MISSING, data.ALLOW_OUTSIDE, data.SKIP_BROKEN)
