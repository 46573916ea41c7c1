"""Loaders for training and for a test, from the config."""

import logging
from operator import attrgetter
from typing import NamedTuple

import torch

from datasets.cache import make_caches
from datasets.checks import short_epoch
from datasets.dataset import ImageDataset
from datasets.protocols import Protocol
from datasets.records import counts_table, fingerprint
from datasets.sampler import EpochBatches, RandomIdentitySampler, ShuffleSampler
from datasets.sources import load_test, load_train
from datasets.transforms import make_test_transform, make_train_transform
from datasets.workers import PREFETCH, ImageLoader, fitting_workers
from utils.distributed import SINGLE

logger = logging.getLogger('transreid')


class Trial(NamedTuple):
    """A ranking of the gallery for every query.

    query, gallery: lists of records. query_index (Q,), gallery_index (G,): int64, where the loader
    of the ``TestSet`` has their photos; with the features (N, D) of all its photos,
    ``features[query_index]`` are those of the queries.
    """

    query: list
    gallery: list
    query_index: torch.Tensor
    gallery_index: torch.Tensor


class TestSet(NamedTuple):
    """What a test needs, and validation too.

    loader: each photo once, also those in both lists. ``loader.dataset.records`` are its records.
    protocol: how rankings are judged. fingerprints: of the splits, see
    ``datasets.records.fingerprint``.
    trials: one ``Trial``, of VehicleID ten, whose mean is the result; query, gallery, query_index
    and gallery_index are those of the first.
    """

    loader: ImageLoader
    query: list
    gallery: list
    protocol: Protocol
    query_index: torch.Tensor
    gallery_index: torch.Tensor
    fingerprints: dict
    trials: list


class Loaders(NamedTuple):
    """What training needs, in the original's order. Batches are (images (B, 3, H, W), pid, camid,
    viewid, index).

    train_loader_stage2: random transform and sampler; ``.batch_sampler.set_epoch(epoch)`` before
    each epoch.
    train_loader_stage1: every train photo once, in the list's order, test transform.
    val_loader, num_query: validation's loader and number of queries; None and 0 where there is no
    validation list.
    num_classes: individuals of the train list. camera_num, view_num: >= 1, largest number of all
    splits + 1.
    validation: its ``TestSet``, or None. Market-style, of animals without the camera filter.

    cache_bytes: that decoded photos will take on the disk of OUTPUT_DIR, of this process.
    fingerprints: of the splits 'train' and 'val', see ``datasets.records.fingerprint``.

    The records behind a loader are ``loader.dataset.records``. Of several processes each has its
    part of every batch of stage 2, and its shard of the photos of the other loaders.
    """

    train_loader_stage2: ImageLoader
    train_loader_stage1: ImageLoader
    val_loader: ImageLoader | None
    num_query: int
    num_classes: int
    camera_num: int
    view_num: int
    validation: TestSet | None
    fingerprints: dict
    cache_bytes: int

    def close(self):
        """End the workers of all loaders."""
        for loader in (self.train_loader_stage2, self.train_loader_stage1, self.val_loader):
            if loader is not None:
                loader.close()


def make_dataloader(cfg, pin_memory=False, processes=SINGLE, device=None):
    """Read the training lists, check everything, and return ``Loaders``. Raises ``InputError``.

    pin_memory: page-locked batches, for training on an accelerator. processes: that share the work.
    device: where the batches are wanted, default the CPU. Decoded photos are kept in OUTPUT_DIR as
    far as DATALOADER.CACHE_GB goes; OUTPUT_DIR '' keeps none.
    """
    photos = load_train(cfg)
    splits = {'train': photos.train}
    if photos.validation:
        splits |= {'val query': photos.query, 'val gallery': photos.gallery}
    else:
        logger.warning('no validation list (DATASETS.VAL_LIST): no validation during training')
    logger.info('Photos in use:\n%s', counts_table(splits))

    mean_std = {'mean': cfg.INPUT.PIXEL_MEAN, 'std': cfg.INPUT.PIXEL_STD}
    random = make_train_transform(
        size=cfg.INPUT.SIZE_TRAIN,
        flip=cfg.INPUT.PROB,
        padding=cfg.INPUT.PADDING,
        erase=cfg.INPUT.RE_PROB,
        **mean_std,
    )
    plain = make_test_transform(size=cfg.INPUT.SIZE_TRAIN, **mean_std)
    test = make_test_transform(size=cfg.INPUT.SIZE_TEST, **mean_std)

    wanted = [(random.reading, [record.path for record in photos.train])]
    # animals' train photos are in the gallery: stage 1 finds them here where both sizes are the
    # same
    if photos.validation:
        wanted.append((test.reading, [record.path for record in photos.query + photos.gallery]))
    caches = make_caches(
        cfg.OUTPUT_DIR, cfg.DATALOADER.CACHE_GB * 1e9, wanted, processes.local_world_size
    )

    def dataset(records, transform):
        return ImageDataset(records, transform, cache=caches.get(transform.reading))

    fingerprints = {'train': fingerprint(photos.train, photos.root)}
    if photos.validation:
        fingerprints['val'] = fingerprint(photos.query, photos.validation.root)
        if photos.gallery is not photos.train:
            fingerprints['val gallery'] = fingerprint(photos.gallery, photos.validation.root)
    share = cfg.SOLVER.STAGE2.IMS_PER_BATCH // processes.world_size
    options = loader_options(
        cfg,
        pin_memory,
        device,
        [(share, random), (cfg.SOLVER.STAGE1.IMS_PER_BATCH, plain), (cfg.TEST.IMS_PER_BATCH, test)],
        processes,
    )
    batches = make_batches(cfg, [record.pid for record in photos.train], processes)
    stage2 = ImageLoader(dataset(photos.train, random), batch_sampler=batches, **options)
    stage1 = ImageLoader(
        dataset(photos.train, plain),
        batch_size=cfg.SOLVER.STAGE1.IMS_PER_BATCH,
        sampler=processes.shard(len(photos.train), cfg.SOLVER.STAGE1.IMS_PER_BATCH),
        **options | {'persistent_workers': False},
    )  # gone over once
    validation = photos.validation and make_test_set(
        cfg,
        photos.validation,
        lambda records: dataset(records, test),
        options,
        processes,
        fingerprints,
    )
    counts = photos.counts.values()
    return Loaders(
        train_loader_stage2=stage2,
        train_loader_stage1=stage1,
        val_loader=validation.loader if validation else None,
        num_query=len(photos.query),
        num_classes=photos.num_classes,
        camera_num=max(split.cameras for split in counts),
        view_num=max(split.views for split in counts),
        validation=validation,
        fingerprints=fingerprints,
        cache_bytes=sum(cache.nbytes for cache in caches.values()),
    )


def make_test_dataloader(cfg, pin_memory=False, processes=SINGLE, device=None):
    """Read the test lists, check everything, and return a ``TestSet``. Raises ``InputError``.

    pin_memory, processes, device: as in ``make_dataloader``. Photos are read once, so none is kept.
    """
    photos = load_test(cfg)
    logger.info(
        'Photos in use:\n%s', counts_table({'query': photos.query, 'gallery': photos.gallery})
    )
    transform = make_test_transform(
        size=cfg.INPUT.SIZE_TEST, mean=cfg.INPUT.PIXEL_MEAN, std=cfg.INPUT.PIXEL_STD
    )
    fingerprints = {
        name: fingerprint(split, photos.root)
        for name, split in (('query', photos.query), ('gallery', photos.gallery))
    }
    options = loader_options(
        cfg, pin_memory, device, [(cfg.TEST.IMS_PER_BATCH, transform)], processes
    )
    return make_test_set(
        cfg,
        photos,
        lambda records: ImageDataset(records, transform),
        options,
        processes,
        fingerprints,
    )


def make_test_set(cfg, photos, dataset, options, processes, fingerprints):
    """The ``TestSet`` of ``datasets.photos.TestPhotos``; dataset: a function of records to the
    loader's data set.
    """
    looks_at = attrgetter(
        'path',
        *(['camid'] if cfg.MODEL.SIE_CAMERA else []),
        *(['viewid'] if cfg.MODEL.SIE_VIEW else []),
    )
    records, *places = each_once(
        *(split for trial in photos.trials for split in trial), looks_at=looks_at
    )
    trials = [
        Trial(*trial, *places[2 * number : 2 * number + 2])
        for number, trial in enumerate(photos.trials)
    ]
    query, gallery, query_index, gallery_index = trials[0]
    loader = ImageLoader(
        dataset(records),
        batch_size=cfg.TEST.IMS_PER_BATCH,
        sampler=processes.shard(len(records), cfg.TEST.IMS_PER_BATCH),
        **options,
    )
    return TestSet(
        loader, query, gallery, photos.protocol, query_index, gallery_index, fingerprints, trials
    )


def each_once(*splits, looks_at=attrgetter('path', 'camid', 'viewid')):
    """Lists of records as one without repetition, in order, and where the rows of each are in it
    (an int64 tensor each).

    Records that a model cannot tell apart are the same. looks_at: what it gets of a record; at most
    path, camera and view.
    """
    first, records = {}, []

    def place(record):
        key = looks_at(record)
        if key not in first:
            first[key] = len(records)
            records.append(record)
        return first[key]

    return records, *[torch.tensor([place(record) for record in split]) for split in splits]


def make_batches(cfg, labels, processes):
    """Stage 2's batch sampler by DATALOADER.SAMPLER: 'softmax_triplet' (P x K) or 'softmax'
    (shuffled).

    Warns where an epoch of P x K shows few of the photos.
    """
    batch_size, seed, instances = (
        cfg.SOLVER.STAGE2.IMS_PER_BATCH,
        cfg.SOLVER.SEED,
        cfg.DATALOADER.NUM_INSTANCE,
    )
    share = {
        'batch_size': batch_size,
        'seed': seed,
        'rank': processes.rank,
        'world_size': processes.world_size,
    }
    if cfg.DATALOADER.SAMPLER == 'softmax_triplet':
        sampler = RandomIdentitySampler(
            labels, batch_size=batch_size, num_instances=instances, seed=seed
        )
        batches = EpochBatches(sampler, group=instances, **share)
        line = short_epoch(labels, batch_size, instances, seed, processes.world_size)
        if line:
            logger.warning('%s', line)
        return batches
    return EpochBatches(ShuffleSampler(len(labels), seed=seed), **share)


def loader_options(cfg, pin_memory, device, batches, processes=SINGLE):
    """Keyword arguments that all loaders share; a generator of their own keeps them off the
    process's.

    batches: (photos a batch, transform) of each loader.
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
