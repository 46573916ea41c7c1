"""The animals: tiger, yak, elephant, and any species with lists of its own."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence

from yacs.config import CfgNode

from datasets.atrw import attach_atrw, read_atrw
from datasets.copies import as_photos
from datasets.folders import PhotoFolder, locate
from datasets.photos import TestPhotos, TrainPhotos
from datasets.protocols import PROTOCOLS, resolve_protocol
from datasets.records import Record, check_contiguous, read_list
from utils.errors import InputError
from utils.words import first_few

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


def load_train(cfg: CfgNode) -> TrainPhotos:
    """Read the training lists and find their photos in ROOT_DIR/DATA_DIR.

    Lists: DATASETS.TRAIN_LIST and VAL_LIST, else those of DATASETS.SPECIES. A species of one's own
    without VAL_LIST has no validation. Its queries are the validation list, its gallery the train
    photos, by whatever cameras: an individual is mostly seen by a single one. The listed side is
    the view, which the original drops: it is used with MODEL.SIE_VIEW only.

    Raises:
        InputError: where lists or photos cannot be trained on.
    """
    data = cfg.DATASETS
    default_train, default_val = TRAINING_LISTS.get(data.SPECIES, ('', ''))
    train_file = list_file(data.TRAIN_LIST or default_train, data.LIST_DIR)
    val_file = list_file(data.VAL_LIST or default_val, data.LIST_DIR)
    if not train_file:
        keys = 'DATASETS.TRAIN_LIST (and VAL_LIST)'
        raise InputError(_no_list(data.SPECIES, 'train', keys, TRAINING_LISTS))
    listed = read_list(train_file, data.ALLOW_OUTSIDE)
    check_contiguous(listed, train_file)
    validation = read_list(val_file, data.ALLOW_OUTSIDE) if val_file else []
    warn_of_strangers(validation, listed, val_file)
    folder = train_folder(cfg)
    train, query = as_photos(
        (train_file, locate(listed, folder, train_file)),
        (val_file, locate(validation, folder, val_file)),
    )
    if len({record.pid for record in train}) < 2:
        raise InputError(
            f'{train_file}: photos of one individual only; telling individuals apart needs at '
            'least two'
        )
    photos = None
    if query:
        check_validation(query, train, val_file, train_file)
        photos = TestPhotos([(query, train)], PROTOCOLS['market_one_camera'], folder.root)
    return TrainPhotos(train, len({record.pid for record in listed}), folder.root, photos)


def load_test(cfg: CfgNode) -> TestPhotos:
    """Read the test lists and find their photos in TEST_ROOT_DIR.

    Lists: DATASETS.QUERY_LIST and GALLERY_LIST, else those of DATASETS.SPECIES; without a gallery
    list anywhere it is the query's file, and then both are one and the same list of records.

    Raises:
        InputError: where lists or photos cannot be tested on.
    """
    data = cfg.DATASETS
    default_query, default_gallery = TEST_LISTS.get(data.SPECIES, ('', ''))
    query_file = list_file(data.QUERY_LIST or default_query, data.LIST_DIR)
    gallery_file = list_file(data.GALLERY_LIST or default_gallery or data.QUERY_LIST, data.LIST_DIR)
    if not query_file:
        keys = 'DATASETS.QUERY_LIST (and GALLERY_LIST)'
        raise InputError(_no_list(data.SPECIES, 'test', keys, TEST_LISTS))
    listed = {query_file: read_list(query_file, data.ALLOW_OUTSIDE)}
    if gallery_file != query_file:
        listed[gallery_file] = read_list(gallery_file, data.ALLOW_OUTSIDE, is_gallery=True)
    listed = attach_ground_truth(listed, cfg)
    folder = test_folder(cfg)
    located = [(file, locate(records, folder, file)) for file, records in listed.items()]
    splits = as_photos(*located)
    query, gallery = splits[0], splits[-1]
    protocol = resolve_protocol(data.PROTOCOL, data.SPECIES, query, gallery)
    return TestPhotos([(query, gallery)], protocol, folder.root)


def attach_ground_truth(
    lists: Mapping[str, Sequence[Record]], cfg: CfgNode
) -> dict[str, list[Record]]:
    """Return the test lists with the ground truth, where the protocol has one.

    Args:
        lists: {name: records as listed}, query and gallery.
        cfg: the config.
    """
    data = cfg.DATASETS
    protocol = PROTOCOLS.get(data.PROTOCOL or data.SPECIES)
    if not protocol or not protocol.ground_truth:
        return {name: list(records) for name, records in lists.items()}
    file = list_file(data.GROUND_TRUTH or protocol.ground_truth, data.LIST_DIR)
    truth = read_atrw(file)
    return {name: attach_atrw(records, truth, file) for name, records in lists.items()}


def warn_of_strangers(query: Iterable[Record], train: Iterable[Record], val_file: str) -> None:
    """Warn of individuals of the validation list that the train list lacks."""
    strangers = sorted({record.pid for record in query} - {record.pid for record in train})
    if strangers:
        logger.warning(
            '%s: %d individuals are not in the train list (%s): they can have no match in '
            'validation',
            val_file,
            len(strangers),
            first_few([str(label) for label in strangers]),
        )


def check_validation(
    query: Iterable[Record], train: Iterable[Record], val_file: str, train_file: str
) -> None:
    """Raise ``InputError`` unless the validation shows an individual of the train photos."""
    if {record.pid for record in query}.isdisjoint({record.pid for record in train}):
        raise InputError(
            f'{val_file}: no validation photo shows an individual of {train_file}, so none could '
            "be found; choose another DATASETS.VAL_LIST, or '' for none"
        )


def train_folder(cfg: CfgNode) -> PhotoFolder:
    """Return the folder of the train and validation photos."""
    root = os.path.join(cfg.DATASETS.ROOT_DIR, cfg.DATASETS.DATA_DIR)
    return _folder(cfg, root, 'DATASETS.ROOT_DIR/DATA_DIR')


def test_folder(cfg: CfgNode) -> PhotoFolder:
    """Return the folder of the query and gallery photos."""
    return _folder(cfg, cfg.DATASETS.TEST_ROOT_DIR, 'DATASETS.TEST_ROOT_DIR')


def _folder(cfg: CfgNode, root: str, key: str) -> PhotoFolder:
    data = cfg.DATASETS
    return PhotoFolder(root, key, data.SKIP_MISSING, data.ALLOW_OUTSIDE, data.SKIP_BROKEN)


def list_file(name: str, list_dir: str) -> str:
    """Return the path of a list.

    Args:
        name: a path, which stays as it is; or a bare name in ``list_dir``, or in the working
            directory if only there.
        list_dir: DATASETS.LIST_DIR.
    """
    inside = os.path.join(list_dir, name)
    if not name or os.path.dirname(name) or (os.path.isfile(name) and not os.path.isfile(inside)):
        return name
    return inside


def _no_list(species: str, what: str, keys: str, known: Iterable[str]) -> str:
    return (
        f"DATASETS.SPECIES '{species}' has no {what} list; choose one of {', '.join(known)}, "
        f'or set {keys} to lists of your own'
    )
