"""The benchmark's rows that need no model: loader, re-ranking, evaluation, start of a command. All
inputs are invented.
"""

import contextlib
import functools
import io
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.core import Case, Ways
from configs import load_cfg
from datasets.make_dataloader_clipreid import make_dataloader
from datasets.protocols import PROTOCOLS
from datasets.records import Record
from tests.oracles import loader as oracle_loader
from tests.oracles import metrics as oracle_metrics
from tests.oracles import reranking as oracle_reranking
from tools.demo.data import make_demo
from utils.metrics import eval_func, rank_metrics
from utils.reranking import re_rank_features, re_ranking

ROOT = Path(__file__).resolve().parents[1]
CLUSTER = 10  # photos of an individual, as in ATRW
DIMENSIONS = 1280  # of a ViT's test features f ‖ f_proj
TIGER = 1764  # photos of ATRW's test; each is query and gallery


def cases(settings):
    """The rows for these settings; on an accelerator only those that use it."""
    if settings.device.type != 'cpu':
        return rerank_cases(settings)
    return [
        *loader_cases(settings),
        *rerank_cases(settings),
        *evaluation_cases(settings),
        *start_cases(settings),
    ]


# Loader


def loader_cases(settings):
    return [
        Case(
            'loader-train',
            'loader, training transform, from the second epoch on',
            functools.partial(load, settings, 'train'),
            goal=5,
            tolerance=1e-6,
            threaded=False,
        ),
        Case(
            'loader-test',
            'loader, test transform, from the second epoch on',
            functools.partial(load, settings, 'test'),
            goal=50,
            tolerance=1e-6,
            threaded=False,
        ),
    ]


@contextlib.contextmanager
def load(settings, kind):
    """An epoch over invented photos in this process, batches of 64; the warm-up is the first. The
    last batch is compared.
    """
    with tempfile.TemporaryDirectory() as folder:
        individuals, photos = (16, 4) if settings.quick else (32, 8)
        write_photos(Path(folder) / 'photos', individuals, photos, settings.seed)
        cfg = loader_config(Path(folder), individuals, photos)
        loaders = make_dataloader(cfg)
        mean, std = cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD
        if kind == 'train':
            ours = loaders.train_loader_stage2
            transform = oracle_loader.plain_train_transform(
                cfg.INPUT.SIZE_TRAIN,
                cfg.INPUT.PROB,
                cfg.INPUT.PADDING,
                cfg.INPUT.RE_PROB,
                mean,
                std,
            )
        else:
            ours = loaders.validation.loader
            transform = oracle_loader.plain_test_transform(cfg.INPUT.SIZE_TEST, mean, std)
        plain = oracle_loader.plain_loader(
            ours.dataset.records, transform, batch_sampler=ours.batch_sampler
        )

        def epoch(loader):
            if kind == 'train':
                loader.batch_sampler.set_epoch(1)
            for batch in loader:
                images, pid, *_ = batch
            return images, pid

        yield Ways(ours=functools.partial(epoch, ours), plain=functools.partial(epoch, plain))


def loader_config(folder, individuals, photos):
    """Settings of a species whose photos are these, for training and for validation, without worker
    processes.
    """
    lines = [
        f'{individual}/{number}.jpg {individual}\n'
        for individual in range(individuals)
        for number in range(photos)
    ]
    (folder / 'train.txt').write_text(''.join(lines), encoding='utf-8')
    return load_cfg(
        ROOT / 'configs/base_cnn.yml',
        [
            'DATASETS.SPECIES',
            'invented',
            'DATASETS.ROOT_DIR',
            str(folder),
            'DATASETS.DATA_DIR',
            'photos',
            'DATASETS.LIST_DIR',
            str(folder),
            'DATASETS.TRAIN_LIST',
            'train.txt',
            'DATASETS.VAL_LIST',
            'train.txt',
            'DATALOADER.NUM_WORKERS',
            0,
            'OUTPUT_DIR',
            str(folder),
        ],
    )


def write_photos(folder, individuals, photos, seed):
    """JPEGs of 640 x 400 pixels with detail at all scales, as photos have:
    ``<individual>/<number>.jpg``.
    """
    rng = np.random.default_rng(seed)
    for individual in range(individuals):
        (folder / str(individual)).mkdir(parents=True)
        for number in range(photos):
            photo = np.full((400, 640, 3), 128.0)
            for cells in (2, 4, 8, 16, 40, 80, 200):  # finer and fainter
                noise = rng.integers(256, size=(cells, cells * 8 // 5, 3), dtype=np.uint8)
                photo += (
                    np.asarray(Image.fromarray(noise).resize((640, 400), Image.BILINEAR)) - 127.5
                ) / cells**0.4
            Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8)).save(
                folder / f'{individual}/{number}.jpg', quality=90
            )


# Re-ranking


def rerank_cases(settings):
    """From the three matrices of similarities, and from features as a test does it: both ways need
    the products of those.
    """
    if settings.quick:
        return [
            Case(
                'rerank-1000',
                're-ranking, 500 queries in 500 photos',
                functools.partial(rerank, settings, 500, 500),
            )
        ]
    tiger, large, memory = (TIGER, TIGER), (2000, 8000), {'memory': True, 'memory_goal': 1 / 3}
    return [
        Case(
            'rerank-3528',
            're-ranking, N = 3,528 (ATRW)',
            functools.partial(rerank_given, settings, *tiger),
            goal=15,
            **memory,
        ),
        Case(
            'rerank-10000',
            're-ranking, N = 10,000',
            functools.partial(rerank_given, settings, *large),
            goal=12,
            threaded=False,
            **memory,
        ),
        Case(
            'rerank-features-3528',
            'the same with the products of the features',
            functools.partial(rerank, settings, *tiger),
            threaded=False,
        ),  # larger ones: --growth
    ]


@contextlib.contextmanager
def rerank(settings, queries, gallery):
    """Re-ranking of invented features of a query and a gallery."""
    features, query, others = query_and_gallery(settings, queries, gallery)
    on_device = torch.from_numpy(features).to(settings.device)

    def plain():
        q, g = features[query], features[others]
        return oracle_reranking.re_ranking_plain(q @ g.T, q @ q.T, g @ g.T, ties='index')

    def products():  # of the rest there is little
        return 2 * len(features) ** 2 * DIMENSIONS

    yield Ways(ours=lambda: re_rank_features(on_device, query, others), plain=plain, flops=products)


@contextlib.contextmanager
def rerank_given(settings, queries, gallery):
    """The same, the similarities made beforehand."""
    features, query, others = query_and_gallery(settings, queries, gallery)
    q, g = features[query], features[others]
    given = q @ g.T, q @ q.T, g @ g.T
    on_device = [torch.from_numpy(block).to(settings.device) for block in given]
    yield Ways(
        ours=lambda: re_ranking(*on_device),
        plain=lambda: oracle_reranking.re_ranking_plain(*given, ties='index'),
    )


def query_and_gallery(settings, queries, gallery):
    """Features of the photos (U, D), and indices of queries and gallery in them; equally many are
    the same, as in ATRW.
    """
    if queries == gallery:
        return (
            clustered_features(gallery, seed=settings.seed),
            np.arange(gallery),
            np.arange(gallery),
        )
    features = clustered_features(queries + gallery, seed=settings.seed)
    return features, np.arange(queries), np.arange(queries, queries + gallery)


def clustered_features(photos, dimensions=DIMENSIONS, seed=1):
    """(photos, dimensions) float32 rows of length 1: individuals of CLUSTER photos that overlap, as
    real ones do.

    Individuals differ in 32 directions, in which their photos scatter too; then noise in all
    directions. Rounded to multiples of 2^-11: their products are then exact in float32 in whatever
    order they are summed. Else two ways could differ by the last bit of a similarity, and by that
    in who is whose neighbour.
    """
    rng = np.random.default_rng(seed)
    individual = rng.permutation(np.arange(photos) // CLUSTER)
    place = rng.standard_normal((photos // CLUSTER + 1, 32), dtype=np.float32)[individual]
    place += 1.2 * rng.standard_normal((photos, 32), dtype=np.float32)
    features = place @ rng.standard_normal((32, dimensions), dtype=np.float32)
    features += 2 * rng.standard_normal((photos, dimensions), dtype=np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return np.round(features * 2**11) / np.float32(2**11)


# Evaluation


def evaluation_cases(settings):
    atrw, market = (300, (200, 1000)) if settings.quick else (TIGER, (3368, 15_913))
    return [
        Case(
            f'atrw-{atrw}',
            f'ATRW evaluation of {atrw:,} queries',
            functools.partial(evaluate_atrw, settings, atrw),
            goal=None if settings.quick else 50,
            tolerance=1e-9,
            threaded=False,
        ),
        Case(
            f'market-{market[0]}x{market[1]}',
            f'CMC/mAP, {market[0]:,} × {market[1]:,}',
            functools.partial(evaluate_market, settings, *market),
            goal=None if settings.quick else 12,
            tolerance=1e-9,
            threaded=False,
            memory=not settings.quick,
        ),
    ]


@contextlib.contextmanager
def evaluate_atrw(settings, photos):
    """ATRW's kind of test: every photo is query and gallery, some from the same moment of the same
    camera sequence.
    """
    rng = np.random.default_rng(settings.seed)
    pid = rng.integers(photos // CLUSTER, size=photos)
    features = invented_features(rng, pid)
    frame = np.stack([rng.integers(end, size=photos) for end in (8, 20, 200)], axis=1)
    records = [
        Record(
            f'{index}.jpg',
            int(pid[index]),
            frame=tuple(frame[index].tolist()),
            group='sing' if index % 2 else 'multi',
        )
        for index in range(photos)
    ]
    distance = 1 - features @ features.T

    def ours():
        metrics = rank_metrics(distance, records, records, PROTOCOLS['tiger'])
        return {
            name: value for name, value in metrics.items() if name == 'mmAP' or '/' in name
        }  # the others are ours alone

    yield Ways(ours=ours, plain=lambda: oracle_metrics.atrw_plain(distance, records))


@contextlib.contextmanager
def evaluate_market(settings, queries, gallery):
    """Market-1501's kind of test: 750 individuals, 6 cameras; photos of the query's own camera do
    not count.
    """
    rng = np.random.default_rng(settings.seed)
    pid, camera = rng.integers(750, size=queries + gallery), rng.integers(6, size=queries + gallery)
    features = invented_features(rng, pid)
    arguments = (
        1 - features[:queries] @ features[queries:].T,
        pid[:queries],
        pid[queries:],
        camera[:queries],
        camera[queries:],
    )
    yield Ways(
        ours=lambda: eval_func(*arguments),
        plain=lambda: oracle_metrics.market_plain(*arguments, kind='stable'),
    )


def invented_features(rng, pid):
    """(N, 64) float32 of length 1: a place for each individual, and noise."""
    features = rng.standard_normal((pid.max() + 1, 64), dtype=np.float32)[pid]
    features += 1.5 * rng.standard_normal((len(pid), 64), dtype=np.float32)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


# Start of a command


def start_cases(settings):
    return [
        Case('start-help', 'train_clipreid.py --help', start_help, limit=1, threaded=False),
        Case(
            'start-log',
            "train_clipreid.py to the log's first line",
            functools.partial(start_log, settings),
            limit=4,
            threaded=False,
        ),
    ]


@contextlib.contextmanager
def start_help():
    def ours():
        subprocess.run(
            [sys.executable, 'train_clipreid.py', '--help'],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    yield Ways(ours)


@contextlib.contextmanager
def start_log(settings):
    """A real training, of the demo's animals, ended as soon as it has said something."""
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.redirect_stdout(io.StringIO()):
            make_demo(folder, settings.seed, train_individuals=16, test_individuals=2)
        weights = f'{folder}/clip_small_rn.pth'
        command = [
            sys.executable,
            'train_clipreid.py',
            '--config_file',
            'configs/demo/cnn_clipreid.yml',
            'DATASETS.LIST_DIR',
            folder,
            'DATASETS.ROOT_DIR',
            folder,
            'MODEL.PRETRAIN_PATH',
            weights,
            'OUTPUT_DIR',
            f'{folder}/output',
        ]

        def ours():
            with subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, encoding='utf-8'
            ) as process:
                first = process.stdout.readline()
                process.kill()
            if 'transreid INFO' not in first:
                raise RuntimeError(f'the first line of the training was {first!r}')

        yield Ways(ours)
