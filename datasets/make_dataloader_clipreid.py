"""Makes the loaders for training and tests from the config."""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any

import torch
from yacs.config import CfgNode

from datasets.cache import make_caches
from datasets.checks import short_epoch
from datasets.dataset import ImageDataset
from datasets.folders import fingerprint
from datasets.loaders import Fingerprints, Loaders, TestSet, Trial
from datasets.photos import TestPhotos, TrainPhotos
from datasets.records import Record, counts_table
from datasets.sampler import EpochBatches, RandomIdentitySampler, ShuffleSampler
from datasets.sources import load_test, load_train
from datasets.transforms import Transform, make_test_transform, make_train_transform
from datasets.workers import PREFETCH, ImageLoader, fitting_workers
from utils.distributed import SINGLE, Processes

logger = logging.getLogger('transreid')

MakeDataset = Callable[[list[Record]], ImageDataset]


def make_dataloader(
    cfg: CfgNode,
    pin_memory: bool = False,
    processes: Processes = SINGLE,
    device: torch.device | None = None,
) -> Loaders:
    """Read the training lists, check everything, and return the loaders.

    Up to DATALOADER.CACHE_GB of decoded photos are kept in OUTPUT_DIR; none if OUTPUT_DIR is ''.

    Args:
        cfg: The config.
        pin_memory: Whether batches are page-locked, for training on an accelerator.
        processes: The processes that share the work.
        device: The device of the batches; default: the CPU.

    Raises:
        InputError: Lists or photos cannot be used for training.
    """
    photos = load_train(cfg)
    fingerprints = _log_training(photos)
    sizes = [
        (cfg.SOLVER.STAGE2.IMS_PER_BATCH // processes.world_size, cfg.INPUT.SIZE_TRAIN),
        (cfg.SOLVER.STAGE1.IMS_PER_BATCH, cfg.INPUT.SIZE_TRAIN),
        (cfg.TEST.IMS_PER_BATCH, cfg.INPUT.SIZE_TEST),
    ]
    options = loader_options(cfg, pin_memory, device, sizes, processes)
    return _make_loaders(cfg, photos, options, processes, fingerprints)


def _log_training(photos: TrainPhotos) -> Fingerprints:
    """Log the photos of a training run and return their fingerprints."""
    splits = {'train': photos.train}
    fingerprints = {'train': fingerprint(photos.train, photos.root)}
    if photos.validation:
        splits |= {'val query': photos.query, 'val gallery': photos.gallery}
        fingerprints['val'] = fingerprint(photos.query, photos.validation.root)
        if photos.gallery is not photos.train:
            fingerprints['val gallery'] = fingerprint(photos.gallery, photos.validation.root)
    else:
        logger.warning('no validation list (DATASETS.VAL_LIST): no validation during training')
    logger.info('Photos in use:\n%s', counts_table(splits))
    return fingerprints


def _make_loaders(
    cfg: CfgNode,
    photos: TrainPhotos,
    options: dict[str, Any],
    processes: Processes,
    fingerprints: Fingerprints,
) -> Loaders:
    random, plain, make_validation, cache_bytes = _make_datasets(cfg, photos, processes)
    batches = make_batches(cfg, [record.pid for record in photos.train], processes)
    stage1_size = cfg.SOLVER.STAGE1.IMS_PER_BATCH
    stage1 = ImageLoader(
        plain,
        batch_size=stage1_size,
        sampler=processes.shard(len(plain), stage1_size),
        **options | {'persistent_workers': False},  # this loader is used once
    )
    validation = None
    if photos.validation:
        validation = make_test_set(
            cfg, photos.validation, make_validation, options, processes, fingerprints
        )
    everyone = [*photos.train, *photos.query, *photos.gallery]
    return Loaders(
        train_loader_stage2=ImageLoader(random, batch_sampler=batches, **options),
        train_loader_stage1=stage1,
        val_loader=validation.loader if validation else None,
        num_query=len(photos.query),
        num_classes=photos.num_classes,
        camera_num=1 + max(record.camid for record in everyone),
        view_num=1 + max(record.viewid for record in everyone),
        validation=validation,
        fingerprints=fingerprints,
        cache_bytes=cache_bytes,
    )


def _make_datasets(
    cfg: CfgNode, photos: TrainPhotos, processes: Processes
) -> tuple[ImageDataset, ImageDataset, MakeDataset, int]:
    """Return the data sets of stages 2 and 1, a maker of validation sets, and the caches' bytes.

    Stage 1 shares the cache of the validation if both image sizes are the same, since the train
    photos of animals are its gallery.
    """
    normalise = {'mean': cfg.INPUT.PIXEL_MEAN, 'std': cfg.INPUT.PIXEL_STD}
    random = make_train_transform(
        size=cfg.INPUT.SIZE_TRAIN,
        flip=cfg.INPUT.PROB,
        padding=cfg.INPUT.PADDING,
        erase=cfg.INPUT.RE_PROB,
        **normalise,
    )
    plain = make_test_transform(cfg.INPUT.SIZE_TRAIN, **normalise)
    test = make_test_transform(cfg.INPUT.SIZE_TEST, **normalise)
    wanted = {random.reading: [record.path for record in photos.train]}
    if photos.validation:
        validated = chain(photos.query, photos.gallery)
        wanted[test.reading] = [record.path for record in validated]
    limit = cfg.DATALOADER.CACHE_GB * 1e9
    caches = make_caches(cfg.OUTPUT_DIR, limit, wanted.items(), processes.local_world_size)

    def dataset(records: list[Record], transform: Transform) -> ImageDataset:
        return ImageDataset(records, transform, caches.get(transform.reading))

    cache_bytes = sum(cache.nbytes for cache in caches.values())
    make_validation = partial(dataset, transform=test)
    return dataset(photos.train, random), dataset(photos.train, plain), make_validation, cache_bytes


def make_test_dataloader(
    cfg: CfgNode,
    pin_memory: bool = False,
    processes: Processes = SINGLE,
    device: torch.device | None = None,
) -> TestSet:
    """Read the test lists, check everything, and return the test set.

    Args:
        cfg: The config.
        pin_memory: Whether batches are page-locked, for a test on an accelerator.
        processes: The processes that share the work.
        device: The device of the batches; default: the CPU.

    Raises:
        InputError: Lists or photos cannot be used for a test.
    """
    photos = load_test(cfg)
    splits = {'query': photos.query, 'gallery': photos.gallery}
    logger.info('Photos in use:\n%s', counts_table(splits))
    logger.info('Protocol %s: %s', photos.protocol.name, photos.protocol.text)
    fingerprints = {name: fingerprint(split, photos.root) for name, split in splits.items()}
    transform = make_test_transform(cfg.INPUT.SIZE_TEST, cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD)
    sizes = [(cfg.TEST.IMS_PER_BATCH, cfg.INPUT.SIZE_TEST)]
    options = loader_options(cfg, pin_memory, device, sizes, processes)
    make_dataset = partial(ImageDataset, transform=transform)
    return make_test_set(cfg, photos, make_dataset, options, processes, fingerprints)


def make_test_set(
    cfg: CfgNode,
    photos: TestPhotos,
    make_dataset: MakeDataset,
    options: dict[str, Any],
    processes: Processes,
    fingerprints: Fingerprints,
) -> TestSet:
    """Return the ``TestSet`` of a test or of a validation.

    Args:
        cfg: The config.
        photos: The photos and their protocol.
        make_dataset: Makes the loader's data set from records.
        options: Arguments of the loader, see ``loader_options``.
        processes: The processes that share the work.
        fingerprints: The fingerprints of the splits.
    """
    seen = {'path': True, 'camid': cfg.MODEL.SIE_CAMERA, 'viewid': cfg.MODEL.SIE_VIEW}
    looks_at = attrgetter(*[field for field, is_seen in seen.items() if is_seen])
    splits = chain.from_iterable(photos.trials)
    records, rows = each_once(chain.from_iterable(splits), looks_at)
    loader = ImageLoader(
        make_dataset(records),
        batch_size=cfg.TEST.IMS_PER_BATCH,
        sampler=processes.shard(len(records), cfg.TEST.IMS_PER_BATCH),
        **options,
    )
    trials = [Trial(query, gallery, rows(query), rows(gallery)) for query, gallery in photos.trials]
    return TestSet(loader, photos.query, photos.gallery, photos.protocol, fingerprints, trials)


def each_once(
    photos: Iterable[Record], looks_at: Callable[[Record], object]
) -> tuple[list[Record], Callable[[Sequence[Record]], torch.Tensor]]:
    """Return the photos without duplicates, in order, and a function that finds them.

    Args:
        photos: Records, perhaps with duplicates.
        looks_at: Returns what a model sees of a record; records with equal results are duplicates.

    Returns:
        records: The first record of each photo.
        rows: A function from N of the photos to their positions in ``records``, (N,) int64.
    """
    first: dict[object, Record] = {}
    for record in photos:
        first.setdefault(looks_at(record), record)
    row_of = {key: row for row, key in enumerate(first)}

    def rows(split: Sequence[Record]) -> torch.Tensor:
        return torch.tensor([row_of[looks_at(record)] for record in split])

    return list(first.values()), rows


def make_batches(cfg: CfgNode, labels: Sequence[int], processes: Processes) -> EpochBatches:
    """Return the batch sampler of stage 2, chosen by DATALOADER.SAMPLER.

    'softmax' shuffles the photos; 'softmax_triplet' draws P individuals x K photos, and logs a
    warning if an epoch shows few of the photos.

    Args:
        cfg: The config.
        labels: The labels of the train photos.
        processes: The processes that share a batch.

    Raises:
        InputError: No batch can be drawn.
    """
    batch_size, seed = cfg.SOLVER.STAGE2.IMS_PER_BATCH, cfg.SOLVER.SEED
    rank, world_size = processes.rank, processes.world_size
    if cfg.DATALOADER.SAMPLER == 'softmax':
        return EpochBatches(
            ShuffleSampler(len(labels), seed), batch_size, seed, rank=rank, world_size=world_size
        )
    instances = cfg.DATALOADER.NUM_INSTANCE
    sampler = RandomIdentitySampler(labels, batch_size, instances, seed)
    line = short_epoch(labels, batch_size, instances, seed, world_size)
    if line:
        logger.warning('%s', line)
    return EpochBatches(sampler, batch_size, seed, instances, rank, world_size)


def loader_options(
    cfg: CfgNode,
    pin_memory: bool,
    device: torch.device | None,
    batches: Iterable[tuple[int, Sequence[int]]],
    processes: Processes = SINGLE,
) -> dict[str, Any]:
    """Return the keyword arguments that all loaders share.

    Loaders have a generator of their own, so they do not change the state of torch's.

    Args:
        cfg: The config.
        pin_memory: See ``make_dataloader``.
        device: See ``make_dataloader``.
        batches: (number of photos, (height, width) in pixels) of each loader's batches.
        processes: See ``make_dataloader``.
    """
    pixels = max(photos * height * width for photos, (height, width) in batches)
    largest = pixels * 3 * torch.float32.itemsize  # size of a batch in bytes
    workers = fitting_workers(cfg.DATALOADER.NUM_WORKERS, largest, processes.local_world_size)
    return {
        'num_workers': workers,
        'persistent_workers': workers > 0,
        'prefetch_factor': PREFETCH if workers else None,
        'pin_memory': pin_memory,
        'device': device,
        'generator': torch.Generator().manual_seed(cfg.SOLVER.SEED),
    }
