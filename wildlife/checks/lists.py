"""What a config asks to train and test on, read as training and the test read it, but going on
where they would stop.
"""

import contextlib
import logging
import os
from dataclasses import dataclass, field

from configs import with_value
from datasets.animal import TEST_LISTS, TRAINING_LISTS, list_file, train_root
from datasets.copies import as_photos
from datasets.make_dataloader_clipreid import make_batches
from datasets.protocols import PROTOCOLS, attach_atrw, read_atrw, resolve_protocol
from datasets.records import check_contiguous, locate, read_list
from datasets.sources import load_test, load_train
from utils.distributed import SINGLE
from utils.errors import InputError


@dataclass
class Lists:
    """What is to be checked.

    splits: {'train', 'validation', 'query', 'gallery': located records, of photos that are there},
    those that the config has.
    sources: {split: its list or folder}. missing: {split: paths that are not there}.
    protocol: of the test, None where it cannot be told. refused: what training or the test stop at,
    one line each.
    warned: what they warn of. notes: what could not be checked. official: a published set, whose
    labels and split are given.
    """

    splits: dict = field(default_factory=dict)
    sources: dict = field(default_factory=dict)
    missing: dict = field(default_factory=dict)
    protocol: object = None
    refused: list = field(default_factory=list)
    warned: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    official: bool = False

    @contextlib.contextmanager
    def refusing(self):
        """An InputError within this block is kept, and work goes on behind it."""
        try:
            yield
        except InputError as error:
            if str(error) not in self.refused:
                self.refused.append(str(error))


def read_lists(cfg):
    """The ``Lists`` of a config. Raises ``InputError`` where a list cannot be read or there is
    nothing to check.
    """
    cfg = with_value(cfg, 'DATASETS.SKIP_BROKEN', False)  # broken photos are looked for elsewhere
    lists = Lists(official=cfg.DATASETS.NAMES != 'animals')
    with _collected(lists.warned):
        if lists.official:
            _read_official(lists, cfg)
        else:
            _read_animals(lists, cfg)
        if 'train' in lists.splits:
            _check_batches(lists, cfg)
    return lists


@contextlib.contextmanager
def _collected(lines):
    """Warnings of our logger go into ``lines``, each once, and nowhere else."""
    logger = logging.getLogger('transreid')
    handler, before = logging.Handler(logging.WARNING), (logger.handlers, logger.propagate)
    handler.emit = lambda record: record.getMessage() in lines or lines.append(record.getMessage())
    logger.handlers, logger.propagate = [handler], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before


def _read_animals(lists, cfg):
    data = cfg.DATASETS
    train, validation = TRAINING_LISTS.get(data.SPECIES, ('', ''))
    query, gallery = TEST_LISTS.get(data.SPECIES, ('', ''))
    _read(lists, cfg, 'train', data.TRAIN_LIST, train)
    _read(lists, cfg, 'validation', data.VAL_LIST, validation)
    _read(lists, cfg, 'query', data.QUERY_LIST, query)
    _read(lists, cfg, 'gallery', data.GALLERY_LIST or (not gallery and data.QUERY_LIST), gallery)
    listed = dict(lists.splits)
    if not lists.splits:
        raise InputError(
            f"DATASETS.SPECIES '{data.SPECIES}': there is no list to check in '{data.LIST_DIR}'; "
            'set '
            f'DATASETS.TRAIN_LIST, VAL_LIST, QUERY_LIST, GALLERY_LIST, or LIST_DIR'
        )
    if 'train' in lists.splits:
        with lists.refusing():
            check_contiguous(lists.splits['train'], lists.sources['train'])
    if {'train', 'validation'} <= lists.splits.keys():
        _check_validation(lists)
    with lists.refusing():
        _attach_ground_truth(lists, data)
    _locate(lists, cfg)
    named = ((lists.sources[split], records) for split, records in lists.splits.items())
    lists.splits = dict(zip(lists.splits, as_photos(*named), strict=True))
    if {'query', 'gallery'} <= lists.splits.keys():
        with lists.refusing():
            lists.protocol = resolve_protocol(
                data.PROTOCOL,
                data.SPECIES,
                lists.splits['query'] or listed['query'],
                lists.splits['gallery'] or listed['gallery'],
            )


def _read(lists, cfg, split, named, default):
    """Read a list that the config names, or the species' own where it is there."""
    file = list_file(named or default, cfg.DATASETS.LIST_DIR)
    if named or os.path.isfile(file):
        is_gallery = split == 'gallery' and file != lists.sources.get('query')
        lists.splits[split] = read_list(file, cfg.DATASETS.ALLOW_OUTSIDE, is_gallery)
        lists.sources[split] = file
    elif split != 'gallery' or 'query' in lists.splits:
        lists.notes.append(f'no {split} list' + (f' ({file} is not there)' if file else ''))


def _check_validation(lists):
    labels = {record.pid for record in lists.splits['train']}
    query, file = lists.splits['validation'], lists.sources['validation']
    strangers = {record.pid for record in query} - labels
    if strangers == {record.pid for record in query}:
        lists.refused.append(
            f'{file}: no validation photo shows an individual of {lists.sources["train"]}, so '
            'none could be '
            f"found; choose another DATASETS.VAL_LIST, or '' for none"
        )
    elif strangers:
        lists.warned.append(
            f'{file}: {len(strangers)} individuals are not in the train list '
            f'({", ".join(map(str, sorted(strangers)[:3]))}): they can have no match in validation'
        )


def _attach_ground_truth(lists, data):
    protocol = PROTOCOLS.get(data.PROTOCOL or data.SPECIES)
    if protocol and protocol.ground_truth and {'query', 'gallery'} <= lists.splits.keys():
        truth_file = list_file(data.GROUND_TRUTH or protocol.ground_truth, data.LIST_DIR)
        truth = read_atrw(truth_file)
        lists.splits |= {
            split: attach_atrw(lists.splits[split], truth, truth_file)
            for split in ('query', 'gallery')
        }


def _locate(lists, cfg):
    """Join the paths of all lists with their folder; what is missing, or elsewhere and may not be,
    is left out.
    """
    data = cfg.DATASETS
    folders = {
        'train': (train_root(cfg), 'DATASETS.ROOT_DIR/DATA_DIR'),
        'test': (data.TEST_ROOT_DIR, 'DATASETS.TEST_ROOT_DIR'),
    }
    for split, records in lists.splits.items():
        root, key = folders['train' if split in ('train', 'validation') else 'test']
        where = {
            'root': root,
            'skip_missing': False,
            'what': lists.sources[split],
            'key': key,
            'allow_outside': data.ALLOW_OUTSIDE,
        }
        present = [record for record in records if os.path.isfile(os.path.join(root, record.path))]
        there = {record.path for record in present}
        lists.missing[split] = [
            os.path.join(root, record.path) for record in records if record.path not in there
        ]
        try:
            lists.splits[split] = locate(present, **where)
        except InputError as error:
            lists.refused.append(str(error))
            lists.splits[split] = _those_inside(present, where)


def _those_inside(records, where):
    found = []
    for record in records:
        with contextlib.suppress(InputError):
            found += locate([record], **where)
    return found


def _read_official(lists, cfg):
    train = _load(lists, cfg, load_train)
    test = _load(lists, cfg, load_test)
    if train is None and test is None:
        raise InputError(lists.refused[0])
    if train is not None:
        lists.splits['train'] = train.train
    if test is not None:
        lists.splits |= {
            'query': test.query,
            'gallery': test.gallery,
        }  # VehicleID's other trials have the same photos
        lists.protocol = test.protocol
    lists.sources = dict.fromkeys(lists.splits, (train or test).root)


def _load(lists, cfg, load):
    """What ``load`` gives, without missing photos where it stops at them; None where it cannot."""
    with lists.refusing():
        return load(cfg)
    with lists.refusing(), _collected([]):  # it would say that it goes on
        return load(with_value(cfg, 'DATASETS.SKIP_MISSING', True))
    return None


def _check_batches(lists, cfg):
    """Whether stage 2 can fill its batches from the photos that are there."""
    labels = [record.pid for record in lists.splits['train']]
    if len(set(labels)) < 2:
        lists.refused.append(
            f'{lists.sources["train"]}: photos of {len(set(labels))} individuals are there; '
            'telling '
            f'individuals apart needs at least two'
        )
        return
    with lists.refusing():
        make_batches(cfg, labels, SINGLE)
