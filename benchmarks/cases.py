"""All rows of the benchmark, with those about the loader and the start of a command."""

import contextlib
import functools
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from yacs.config import CfgNode

from benchmarks import stage1, stage2
from benchmarks.core import Case, Settings, Ways
from benchmarks.inputs import ROOT, make_demo_data, write_species
from benchmarks.ranking import evaluation_cases, rerank_cases
from benchmarks.search import search_cases
from configs import load_cfg
from datasets.make_dataloader_clipreid import make_dataloader
from datasets.sampler import EpochBatches
from tests.oracles import loader as oracle_loader


def all_cases(settings: Settings) -> list[Case]:
    """Return the rows for these settings; on an accelerator only those that use it."""
    cases = [
        # This row comes first, because the cost of temporary tensors depends on the memory that
        # earlier rows have touched.
        stage2.optimizer_case(settings),
        *stage1.cases(settings),
        *stage2.cases(settings),
    ]
    if not settings.on_cpu:
        return cases + rerank_cases(settings)
    return [
        *cases,
        *loader_cases(settings),
        *rerank_cases(settings),
        *evaluation_cases(settings),
        *search_cases(settings),
        *start_cases(settings),
    ]


# Loader


def loader_cases(settings: Settings) -> list[Case]:
    """Return rows for an epoch with the transform of training, and with that of the test."""
    return [
        Case(
            'loader-train',
            'loader, training transform, from the second epoch on',
            functools.partial(load_for_training, settings),
            goal=3,
            tolerance=1e-6,
            threaded=False,
        ),
        Case(
            'loader-test',
            'loader, test transform, from the second epoch on',
            functools.partial(load_for_test, settings),
            goal=3,
            tolerance=1e-6,
            threaded=False,
        ),
    ]


@contextlib.contextmanager
def load_for_training(settings: Settings) -> Iterator[Ways]:
    """Load batches of 64 generated photos in this process; the warm-up is the first epoch."""
    with tempfile.TemporaryDirectory() as folder:
        cfg = _loader_config(settings, Path(folder))
        ours = make_dataloader(cfg).train_loader_stage2
        given = cfg.INPUT
        transform = oracle_loader.plain_train_transform(
            given.SIZE_TRAIN,
            given.PROB,
            given.PADDING,
            given.RE_PROB,
            given.PIXEL_MEAN,
            given.PIXEL_STD,
        )
        plain = oracle_loader.plain_loader(
            ours.dataset.records, transform, batch_sampler=ours.batch_sampler
        )

        sampler = ours.batch_sampler
        assert isinstance(sampler, EpochBatches)

        def epoch(loader: DataLoader) -> tuple[torch.Tensor, torch.Tensor]:
            sampler.set_epoch(1)  # both loaders share this sampler
            return _last_batch(loader)

        yield Ways(ours=functools.partial(epoch, ours), plain=functools.partial(epoch, plain))


@contextlib.contextmanager
def load_for_test(settings: Settings) -> Iterator[Ways]:
    """Load the same photos with the transform of the test."""
    with tempfile.TemporaryDirectory() as folder:
        cfg = _loader_config(settings, Path(folder))
        validation = make_dataloader(cfg).validation
        assert validation is not None  # the config has a validation list
        ours = validation.loader
        transform = oracle_loader.plain_test_transform(
            cfg.INPUT.SIZE_TEST, cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD
        )
        plain = oracle_loader.plain_loader(
            ours.dataset.records, transform, batch_sampler=ours.batch_sampler
        )
        yield Ways(
            ours=functools.partial(_last_batch, ours), plain=functools.partial(_last_batch, plain)
        )


def _loader_config(settings: Settings, folder: Path) -> CfgNode:
    """Write a species; return a config that trains and validates on it without workers."""
    individuals, photos = (16, 4) if settings.quick else (32, 8)
    species = write_species(folder, individuals, photos, settings.seed)
    options = [
        *species,
        *('DATASETS.VAL_LIST', 'train.txt'),
        *('DATALOADER.NUM_WORKERS', '0'),
        *('OUTPUT_DIR', str(folder)),
    ]
    return load_cfg(ROOT / 'configs/base_cnn.yml', options)


def _last_batch(loader: Iterable) -> tuple[torch.Tensor, torch.Tensor]:
    """Load all batches; return images and individuals of the last one for comparison."""
    for batch in loader:
        images, pid, *_ = batch
    return images, pid


# Start of a command


def start_cases(settings: Settings) -> list[Case]:
    """Return rows for the time until a command shows its first output."""
    return [
        Case('start-help', 'train_clipreid.py --help', start_help, limit=4, threaded=False),
        Case(
            'start-log',
            "train_clipreid.py to the log's first line",
            functools.partial(start_log, settings),
            limit=4,
            threaded=False,
        ),
    ]


@contextlib.contextmanager
def start_help() -> Iterator[Ways]:
    """Print the help text of train_clipreid.py in a separate process."""
    command = [sys.executable, 'train_clipreid.py', '--help']

    def ours() -> None:
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    yield Ways(ours)


@contextlib.contextmanager
def start_log(settings: Settings) -> Iterator[Ways]:
    """Start a real training on the animals of the demo; kill it after its first log line."""
    with tempfile.TemporaryDirectory() as folder:
        data = make_demo_data(Path(folder), settings.seed, individuals=(16, 2))
        config = ['--config_file', 'configs/demo/cnn_clipreid.yml']
        output = ['OUTPUT_DIR', f'{folder}/output']
        command = [sys.executable, 'train_clipreid.py', *config, *data, *output]

        def ours() -> None:
            with subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, encoding='utf-8'
            ) as process:
                assert process.stdout is not None  # a pipe
                first = process.stdout.readline()
                process.kill()
            if 'transreid INFO' not in first:
                raise RuntimeError(f'the first line of the training was {first!r}')

        yield Ways(ours)
