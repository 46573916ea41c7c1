"""Loaders for training and for a test, from the config."""
import logging
from typing import NamedTuple

import torch

from datasets.animal import load_animals, load_test
from datasets.bases import ImageDataset, ImageLoader
from datasets.protocols import Protocol, check_protocol, market_protocol
from datasets.records import counts_table
from datasets.sampler import EpochBatches, RandomIdentitySampler, ShuffleSampler
from datasets.transforms import make_test_transform, make_train_transform
from utils.errors import InputError

logger = logging.getLogger('transreid')


class Loaders(NamedTuple):
    """What training needs, in the original's order. Batches are (images (B, 3, H, W), pid, camid, viewid, index).

    train_loader_stage2: random transform and sampler; ``.batch_sampler.set_epoch(epoch)`` before each epoch.
    train_loader_stage1: every train photo once, in the list's order, test transform.
    val_loader: ``num_query`` validation photos, then the gallery; None where there is no validation list.
    num_classes: individuals of the train list. camera_num, view_num: >= 1.

    The records behind a loader are ``loader.dataset.records``.
    """
    train_loader_stage2: ImageLoader
    train_loader_stage1: ImageLoader
    val_loader: ImageLoader | None
    num_query: int
    num_classes: int
    camera_num: int
    view_num: int

    @property
    def val_protocol(self):
        """How validation is judged: Market-style, without the camera filter where there is a single camera."""
        return market_protocol(self.val_loader.dataset.records)


class TestSet(NamedTuple):
    """What a test needs.

    loader: query photos, then gallery photos, in the lists' order; once over where both are the ``same``.
    query, gallery: lists of records. protocol: how rankings are judged.
    """
    loader: ImageLoader
    query: list
    gallery: list
    protocol: Protocol
    same: bool


def make_dataloader(cfg, pin_memory=False, rank=0, world_size=1):
    """Read the training lists, check everything, and return ``Loaders``. Raises ``InputError``.

    pin_memory: page-locked batches, for training on an accelerator. rank, world_size: of multi-process training.
    """
    check_name(cfg)
    if cfg.DATASETS.PROTOCOL:  # found here rather than after days of training
        check_protocol(cfg.DATASETS.PROTOCOL)
    animals = load_animals(cfg)
    splits = {'train': animals.train, 'val query': animals.query, 'val gallery': animals.gallery}
    if not animals.query:
        splits = {'train': animals.train}
        logger.warning('no validation list (DATASETS.VAL_LIST): no validation during training')
    logger.info('Photos in use:\n%s', counts_table(splits))

    options = loader_options(cfg, pin_memory)
    batches = make_batches(cfg, [record.pid for record in animals.train], rank, world_size)
    random = make_train_transform(size=cfg.INPUT.SIZE_TRAIN, flip=cfg.INPUT.PROB, padding=cfg.INPUT.PADDING,
                                  erase=cfg.INPUT.RE_PROB, mean=cfg.INPUT.PIXEL_MEAN, std=cfg.INPUT.PIXEL_STD)
    plain = make_test_transform(size=cfg.INPUT.SIZE_TRAIN, mean=cfg.INPUT.PIXEL_MEAN, std=cfg.INPUT.PIXEL_STD)
    stage2 = ImageLoader(ImageDataset(animals.train, random), batch_sampler=batches, **options)
    stage1 = ImageLoader(ImageDataset(animals.train, plain), batch_size=cfg.SOLVER.STAGE1.IMS_PER_BATCH,
                         **options | {'persistent_workers': False})  # gone over once
    val = make_test_loader(cfg, animals.query + animals.gallery, options) if animals.query else None
    counts = animals.counts.values()
    return Loaders(train_loader_stage2=stage2, train_loader_stage1=stage1, val_loader=val,
                   num_query=len(animals.query), num_classes=animals.num_classes,
                   camera_num=max(split.cameras for split in counts), view_num=max(split.views for split in counts))


def make_test_dataloader(cfg, pin_memory=False):
    """Read the test lists, check everything, and return a ``TestSet``. Raises ``InputError``."""
    check_name(cfg)
    query, gallery, protocol = load_test(cfg)
    logger.info('Photos in use:\n%s', counts_table({'query': query, 'gallery': gallery}))
    same = query == gallery
    loader = make_test_loader(cfg, query if same else query + gallery, loader_options(cfg, pin_memory))
    return TestSet(loader=loader, query=query, gallery=gallery, protocol=protocol, same=same)


def make_test_loader(cfg, records, options):
    """A loader over records in their order, test transform at SIZE_TEST."""
    transform = make_test_transform(size=cfg.INPUT.SIZE_TEST, mean=cfg.INPUT.PIXEL_MEAN, std=cfg.INPUT.PIXEL_STD)
    return ImageLoader(ImageDataset(records, transform), batch_size=cfg.TEST.IMS_PER_BATCH, **options)


def make_batches(cfg, labels, rank, world_size):
    """Stage 2's batch sampler by DATALOADER.SAMPLER: 'softmax_triplet' (P x K) or 'softmax' (shuffled)."""
    batch_size, seed, instances = cfg.SOLVER.STAGE2.IMS_PER_BATCH, cfg.SOLVER.SEED, cfg.DATALOADER.NUM_INSTANCE
    share = {'batch_size': batch_size, 'seed': seed, 'rank': rank, 'world_size': world_size}
    if cfg.DATALOADER.SAMPLER == 'softmax_triplet':
        sampler = RandomIdentitySampler(labels, batch_size=batch_size, num_instances=instances, seed=seed)
        return EpochBatches(sampler, group=instances, **share)
    if cfg.DATALOADER.SAMPLER == 'softmax':
        return EpochBatches(ShuffleSampler(len(labels), seed=seed), **share)
    raise InputError(f"DATALOADER.SAMPLER '{cfg.DATALOADER.SAMPLER}' is unknown; choose softmax_triplet or softmax")


def loader_options(cfg, pin_memory):
    """Keyword arguments that all loaders share; a generator of their own keeps them off the process's."""
    workers = cfg.DATALOADER.NUM_WORKERS
    return {'num_workers': workers, 'persistent_workers': workers > 0, 'pin_memory': pin_memory,
            'generator': torch.Generator().manual_seed(cfg.SOLVER.SEED)}


def check_name(cfg):
    """Refuse a DATASETS.NAMES that no reader here knows."""
    if cfg.DATASETS.NAMES != 'animals':
        raise InputError(f"DATASETS.NAMES '{cfg.DATASETS.NAMES}' is unknown; there is 'animals'")
