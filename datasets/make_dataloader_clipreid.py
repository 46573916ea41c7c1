"""Loaders for training and for a test, from the config."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any

import torch
from yacs.config import CfgNode

from datasets.cache import PhotoCache, make_caches
from datasets.checks import short_epoch
from datasets.dataset import ImageDataset
from datasets.folders import fingerprint
from datasets.loaders import Fingerprints, Loaders, TestSet, Trial
from datasets.photos import TestPhotos, TrainPhotos
from datasets.records import Record, counts_table
from datasets.sampler import EpochBatches, RandomIdentitySampler, ShuffleSampler
from datasets.sources import load_test, load_train
from datasets.transforms import Reading, Transform, make_test_transform, make_train_transform
from datasets.workers import PREFETCH, ImageLoader, fitting_workers
from utils.distributed import SINGLE, Processes

logger = logging.getLogger('transreid')


def make_dataloader(
    cfg: CfgNode,
    pin_memory: bool = False,
    processes: Processes = SINGLE,
    device: torch.device | None = None,
) -> Loaders:
    """Read the training lists, check everything, and return the loaders.

    Decoded photos are kept in OUTPUT_DIR as far as DATALOADER.CACHE_GB goes; OUTPUT_DIR '' keeps
    none.

    Args:
        cfg: the config.
        pin_memory: page-locked batches, for training on an accelerator.
        processes: that share the work.
        device: where the batches are wanted, default the CPU.

    Raises:
        InputError: where lists or photos cannot be trained on.
    """
    photos = load_train(cfg)
    _log_counts(photos)
    random, plain, test = _make_transforms(cfg)
    caches = _make_caches(cfg, photos, random, test, processes)

    def dataset(records: Sequence[Record], transform: Transform) -> ImageDataset:
        return ImageDataset(records, transform, cache=caches.get(transform.reading))

    stage1_size = cfg.SOLVER.STAGE1.IMS_PER_BATCH
    share = cfg.SOLVER.STAGE2.IMS_PER_BATCH // processes.world_size
    sizes = [(share, random), (stage1_size, plain), (cfg.TEST.IMS_PER_BATCH, test)]
    options = loader_options(cfg, pin_memory, device, sizes, processes)
    batches = make_batches(cfg, [record.pid for record in photos.train], processes)
    stage2 = ImageLoader(dataset(photos.train, random), batch_sampler=batches, **options)
    stage1 = ImageLoader(
        dataset(photos.train, plain),
        batch_size=stage1_size,
        sampler=processes.shard(len(photos.train), stage1_size),
        **options | {'persistent_workers': False},  # used once
    )
    fingerprints = _fingerprint_training(photos)
    validation = None
    if photos.validation:
        make_dataset = partial(dataset, transform=test)
        validation = make_test_set(
            cfg, photos.validation, make_dataset, options, processes, fingerprints
        )
    everyone = [*photos.train, *photos.query, *photos.gallery]
    return Loaders(
        train_loader_stage2=stage2,
        train_loader_stage1=stage1,
        val_loader=validation.loader if validation else None,
        num_query=len(photos.query),
        num_classes=photos.num_classes,
        camera_num=1 + max(record.camid for record in everyone),
        view_num=1 + max(record.viewid for record in everyone),
        validation=validation,
        fingerprints=fingerprints,
        cache_bytes=sum(cache.nbytes for cache in caches.values()),
    )


def _log_counts(photos: TrainPhotos) -> None:
    splits = {'train': photos.train}
    if photos.validation:
        splits |= {'val query': photos.query, 'val gallery': photos.gallery}
    else:
        logger.warning('no validation list (DATASETS.VAL_LIST): no validation during training')
    logger.info('Photos in use:\n%s', counts_table(splits))


def _make_transforms(cfg: CfgNode) -> tuple[Transform, Transform, Transform]:
    """Of stage 2, of stage 1 and of the validation."""
    mean, std = cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD
    random = make_train_transform(
        size=cfg.INPUT.SIZE_TRAIN,
        flip=cfg.INPUT.PROB,
        padding=cfg.INPUT.PADDING,
        erase=cfg.INPUT.RE_PROB,
        mean=mean,
        std=std,
    )
    plain = make_test_transform(cfg.INPUT.SIZE_TRAIN, mean, std)
    return random, plain, make_test_transform(cfg.INPUT.SIZE_TEST, mean, std)


def _make_caches(
    cfg: CfgNode, photos: TrainPhotos, random: Transform, test: Transform, processes: Processes
) -> dict[Reading, PhotoCache]:
    """Stage 1 shares the validation's where both sizes are the same: animals' train photos are in
    its gallery.
    """
    wanted = [(random.reading, [record.path for record in photos.train])]
    if photos.validation:
        validated = chain(photos.query, photos.gallery)
        wanted.append((test.reading, [record.path for record in validated]))
    limit = cfg.DATALOADER.CACHE_GB * 1e9
    return make_caches(cfg.OUTPUT_DIR, limit, wanted, processes.local_world_size)


def _fingerprint_training(photos: TrainPhotos) -> Fingerprints:
    fingerprints = {'train': fingerprint(photos.train, photos.root)}
    if photos.validation:
        fingerprints['val'] = fingerprint(photos.query, photos.validation.root)
        if photos.gallery is not photos.train:
            fingerprints['val gallery'] = fingerprint(photos.gallery, photos.validation.root)
    return fingerprints


def make_test_dataloader(
    cfg: CfgNode,
    pin_memory: bool = False,
    processes: Processes = SINGLE,
    device: torch.device | None = None,
) -> TestSet:
    """Read the test lists, check everything, and return the test. Photos are read once.

    Args:
        cfg: the config.
        pin_memory: as in ``make_dataloader``; the next two likewise.
        processes: that share the work.
        device: where the batches are wanted.

    Raises:
        InputError: where lists or photos cannot be tested on.
    """
    photos = load_test(cfg)
    splits = {'query': photos.query, 'gallery': photos.gallery}
    logger.info('Photos in use:\n%s', counts_table(splits))
    transform = make_test_transform(cfg.INPUT.SIZE_TEST, cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD)
    fingerprints = {name: fingerprint(split, photos.root) for name, split in splits.items()}
    sizes = [(cfg.TEST.IMS_PER_BATCH, transform)]
    options = loader_options(cfg, pin_memory, device, sizes, processes)
    make_dataset = partial(ImageDataset, transform=transform)
    return make_test_set(cfg, photos, make_dataset, options, processes, fingerprints)


def make_test_set(
    cfg: CfgNode,
    photos: TestPhotos,
    dataset: Callable[[list[Record]], ImageDataset],
    options: dict[str, Any],
    processes: Processes,
    fingerprints: Fingerprints,
) -> TestSet:
    """Return the ``TestSet`` of photos.

    Args:
        cfg: the config.
        photos: of the test.
        dataset: from records to the loader's data set.
        options: of the loader.
        processes: that share the work.
        fingerprints: of the splits.
    """
    fields = ['path']
    if cfg.MODEL.SIE_CAMERA:
        fields.append('camid')
    if cfg.MODEL.SIE_VIEW:
        fields.append('viewid')
    records, *rows = each_once(*chain.from_iterable(photos.trials), looks_at=attrgetter(*fields))
    trials = [
        Trial(*trial, query_index, gallery_index)
        for trial, query_index, gallery_index in zip(
            photos.trials, rows[::2], rows[1::2], strict=True
        )
    ]
    loader = ImageLoader(
        dataset(records),
        batch_size=cfg.TEST.IMS_PER_BATCH,
        sampler=processes.shard(len(records), cfg.TEST.IMS_PER_BATCH),
        **options,
    )
    query, gallery, query_index, gallery_index = trials[0]
    return TestSet(
        loader, query, gallery, photos.protocol, query_index, gallery_index, fingerprints, trials
    )


def each_once(
    *splits: Sequence[Record],
    looks_at: Callable[[Record], object] = attrgetter('path', 'camid', 'viewid'),
) -> tuple[Any, ...]:
    """Return lists of records as one without repetition, in order, and the rows of each in it.

    Args:
        splits: the lists.
        looks_at: what a model gets of a record; records that it cannot tell apart are the same.

    Returns:
        The records, and for each list an int64 tensor.
    """
    row_of: dict[object, int] = {}
    records: list[Record] = []
    rows = []
    for split in splits:
        for record in split:
            if row_of.setdefault(looks_at(record), len(records)) == len(records):
                records.append(record)
        rows.append(torch.tensor([row_of[looks_at(record)] for record in split]))
    return records, *rows


def make_batches(cfg: CfgNode, labels: Sequence[int], processes: Processes) -> EpochBatches:
    """Return stage 2's batch sampler by DATALOADER.SAMPLER.

    'softmax_triplet' (P x K), with a warning where an epoch shows few of the photos, or 'softmax'
    (shuffled).

    Args:
        cfg: the config.
        labels: of the train photos.
        processes: that share a batch.

    Raises:
        InputError: where no batch can be drawn.
    """
    batch_size, seed = cfg.SOLVER.STAGE2.IMS_PER_BATCH, cfg.SOLVER.SEED
    rank, world_size = processes.rank, processes.world_size
    if cfg.DATALOADER.SAMPLER == 'softmax':
        shuffled = ShuffleSampler(len(labels), seed=seed)
        return EpochBatches(shuffled, batch_size, seed, 1, rank, world_size)
    instances = cfg.DATALOADER.NUM_INSTANCE
    sampler = RandomIdentitySampler(labels, batch_size, instances, seed)
    batches = EpochBatches(sampler, batch_size, seed, instances, rank, world_size)
    line = short_epoch(labels, batch_size, instances, seed, world_size)
    if line:
        logger.warning('%s', line)
    return batches


def loader_options(
    cfg: CfgNode,
    pin_memory: bool,
    device: torch.device | None,
    batches: Sequence[tuple[int, Transform]],
    processes: Processes = SINGLE,
) -> dict[str, Any]:
    """Return the keyword arguments that all loaders share.

    A generator of their own keeps them off the process's.

    Args:
        cfg: the config.
        pin_memory: see ``make_dataloader``.
        device: see ``make_dataloader``.
        batches: (photos in a batch, transform) of each loader.
        processes: see ``make_dataloader``.
    """
    largest = max(photos * transform.image_bytes for photos, transform in batches)
    workers = fitting_workers(cfg.DATALOADER.NUM_WORKERS, largest, processes.local_world_size)
    return {
        'num_workers': workers,
        'persistent_workers': workers > 0,
        'prefetch_factor': PREFETCH if workers else None,
        'pin_memory': pin_memory,
        'device': device,
        'generator': torch.Generator().manual_seed(cfg.SOLVER.SEED),
    }
