"""From a config to loaders: lists by species, checks before anything runs, batches that workers do
not change.
"""

import gc
import json
import logging
import multiprocessing
import random
import subprocess
import sys
import time
from collections import Counter
from multiprocessing.reduction import ForkingPickler
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace as Namespace

import numpy as np
import pytest
import torch
from PIL import Image

from datasets import make_dataloader_clipreid as doors
from datasets import transforms, workers
from datasets.animal import load_test, load_train
from datasets.cache import STAMP_BYTES
from datasets.dataset import ImageDataset
from datasets.images import read_image
from datasets.records import Record
from datasets.transforms import make_test_transform
from datasets.workers import ImageLoader
from tests.oracles.loader import plain_loader, plain_test_transform, plain_train_transform
from utils.errors import InputError

TRAIN = [
    ('train/0/a b.jpg', 0, 0),
    ('train/0/1.jpg', 0, 1),
    ('train/1/2.jpg', 1, 0),
    ('train/1/3.jpg', 1, 0),
    ('train/1/4.jpg', 1, 1),
    ('train/2/5.jpg', 2, 1),
    ('train/3/6.jpg', 3, 1),
]
VAL = [('val/0/7.jpg', 0, 0), ('val/2/8.jpg', 2, 1)]
QUERY = [('000000.jpg', 5), ('000001.jpg', 5), ('000002.jpg', 9)]
GALLERY = [('000002.jpg', 9), ('000003.jpg', 5)]
TRUTH = [
    {'imgid': index, 'entityid': pid, 'query': 'sing', 'frame': [0, 0, index]}
    for index, (_, pid) in enumerate(QUERY)
]


def write_list(path, rows):
    path.write_text(''.join(' '.join(map(str, row)) + '\n' for row in rows))


def make_photos(folder, rows):
    rng = np.random.default_rng(len(rows))
    for path, *_ in rows:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 10, 3)).astype(np.uint8)).save(folder / path)


@pytest.fixture
def cfg(tmp_path):
    """A species of one's own with all its photos."""
    lists = tmp_path / 'lists'
    lists.mkdir()
    for name, rows in [('train', TRAIN), ('val', VAL), ('query', QUERY), ('gallery', GALLERY)]:
        write_list(lists / f'{name}.txt', rows)
    make_photos(tmp_path / 'photos/seg', TRAIN + VAL)
    make_photos(tmp_path / 'test', QUERY + GALLERY)
    return Namespace(
        MODEL=Namespace(SIE_CAMERA=False, SIE_VIEW=False),
        DATASETS=Namespace(
            NAMES='animals',
            SPECIES='nyala',
            ROOT_DIR=str(tmp_path / 'photos'),
            DATA_DIR='seg',
            TEST_ROOT_DIR=str(tmp_path / 'test'),
            LIST_DIR=str(lists),
            TRAIN_LIST='train.txt',
            VAL_LIST='val.txt',
            QUERY_LIST='query.txt',
            GALLERY_LIST='gallery.txt',
            PROTOCOL='',
            GROUND_TRUTH='',
            SKIP_MISSING=False,
            SKIP_BROKEN=False,
            ALLOW_OUTSIDE=False,
        ),
        INPUT=Namespace(
            SIZE_TRAIN=[16, 8],
            SIZE_TEST=[12, 6],
            PROB=0.5,
            RE_PROB=0.5,
            PADDING=2,
            PIXEL_MEAN=[0.5, 0.5, 0.5],
            PIXEL_STD=[0.5, 0.5, 0.5],
        ),
        DATALOADER=Namespace(
            SAMPLER='softmax_triplet', NUM_INSTANCE=2, NUM_WORKERS=0, CACHE_GB=1.0
        ),
        SOLVER=Namespace(
            SEED=11, STAGE1=Namespace(IMS_PER_BATCH=3), STAGE2=Namespace(IMS_PER_BATCH=4)
        ),
        TEST=Namespace(IMS_PER_BATCH=4),
        OUTPUT_DIR=str(tmp_path),
    )


def by_species(cfg, species, lists):
    """The same config with lists by species; ``lists``: rows of the published file names."""
    data = cfg.DATASETS
    data.SPECIES, data.TRAIN_LIST, data.VAL_LIST, data.QUERY_LIST, data.GALLERY_LIST = (
        species,
        '',
        '',
        '',
        '',
    )
    for name, rows in lists.items():
        write_list(Path(data.LIST_DIR) / name, rows)
    return cfg


def listed(records, folder):
    return [
        (str(Path(record.path).relative_to(folder)), record.pid, record.viewid)
        for record in records
    ]


def rows_of(test):
    (trial,) = test.trials
    return trial.query_index.tolist(), trial.gallery_index.tolist()


def test_animals(cfg, tmp_path):
    animals = load_train(cfg)
    assert listed(animals.train, tmp_path / 'photos/seg') == TRAIN
    assert listed(animals.query, tmp_path / 'photos/seg') == VAL
    assert animals.gallery is animals.train
    assert animals.num_classes == 4
    assert animals.root == animals.validation.root == str(tmp_path / 'photos/seg')


def test_training_loaders(cfg, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger='transreid')
    loaders = doors.make_dataloader(cfg)
    assert loaders._fields == (
        'train_loader_stage2',
        'train_loader_stage1',
        'val_loader',
        'num_query',
        'num_classes',
        'camera_num',
        'view_num',
        'validation',
        'fingerprints',
        'cache_bytes',
    )
    assert loaders[3:7] == (2, 4, 1, 2)
    rows = [line.split() for line in caplog.text.splitlines()[1:]]
    assert ['train', '7', '4', '1', '1.5', '3'] in rows
    assert ['val', 'query', '2', '2', '1', '1', '1'] in rows

    batches = list(loaders.train_loader_stage1)
    assert [len(batch[0]) for batch in batches] == [3, 3, 1]
    images, pids, camids, viewids, indices = (
        torch.cat(column) for column in zip(*batches, strict=True)
    )
    assert images.shape == (7, 3, 16, 8) and images.dtype == torch.float32
    assert pids.tolist() == [pid for _, pid, _ in TRAIN]
    assert camids.tolist() == [0] * 7
    assert viewids.tolist() == [side for *_, side in TRAIN]
    assert indices.tolist() == list(range(7))
    for images, pids, *_, indices in loaders.train_loader_stage2:
        assert images.shape == (4, 3, 16, 8)
        assert pids[0] == pids[1] != pids[2] == pids[3]
        assert [TRAIN[index][1] for index in indices] == pids.tolist()

    assert loaders.validation.protocol.name == 'market_one_camera'
    batches = list(loaders.val_loader)
    assert [len(batch[0]) for batch in batches] == [4, 4, 1]
    assert batches[0][0].shape == (4, 3, 12, 6)
    assert torch.cat([batch[1] for batch in batches]).tolist() == [pid for _, pid, _ in VAL + TRAIN]
    assert [record.pid for record in loaders.val_loader.dataset.records] == [
        pid for _, pid, _ in VAL + TRAIN
    ]
    validation = loaders.validation
    assert validation.loader is loaders.val_loader
    assert listed(validation.query, tmp_path / 'photos/seg') == VAL
    assert listed(validation.gallery, tmp_path / 'photos/seg') == TRAIN
    assert rows_of(validation) == ([0, 1], list(range(2, 9)))


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('cached', [False, True])
def test_all_batches_are_the_plain_loaders(cfg, workers, cached):
    """Over three epochs, with photos kept in the file and without, by this process or by
    workers.
    """
    cfg.DATALOADER.NUM_WORKERS, cfg.OUTPUT_DIR = workers, cfg.OUTPUT_DIR if cached else ''
    cfg.INPUT.SIZE_TEST = cfg.INPUT.SIZE_TRAIN
    loaders = doors.make_dataloader(cfg)
    settings = {
        'size': cfg.INPUT.SIZE_TRAIN,
        'mean': cfg.INPUT.PIXEL_MEAN,
        'std': cfg.INPUT.PIXEL_STD,
    }
    random = plain_train_transform(flip=0.5, padding=2, erase=0.5, **settings)
    for loader, transform in [
        (loaders.train_loader_stage1, plain_test_transform(**settings)),
        (loaders.train_loader_stage2, random),
        (loaders.val_loader, plain_test_transform(**settings)),
    ]:
        plain = plain_loader(loader.dataset.records, transform, batch_sampler=loader.batch_sampler)
        for epoch in (1, 2, 3):
            if hasattr(loader.batch_sampler, 'set_epoch'):
                loader.batch_sampler.set_epoch(epoch)
            expected, batches = list(plain), list(loader)
            assert len(batches) == len(expected) > 1
            for batch, other in zip(batches, expected, strict=True):
                assert len(batch) == len(other) == 5
                torch.testing.assert_close(
                    batch[0], other[0], rtol=0, atol=2e-6
                )  # 1/5000 of a grey level
                assert all(torch.equal(*pair) for pair in zip(batch[1:], other[1:], strict=True))


@pytest.mark.parametrize(('size_test', 'times'), [([16, 8], 2), ([12, 6], 3)])
def test_training_decodes_no_photo_twice(cfg, tmp_path, monkeypatch, size_test, times):
    """Once for each of the two filters: stage 1 and validation share. With another SIZE_TEST they
    cannot.
    """
    read = Counter()
    monkeypatch.setattr(
        transforms, 'read_image', lambda path, upright: read.update([path]) or read_image(path)
    )
    cfg.DATALOADER.SAMPLER, cfg.INPUT.SIZE_TEST = 'softmax', size_test
    loaders = doors.make_dataloader(cfg)
    assert loaders.val_loader.dataset.cache._handle is None  # a refused run has taken no space
    for loader in (
        loaders.train_loader_stage1,
        *[loaders.train_loader_stage2, loaders.val_loader] * 3,
    ):
        assert sum(len(batch[1]) for batch in loader) == len(loader.dataset)
    folder = tmp_path / 'photos/seg'
    assert read == {str(folder / path): times for path, *_ in TRAIN} | {
        str(folder / path): 1 for path, *_ in VAL
    }


def test_a_photo_has_one_place_in_the_cache_whatever_its_spelling(cfg, tmp_path):
    cfg.INPUT.SIZE_TEST = cfg.INPUT.SIZE_TRAIN
    size = doors.make_dataloader(cfg).cache_bytes
    (tmp_path / 'photos/seg/link.jpg').symlink_to('train/1/2.jpg')
    write_list(
        Path(cfg.DATASETS.LIST_DIR) / 'val.txt', [*VAL, ('./train/0/1.jpg', 0), ('link.jpg', 1)]
    )
    loaders = doors.make_dataloader(cfg)
    assert loaders.cache_bytes == size and loaders.num_query == 4
    assert len(loaders.val_loader.dataset) == len(TRAIN) + len(VAL)


def test_the_validation_list_may_be_the_train_list(cfg):
    cfg.DATASETS.VAL_LIST = 'train.txt'
    animals = load_train(cfg)
    assert animals.query == animals.train and len(animals.train) == len(TRAIN)


def test_distractors_are_for_the_gallery_alone(cfg):
    folder = Path(cfg.DATASETS.LIST_DIR)
    write_list(folder / 'gallery.txt', [*GALLERY, ('000000.jpg', -1)])
    assert [record.pid for record in load_test(cfg).gallery] == [9, 5, -1]
    for name in ('train', 'val', 'query'):
        with pytest.raises(InputError, match=rf"{name}.txt:\d: label '-1' is not a whole number"):
            rows = {'train': TRAIN, 'val': VAL, 'query': QUERY}[name]
            write_list(folder / f'{name}.txt', [*rows, ('000000.jpg', -1)])
            load_test(cfg) if name == 'query' else load_train(cfg)
        write_list(folder / f'{name}.txt', rows)
    cfg.DATASETS.QUERY_LIST, cfg.DATASETS.GALLERY_LIST = 'gallery.txt', ''
    with pytest.raises(
        InputError,
        match="gallery.txt:3: label '-1' is not a whole number .*only a separate gallery list",
    ):
        load_test(cfg)


def test_a_full_cache_goes_to_stage_2_first(cfg, caplog):
    slot = STAMP_BYTES + 16 * 8 * 3
    cfg.INPUT.SIZE_TEST, cfg.DATALOADER.CACHE_GB = [16, 8], 9.5 * slot / 1e9
    loaders = doors.make_dataloader(cfg)
    assert loaders.train_loader_stage2.dataset.cache.nbytes == 7 * slot
    assert loaders.train_loader_stage1.dataset.cache.nbytes == 2 * slot
    assert '7 of 9 photos are decoded each time' in caplog.text
    cfg.DATALOADER.CACHE_GB = 0.0
    assert all(loader.dataset.cache is None for loader in doors.make_dataloader(cfg)[:3])


@pytest.mark.skipif(not torch.accelerator.is_available(), reason='needs an accelerator')
@pytest.mark.parametrize('workers', [0, 2])
def test_batches_are_the_same_on_an_accelerator(cfg, workers):
    """The same draws, and the same photos to rounding."""
    cfg.DATALOADER.NUM_WORKERS = workers
    device = torch.accelerator.current_accelerator()
    here, there = (
        doors.make_dataloader(cfg),
        doors.make_dataloader(cfg, pin_memory=True, device=device),
    )
    for mine, other in zip(here[:3], there[:3], strict=True):
        for batch, moved in zip(mine, other, strict=True):
            assert all(column.device.type == device.type for column in moved)
            torch.testing.assert_close(moved[0].cpu(), batch[0], rtol=0, atol=2e-6)
            assert all(
                torch.equal(column, again.cpu())
                for column, again in zip(batch[1:], moved[1:], strict=True)
            )


def drawn(cfg, workers, epochs=(1, 2)):
    cfg.DATALOADER.NUM_WORKERS = workers
    loader, batches = doors.make_dataloader(cfg).train_loader_stage2, []
    for epoch in epochs:
        loader.batch_sampler.set_epoch(epoch)
        batches += list(loader)
    return batches


@pytest.mark.parametrize('sampler', ['softmax', 'softmax_triplet'])
def test_batches_depend_neither_on_workers_nor_on_global_generators(cfg, sampler):
    cfg.DATALOADER.SAMPLER = sampler
    torch.manual_seed(0)
    expected = drawn(cfg, workers=0)
    assert torch.equal(torch.get_rng_state(), torch.manual_seed(0).get_state())  # left as it was
    random.seed(9)
    torch.manual_seed(9)
    repeated = drawn(cfg, workers=2)
    assert len(expected) == len(repeated) >= 2
    for batch, again in zip(expected, repeated, strict=True):
        assert all(torch.equal(*pair) for pair in zip(batch, again, strict=True))
    resumed = drawn(cfg, workers=0, epochs=(2,))
    assert torch.equal(resumed[-1][0], expected[-1][0])
    cfg.SOLVER.SEED = 12
    assert not torch.equal(drawn(cfg, workers=0)[0][0], expected[0][0])


def test_the_random_transform_varies(cfg):
    images = {}
    for batch in drawn(cfg, workers=0, epochs=range(4)):
        for image, *_, index in zip(*batch, strict=True):
            images.setdefault(index.item(), []).append(image)
    several = max(images.values(), key=len)
    assert len({image.numpy().tobytes() for image in several}) > 1


def test_a_single_photo_is_read_by_its_index(cfg):
    dataset = doors.make_dataloader(cfg).train_loader_stage2.dataset
    image, pid, camid, viewid, index = dataset[4]
    assert (pid, camid, viewid, index) == (1, 0, 1, 4)
    assert torch.equal(image, dataset[4][0])
    assert torch.equal(dataset[4, 77][0], dataset[4, 77][0])


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('device', ['cpu', 'meta'])  # meta: as on an accelerator
def test_a_broken_photo_ends_the_loop_with_one_line_and_at_once(tmp_path, workers, device):
    make_photos(tmp_path, [('good.jpg',)])
    (tmp_path / 'bad.jpg').write_text('no picture')
    records = [Record(str(tmp_path / name), 0) for name in ('good.jpg', 'bad.jpg')]
    dataset = ImageDataset(records, make_test_transform(size=(8, 8), mean=[0.5] * 3, std=[0.5] * 3))
    start, batches = time.monotonic(), []
    with pytest.raises(InputError) as caught:
        for batch in ImageLoader(dataset, device=device, batch_size=1, num_workers=workers):
            batches.append(batch)
    assert len(batches) == 1
    assert str(caught.value).startswith(f'{tmp_path}/bad.jpg: not a picture')
    assert '\n' not in str(caught.value)
    del caught
    gc.collect()
    assert time.monotonic() - start < 4  # torch's own way holds each worker for five seconds


@pytest.mark.parametrize(
    ('wanted', 'free', 'processes', 'used'),
    [
        (8, 10**9, 1, 8),
        (8, 64 * 2**20, 1, 4),
        (8, 64 * 2**20, 2, 1),
        (8, 2**16, 1, 0),
        (0, 0, 1, 0),
    ],
)
def test_workers_are_as_many_as_the_shared_memory_holds(
    monkeypatch, caplog, wanted, free, processes, used
):
    """64 photos of 256 x 128 are 6.3 MB; a worker has two batches ahead, the loop two more."""
    monkeypatch.setattr(workers.shutil, 'disk_usage', lambda path: Namespace(free=free))
    assert workers.fitting_workers(wanted, 64 * 256 * 128 * 3, processes) == used
    assert len(caplog.messages) == (used < wanted)
    for line in caplog.messages:
        assert (
            f'has {free / 1e6:.1f} MB free' in line and f'NUM_WORKERS {wanted} needs up to' in line
        )
        assert (
            f'the run uses {used} workers' in line
            and '--shm-size 8g' in line
            and 'NUM_WORKERS 0' in line
        )


@pytest.mark.parametrize('platform', ['linux', 'darwin', 'win32'])
def test_only_linux_has_a_shared_memory_that_may_be_full(monkeypatch, platform):
    monkeypatch.setattr(workers.sys, 'platform', platform)
    monkeypatch.setattr(workers.os, 'access', lambda path, mode: False)
    assert workers.fitting_workers(8, 1) == (0 if platform == 'linux' else 8)


def test_all_loaders_look_at_the_shared_memory(cfg, monkeypatch):
    """The largest batch counts: 4 photos of 16 x 8 in stage 2."""
    asked, cfg.DATALOADER.NUM_WORKERS = [], 5
    monkeypatch.setattr(doors, 'fitting_workers', lambda *asks: asked.append(asks) or 3)
    loaders, test = doors.make_dataloader(cfg), doors.make_test_dataloader(cfg)
    assert {loader.num_workers for loader in (*loaders[:3], test.loader)} == {3}
    assert asked == [(5, 4 * 16 * 8 * 12, 1), (5, 4 * 12 * 6 * 12, 1)]


def test_a_batch_is_as_large_as_was_said(cfg, monkeypatch):
    monkeypatch.setattr(doors, 'fitting_workers', lambda wanted, size, _: sizes.append(size) or 0)
    sizes = []
    images = next(iter(doors.make_dataloader(cfg).train_loader_stage2))[0]
    assert [images.nbytes] == sizes


@pytest.mark.parametrize(
    'error',
    [
        RuntimeError(
            'unable to allocate shared memory(shm) for file </torch_7>: No space left '
            'on device (28)'
        ),
        OSError(24, 'Too many open files'),
    ],
)
def test_a_batch_that_cannot_be_handed_over_ends_the_loop(cfg, monkeypatch, error):
    """Else the worker's queue prints the error and loses the batch, and the loop waits for it."""

    def fail(storage):
        raise error

    monkeypatch.setitem(ForkingPickler._extra_reducers, torch.UntypedStorage, fail)
    dataset = doors.make_dataloader(cfg).train_loader_stage1.dataset
    with pytest.raises(
        InputError, match=f'cannot pass on .*{error.args[-1][:20]}.*--shm-size.*NUM_WORKERS 0'
    ) as caught:
        list(ImageLoader(dataset, num_workers=1, multiprocessing_context='fork', timeout=20))
    assert '\n' not in str(caught.value)


def test_workers_that_cannot_start_are_an_error_in_one_line(cfg, monkeypatch):
    def fail(process):
        raise OSError(11, 'Resource temporarily unavailable')

    monkeypatch.setattr(multiprocessing.process.BaseProcess, 'start', fail)
    loader = ImageLoader(doors.make_dataloader(cfg).train_loader_stage1.dataset, num_workers=1)
    with pytest.raises(InputError, match='have failed .*temporarily unavailable.*NUM_WORKERS 0'):
        next(iter(loader))


UNGUARDED = """
import multiprocessing, sys
sys.path.insert(0, sys.argv[1])
from datasets.dataset import ImageDataset
from datasets.records import Record
from datasets.transforms import make_test_transform
from datasets.workers import ImageLoader
from utils.torch_errors import translated_errors

multiprocessing.set_start_method('spawn', force=True)
with translated_errors('X'):
    transform = make_test_transform((8, 8), [0.5] * 3, [0.5] * 3)
    dataset = ImageDataset([Record(sys.argv[2], 0)] * 5000, transform)
    next(iter(ImageLoader(dataset, num_workers=1)))
"""


def test_a_script_without_a_main_guard_is_told_so(tmp_path):
    """Its workers would start it again, where they are not forked. Orders that fill a pipe: the
    start waited for ever.
    """
    make_photos(tmp_path, [('a.png',)])
    (tmp_path / 'script.py').write_text(UNGUARDED)
    root = Path(doors.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, tmp_path / 'script.py', root, tmp_path / 'a.png'],
        capture_output=True,
        text=True,
        timeout=60,
    )
    (last,) = [line for line in done.stderr.splitlines() if 'InputError' in line and line[0] != ' ']
    assert 'have failed (exit code 1' in last and "`if __name__ == '__main__':`" in last
    assert done.returncode == 1


def test_training_warns_of_epochs_that_show_few_photos(cfg, caplog):
    more = [(f'train/0/more{number}.jpg', 0) for number in range(60)]
    make_photos(Path(cfg.DATASETS.ROOT_DIR) / 'seg', more)
    write_list(Path(cfg.DATASETS.LIST_DIR) / 'train.txt', [*TRAIN, *more])
    cfg.SOLVER.STAGE2.IMS_PER_BATCH = 8
    doors.make_dataloader(cfg)
    assert 'an epoch of stage 2 ends after step 1 and shows 6 of 67 train photos' in caplog.text
    caplog.clear()
    cfg.DATALOADER.SAMPLER = 'softmax'
    doors.make_dataloader(cfg)
    assert 'an epoch' not in caplog.text


def test_no_validation_list(cfg, caplog):
    cfg.DATASETS.VAL_LIST = ''
    loaders = doors.make_dataloader(cfg)
    assert loaders.val_loader is None
    assert loaders.num_query == 0
    assert 'no validation' in caplog.text


def test_validation_of_strangers_warns(cfg, caplog):
    write_list(Path(cfg.DATASETS.LIST_DIR) / 'val.txt', [('val/0/7.jpg', 0), ('val/2/8.jpg', 44)])
    load_train(cfg)
    assert '1 individuals are not in the train list (44)' in caplog.text


@pytest.mark.parametrize(
    ('species', 'train', 'val'),
    [
        ('tiger', 'mytrain.txt', 'myval.txt'),
        ('yak', 'yak_mytrain_aligned.txt', 'yak_myval_aligned.txt'),
        ('h_yak', 'yak_mytrain_aligned.txt', 'yak_myval_aligned.txt'),
        ('elephant', 'ele_train.txt', 'ele_val.txt'),
        ('s_yak', 'yak_mytrain_aligned.txt', 'yak_myval_aligned.txt'),
        ('all', 'all_train_aligned.txt', 'all_val_aligned.txt'),
    ],
)
def test_training_lists_by_species(cfg, species, train, val):
    loaders = doors.make_dataloader(by_species(cfg, species, {train: TRAIN, val: VAL}))
    assert (loaders.num_query, loaders.num_classes) == (2, 4)


@pytest.mark.parametrize(
    ('species', 'query', 'gallery'),
    [
        ('yak', 'yak_probe_hard.txt', 'yak_gallery_hard.txt'),
        ('h_yak', 'yak_probe_hard.txt', 'yak_gallery_hard.txt'),
        ('s_yak', 'yak_probe_simple.txt', 'yak_gallery_simple.txt'),
        ('elephant', 'ele_new_test_probe.txt', 'ele_new_test_gallery.txt'),
    ],
)
def test_test_lists_by_species(cfg, species, query, gallery):
    test = doors.make_test_dataloader(by_species(cfg, species, {query: QUERY, gallery: GALLERY}))
    assert test.protocol.name == species
    assert [record.pid for record in test.query] == [5, 5, 9]
    assert [record.pid for record in test.gallery] == [9, 5]
    assert torch.cat([batch[1] for batch in test.loader]).tolist() == [
        5,
        5,
        9,
        5,
    ]  # 000002.jpg is in both
    assert rows_of(test) == ([0, 1, 2], [2, 3])
    assert test.loader.dataset.cache is None
    assert next(iter(test.loader))[0].shape == (4, 3, 12, 6)


@pytest.mark.parametrize(
    ('species', 'name'), [('tiger', 'mytest.txt'), ('debug', 'debug_ele_train.txt')]
)
def test_query_and_gallery_are_the_same_photos(cfg, species, name):
    (Path(cfg.DATASETS.LIST_DIR) / 'gt_test_plain.json').write_text(json.dumps(TRUTH))
    test = doors.make_test_dataloader(by_species(cfg, species, {name: QUERY}))
    assert test.query == test.gallery == test.loader.dataset.records
    assert rows_of(test) == ([0, 1, 2], [0, 1, 2])
    assert [record.group for record in test.query] == ['sing' if species == 'tiger' else ''] * 3


def test_photos_are_the_same_where_a_model_gets_the_same():
    """Path, camera and view; the individual is what a list says."""
    a, b = Record('a', 0), Record('b', 1)
    other_side, other_camera, renamed = (
        Record('a', 0, viewid=1),
        Record('a', 0, camid=1),
        Record('a', 7),
    )
    query, gallery = [a, b, a, other_side], [b, other_camera, renamed, Record('c', 2)]
    looks_at = attrgetter('path', 'camid', 'viewid')
    records, rows = doors.each_once([*query, *gallery], looks_at)
    assert records == [a, b, other_side, other_camera, gallery[3]]
    assert (rows(query).tolist(), rows(gallery).tolist()) == ([0, 1, 0, 2], [1, 3, 0, 4])
    assert rows(query).dtype == torch.int64


@pytest.mark.parametrize(
    ('looks_at_camera', 'looks_at_side', 'rows'),
    [(False, False, [2, 2]), (False, True, [3, 2]), (True, False, [2, 3]), (True, True, [3, 4])],
)
def test_a_photo_is_encoded_again_only_for_a_model_that_sees_the_difference(
    cfg, looks_at_camera, looks_at_side, rows
):
    """000002.jpg of the query list is in the gallery with another side, and with another camera."""
    write_list(
        Path(cfg.DATASETS.LIST_DIR) / 'gallery.txt', [('000002.jpg', 9, 1), ('000002.jpg', 9, 0, 3)]
    )
    cfg.MODEL.SIE_CAMERA, cfg.MODEL.SIE_VIEW = looks_at_camera, looks_at_side
    test = doors.make_test_dataloader(cfg)
    assert rows_of(test) == ([0, 1, 2], rows)
    assert len(test.loader.dataset) == max(rows) + 1


def test_own_test_lists(cfg, tmp_path, monkeypatch):
    assert load_test(cfg).protocol.name == 'query_in_gallery'  # 000002.jpg is in both
    cfg.DATASETS.GALLERY_LIST = ''  # then the query list is the gallery too
    photos = load_test(cfg)
    assert photos.query is photos.gallery
    cfg.DATASETS.QUERY_LIST = str(tmp_path / 'lists/gallery.txt')
    assert len(load_test(cfg).query) == 2
    monkeypatch.chdir(tmp_path)
    write_list(tmp_path / 'query.txt', QUERY[:1])
    cfg.DATASETS.QUERY_LIST, cfg.DATASETS.LIST_DIR = (
        'query.txt',
        'elsewhere',
    )  # in LIST_DIR first, then here
    assert len(load_test(cfg).query) == 1


def test_ground_truth_elsewhere(cfg, tmp_path):
    cfg.DATASETS.PROTOCOL, cfg.DATASETS.GALLERY_LIST = 'tiger', ''
    cfg.DATASETS.GROUND_TRUTH = str(tmp_path / 'truth.json')
    (tmp_path / 'truth.json').write_text(json.dumps(TRUTH))
    photos = load_test(cfg)
    assert photos.protocol.name == 'tiger'
    assert [record.frame for record in photos.query] == [(0, 0, 0), (0, 0, 1), (0, 0, 2)]


@pytest.mark.parametrize(
    ('keys', 'complaint'),
    [
        (
            {'TRAIN_LIST': ''},
            "SPECIES 'nyala' has no train list; choose one of tiger, .* or set DATASETS.TRAIN_LIST",
        ),
        ({'TRAIN_LIST': '', 'SPECIES': 'debug'}, "SPECIES 'debug' has no train list"),
        ({'TRAIN_LIST': 'gone.txt'}, 'lists/gone.txt: no such list'),
        ({'ROOT_DIR': 'nowhere'}, "DATASETS.ROOT_DIR/DATA_DIR: there is no folder 'nowhere/seg'"),
        ({'DATA_DIR': ''}, 'train.txt: 7 of 7 photos are missing .*SKIP_MISSING True'),
        ({'TRAIN_LIST': 'val.txt'}, r'val.txt: training labels must be 0 … n-1'),
        ({'SPECIES': 'tiger', 'TRAIN_LIST': '', 'VAL_LIST': ''}, 'lists/mytrain.txt: no such list'),
    ],
)
def test_bad_training_input(cfg, keys, complaint):
    vars(cfg.DATASETS).update(keys)
    with pytest.raises(InputError, match=complaint):
        doors.make_dataloader(cfg)


@pytest.mark.parametrize(
    ('keys', 'complaint'),
    [
        (
            {'QUERY_LIST': '', 'GALLERY_LIST': ''},
            "SPECIES 'nyala' has no query list; choose one of tiger, yak",
        ),
        (
            {'QUERY_LIST': '', 'GALLERY_LIST': '', 'SPECIES': 'all'},
            "SPECIES 'all' has no query list",
        ),
        ({'QUERY_LIST': ''}, 'no query list; .* or set DATASETS.QUERY_LIST'),
        ({'PROTOCOL': 'vehicleid'}, "PROTOCOL 'vehicleid' does not suit animals; choose one of"),
        ({'TEST_ROOT_DIR': 'nowhere'}, "DATASETS.TEST_ROOT_DIR: there is no folder 'nowhere'"),
        ({'PROTOCOL': 'tiger'}, 'gt_test_plain.json: no such file'),
        ({'QUERY_LIST': 'train.txt'}, 'train.txt: 7 of 7 photos are missing'),
    ],
)
def test_bad_test_input(cfg, keys, complaint):
    vars(cfg.DATASETS).update(keys)
    with pytest.raises(InputError, match=complaint):
        doors.make_test_dataloader(cfg)


def test_skip_missing_keeps_the_classes(cfg, tmp_path, caplog):
    (tmp_path / 'photos/seg' / TRAIN[-1][0]).unlink()  # the only photo of individual 3
    cfg.DATASETS.SKIP_MISSING = True
    loaders = doors.make_dataloader(cfg)
    assert loaders.num_classes == 4
    assert len(loaders.train_loader_stage1.dataset) == 6
    assert '1 of 7 photos are missing' in caplog.text


def test_lists_are_checked_before_photos(cfg):
    cfg.DATASETS.ROOT_DIR = 'nowhere'
    (Path(cfg.DATASETS.LIST_DIR) / 'val.txt').write_text('val/0/7.jpg x\n')
    with pytest.raises(InputError, match="val.txt:1: label 'x'"):
        doors.make_dataloader(cfg)
