"""Read the lists of a config in the same way as training and the test do.

Where training or the test would stop with an error, the message is kept and reading continues.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from yacs.config import CfgNode

from configs import with_value
from datasets.animal import (
    attach_ground_truth,
    check_validation,
    list_files,
    photo_folder,
)
from datasets.folders import PhotoFolder, locate
from datasets.make_dataloader_clipreid import make_batches
from datasets.photos import TestPhotos, TrainPhotos, as_photos
from datasets.protocols import Protocol, resolve_protocol
from datasets.records import Record, check_contiguous, read_list
from datasets.sources import load_test, load_train
from utils.distributed import SINGLE
from utils.errors import InputError

Photos = TypeVar('Photos', TrainPhotos, TestPhotos)


@dataclass
class Lists:
    """The lists to check.

    Attributes:
        splits: 'train', 'validation', 'query', 'gallery' -> located records of the photos that
            exist. Holds only the splits that the config has.
        sources: Split -> its list or folder.
        missing: Split -> paths of missing photos.
        protocol: Protocol of the test; None if it is unknown.
        errors: Errors that would stop training or the test, one line each.
        warnings: Warnings of training and the test, one line each.
        notes: Checks that are not possible, one line each.
        official: Whether this is a published set, whose labels and splits are fixed.
    """

    splits: dict[str, list[Record]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    protocol: Protocol | None = None
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    official: bool = False

    @contextlib.contextmanager
    def keep_errors(self) -> Iterator[None]:
        """Record an ``InputError`` raised in this block in ``errors`` and continue after it."""
        try:
            yield
        except InputError as error:
            if str(error) not in self.errors:
                self.errors.append(str(error))

    def has(self, *splits: str) -> bool:
        """Whether the config has all these splits."""
        return self.splits.keys() >= set(splits)


def read_lists(cfg: CfgNode) -> Lists:
    """Read the lists of a config.

    Raises:
        InputError: If a list cannot be read, or there is nothing to check.
    """
    # Another rule reports broken photos, so reading the lists must not skip them.
    cfg = with_value(cfg, 'DATASETS.SKIP_BROKEN', False)
    lists = Lists(official=cfg.DATASETS.NAMES != 'animals')
    with _collect_warnings(lists.warnings):
        if lists.official:
            _read_official(lists, cfg)
        else:
            _read_animals(lists, cfg)
        if lists.has('train'):
            _check_batches(lists, cfg)
    return lists


class _Collector(logging.Handler):
    """Log handler that keeps each different warning once."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() not in self.lines:
            self.lines.append(record.getMessage())


@contextlib.contextmanager
def _collect_warnings(lines: list[str]) -> Iterator[None]:
    """Append warnings of the project's logger to ``lines`` instead of logging them."""
    logger = logging.getLogger('transreid')
    before = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [_Collector(lines)], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before


def _read_animals(lists: Lists, cfg: CfgNode) -> None:
    data = cfg.DATASETS
    named = {
        'train': data.TRAIN_LIST,
        'validation': data.VAL_LIST,
        'query': data.QUERY_LIST,
        'gallery': data.GALLERY_LIST,
    }
    for split, file in list_files(cfg).items():
        if named[split] or os.path.isfile(file):  # the default list of a species may be missing
            is_gallery = split == 'gallery' and file != lists.sources.get('query')
            lists.splits[split] = read_list(file, data.ALLOW_OUTSIDE, is_gallery)
            lists.sources[split] = file
        elif split != 'gallery' or lists.has('query'):
            lists.notes.append(f'no {split} list' + (f' ({file} does not exist)' if file else ''))
    listed = dict(lists.splits)
    if not listed:
        raise InputError(
            f"DATASETS.SPECIES '{data.SPECIES}': no list to check in '{data.LIST_DIR}'; "
            'set DATASETS.TRAIN_LIST, VAL_LIST, QUERY_LIST, GALLERY_LIST or LIST_DIR'
        )
    _check_listed(lists, cfg)
    _locate(lists, cfg)
    named_splits = [(lists.sources[split], records) for split, records in lists.splits.items()]
    lists.splits = dict(zip(lists.splits, as_photos(*named_splits), strict=True))
    if lists.has('query', 'gallery'):
        with lists.keep_errors():
            lists.protocol = resolve_protocol(
                data.PROTOCOL,
                data.SPECIES,
                lists.splits['query'] or listed['query'],
                lists.splits['gallery'] or listed['gallery'],
            )


def _check_listed(lists: Lists, cfg: CfgNode) -> None:
    """Check what the lists alone can show, before their photos are located."""
    if lists.has('train'):
        with lists.keep_errors():
            check_contiguous(lists.splits['train'], lists.sources['train'])
    if lists.has('train', 'validation'):
        with lists.keep_errors():
            check_validation(
                lists.splits['validation'],
                lists.splits['train'],
                lists.sources['validation'],
                lists.sources['train'],
            )
    if lists.has('query', 'gallery'):
        with lists.keep_errors():
            tested = {split: lists.splits[split] for split in ('query', 'gallery')}
            lists.splits |= attach_ground_truth(tested, cfg)


def _locate(lists: Lists, cfg: CfgNode) -> None:
    """Join paths with their folder; drop missing photos and rejected ones outside the folder."""
    for split, records in lists.splits.items():
        folder = replace(photo_folder(cfg, split), skip_missing=False)
        present, missing = [], []
        for record in records:
            path = os.path.join(folder.root, record.path)
            if os.path.isfile(path):
                present.append(record)
            else:
                missing.append(path)
        lists.missing[split] = missing
        try:
            lists.splits[split] = locate(present, folder, lists.sources[split])
        except InputError as error:
            lists.errors.append(str(error))
            lists.splits[split] = _located_one_by_one(present, folder)


def _located_one_by_one(records: Sequence[Record], folder: PhotoFolder) -> list[Record]:
    """Locate records, without those that ``locate`` rejects."""
    found = []
    for record in records:
        with contextlib.suppress(InputError):
            found += locate([record], folder, '')
    return found


def _read_official(lists: Lists, cfg: CfgNode) -> None:
    train: TrainPhotos | None = _load(lists, cfg, load_train)
    test: TestPhotos | None = _load(lists, cfg, load_test)
    if train is not None:
        lists.splits['train'] = train.train
        lists.sources['train'] = train.root
    if test is not None:  # the other trials of VehicleID use the same photos
        lists.splits |= {'query': test.query, 'gallery': test.gallery}
        lists.sources |= dict.fromkeys(('query', 'gallery'), test.root)
        lists.protocol = test.protocol
    if not lists.splits:
        raise InputError(lists.errors[0])


def _load(lists: Lists, cfg: CfgNode, load: Callable[[CfgNode], Photos]) -> Photos | None:
    """Load a set; if photos are missing, load it without them. None if it cannot be loaded."""
    with lists.keep_errors():
        return load(cfg)
    # The missing photos are reported already, so a warning about them is dropped.
    with lists.keep_errors(), _collect_warnings([]):
        return load(with_value(cfg, 'DATASETS.SKIP_MISSING', True))
    return None


def _check_batches(lists: Lists, cfg: CfgNode) -> None:
    """Check that stage 2 can fill its batches with the photos that exist."""
    with lists.keep_errors():
        make_batches(cfg, [record.pid for record in lists.splits['train']], SINGLE)
