"""Loaders for training and for a test, from the config."""
import logging
from typing import NamedTuple

import torch

from datasets.animal import load_animals, load_test, train_root
from datasets.bases import ImageDataset, ImageLoader
from datasets.cache import make_caches
from datasets.protocols import Protocol, check_protocol, market_protocol
from datasets.records import counts_table, fingerprint
from datasets.sampler import EpochBatches, RandomIdentitySampler, ShuffleSampler
from datasets.transforms import make_test_transform, make_train_transform
from utils.errors import InputError
from utils.processes import SINGLE

logger = logging.getLogger('transreid')


class TestSet(NamedTuple):
    """What a test needs, and validation too.

    loader: each photo once, also those in both lists. ``loader.dataset.records`` are its records.
    query, gallery: lists of records. protocol: how rankings are judged.
    query_index (Q,), gallery_index (G,): int64, where the loader has the photos of the two lists; with the features
    (N, D) of all its photos, ``features[query_index]`` are those of the queries.
    fingerprints: of the splits, see ``datasets.records.fingerprint``.
    """
    loader: ImageLoader
    query: list
    gallery: list
    protocol: Protocol
    query_index: torch.Tensor
    gallery_index: torch.Tensor
    fingerprints: dict


class Loaders(NamedTuple):
    """What training needs, in the original's order. Batches are (images (B, 3, H, W), pid, camid, viewid, index).

    train_loader_stage2: random transform and sampler; ``.batch_sampler.set_epoch(epoch)`` before each epoch.
    train_loader_stage1: every train photo once, in the list's order, test transform.
    val_loader, num_query: validation's loader and number of queries; None and 0 where there is no validation list.
    num_classes: individuals of the train list. camera_num, view_num: >= 1.
    validation: its ``TestSet``, or None. Market-style, without the camera filter where there is a single camera.

    cache_bytes: that decoded photos will take on the disk of OUTPUT_DIR, of this process.
    fingerprints: of the splits 'train' and 'val', see ``datasets.records.fingerprint``.

    The records behind a loader are ``loader.dataset.records``. Of several processes each has its part of every batch of
    stage 2, and its shard of the photos of the other loaders.
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
    device: where the batches are wanted, default the CPU. Decoded photos are kept in OUTPUT_DIR as far as
    DATALOADER.CACHE_GB goes; OUTPUT_DIR '' keeps none.
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

    mean_std = {'mean': cfg.INPUT.PIXEL_MEAN, 'std': cfg.INPUT.PIXEL_STD}
    random = make_train_transform(size=cfg.INPUT.SIZE_TRAIN, flip=cfg.INPUT.PROB, padding=cfg.INPUT.PADDING,
                                  erase=cfg.INPUT.RE_PROB, **mean_std)
    plain = make_test_transform(size=cfg.INPUT.SIZE_TRAIN, **mean_std)
    test = make_test_transform(size=cfg.INPUT.SIZE_TEST, **mean_std)

    wanted = [(random.reading, [record.path for record in animals.train])]
    if animals.query:  # the train photos are in the gallery: stage 1 finds them here where both sizes are the same
        wanted.append((test.reading, [record.path for record in animals.query + animals.gallery]))
    caches = make_caches(cfg.OUTPUT_DIR, cfg.DATALOADER.CACHE_GB * 1e9, wanted, processes.local_world_size)

    def dataset(records, transform):
        return ImageDataset(records, transform, cache=caches.get(transform.reading))

    fingerprints = {name: fingerprint(split, train_root(cfg))
                    for name, split in (('train', animals.train), ('val', animals.query)) if split}
    options = loader_options(cfg, pin_memory, device)
    batches = make_batches(cfg, [record.pid for record in animals.train], processes)
    stage2 = ImageLoader(dataset(animals.train, random), batch_sampler=batches, **options)
    stage1 = ImageLoader(dataset(animals.train, plain), batch_size=cfg.SOLVER.STAGE1.IMS_PER_BATCH,
                         sampler=processes.shard(len(animals.train), cfg.SOLVER.STAGE1.IMS_PER_BATCH),
                         **options | {'persistent_workers': False})  # gone over once
    validation = None
    if animals.query:
        photos, query_index, gallery_index = each_once(animals.query, animals.gallery)
        loader = ImageLoader(dataset(photos, test), batch_size=cfg.TEST.IMS_PER_BATCH,
                             sampler=processes.shard(len(photos), cfg.TEST.IMS_PER_BATCH), **options)
        validation = TestSet(loader, animals.query, animals.gallery, market_protocol(photos), query_index, gallery_index,
                             fingerprints)
    counts = animals.counts.values()
    return Loaders(train_loader_stage2=stage2, train_loader_stage1=stage1,
                   val_loader=validation.loader if validation else None, num_query=len(animals.query),
                   num_classes=animals.num_classes, camera_num=max(split.cameras for split in counts),
                   view_num=max(split.views for split in counts), validation=validation,
                   fingerprints=fingerprints, cache_bytes=sum(cache.nbytes for cache in caches.values()))


def make_test_dataloader(cfg, pin_memory=False, processes=SINGLE, device=None):
    """Read the test lists, check everything, and return a ``TestSet``. Raises ``InputError``.

    pin_memory, processes, device: as in ``make_dataloader``. Photos are read once, so none is kept.
    """
    check_name(cfg)
    query, gallery, protocol = load_test(cfg)
    logger.info('Photos in use:\n%s', counts_table({'query': query, 'gallery': gallery}))
    transform = make_test_transform(size=cfg.INPUT.SIZE_TEST, mean=cfg.INPUT.PIXEL_MEAN, std=cfg.INPUT.PIXEL_STD)
    photos, query_index, gallery_index = each_once(query, gallery)
    loader = ImageLoader(ImageDataset(photos, transform), batch_size=cfg.TEST.IMS_PER_BATCH,
                         sampler=processes.shard(len(photos), cfg.TEST.IMS_PER_BATCH),
                         **loader_options(cfg, pin_memory, device))
    fingerprints = {name: fingerprint(split, cfg.DATASETS.TEST_ROOT_DIR)
                    for name, split in (('query', query), ('gallery', gallery))}
    return TestSet(loader, query, gallery, protocol, query_index, gallery_index, fingerprints)


def each_once(query, gallery):
    """Two lists of records as one without repetition, in order, and where their rows are in it (two int64 tensors).

    Records that a model cannot tell apart are the same: path, camera and view are all that it gets.
    """
    first, records = {}, []

    def place(record):
        key = record.path, record.camid, record.viewid
        if key not in first:
            first[key] = len(records)
            records.append(record)
        return first[key]
    query_index, gallery_index = (torch.tensor([place(record) for record in split]) for split in (query, gallery))
    return records, query_index, gallery_index


def make_batches(cfg, labels, processes):
    """Stage 2's batch sampler by DATALOADER.SAMPLER: 'softmax_triplet' (P x K) or 'softmax' (shuffled)."""
    batch_size, seed, instances = cfg.SOLVER.STAGE2.IMS_PER_BATCH, cfg.SOLVER.SEED, cfg.DATALOADER.NUM_INSTANCE
    share = {'batch_size': batch_size, 'seed': seed, 'rank': processes.rank, 'world_size': processes.world_size}
    if cfg.DATALOADER.SAMPLER == 'softmax_triplet':
        sampler = RandomIdentitySampler(labels, batch_size=batch_size, num_instances=instances, seed=seed)
        return EpochBatches(sampler, group=instances, **share)
    if cfg.DATALOADER.SAMPLER == 'softmax':
        return EpochBatches(ShuffleSampler(len(labels), seed=seed), **share)
    raise InputError(f"DATALOADER.SAMPLER '{cfg.DATALOADER.SAMPLER}' is unknown; choose softmax_triplet or softmax")


def loader_options(cfg, pin_memory, device):
    """Keyword arguments that all loaders share; a generator of their own keeps them off the process's."""
    workers = cfg.DATALOADER.NUM_WORKERS
    return {'num_workers': workers, 'persistent_workers': workers > 0, 'pin_memory': pin_memory,
            'device': device, 'generator': torch.Generator().manual_seed(cfg.SOLVER.SEED)}


def check_name(cfg):
    """Refuse a DATASETS.NAMES that no reader here knows."""
    if cfg.DATASETS.NAMES != 'animals':
        raise InputError(f"DATASETS.NAMES '{cfg.DATASETS.NAMES}' is unknown; there is 'animals'")
