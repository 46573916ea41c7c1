"""Photos kept in a file: the same bytes as reading them, whatever happens to photos, disk and
processes.
"""

import errno
import gc
import logging
import math
import multiprocessing
import os
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datasets import cache as module
from datasets.cache import STAMP_BYTES, make_caches
from datasets.dataset import ImageDataset
from datasets.records import Record
from datasets.transforms import make_test_transform, make_train_transform
from datasets.workers import ImageLoader
from utils.errors import InputError

STATISTICS = {'mean': [0.5] * 3, 'std': [0.5] * 3}
TRANSFORM = make_test_transform(size=(12, 8), **STATISTICS)
SLOT = STAMP_BYTES + 12 * 8 * 3


def write_photo(path, seed):
    """A PNG of noise; (modification time, size) differs for every seed."""
    image = Image.fromarray(
        np.random.default_rng(seed).integers(0, 256, (20, 10, 3)).astype(np.uint8)
    )
    image.save(path)
    os.utime(path, ns=(0, seed * 1000))


@pytest.fixture
def paths(tmp_path):
    paths = [str(tmp_path / f'{number}.png') for number in range(5)]
    for number, path in enumerate(paths):
        write_photo(path, number)
    return paths


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'output').mkdir()
    return tmp_path / 'output'


@pytest.fixture
def readings(monkeypatch):
    """Paths as they are decoded."""
    read, plain = [], type(TRANSFORM.reading).__call__
    monkeypatch.setattr(
        type(TRANSFORM.reading),
        '__call__',
        lambda self, path: read.append(path) or plain(self, path),
    )
    return read


def make_cache(folder, paths, limit=1e6):
    cache = make_caches(folder, limit, [(TRANSFORM.reading, paths)])[TRANSFORM.reading]
    cache.reserve()
    return cache


def files(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def disk(cache):
    return os.fstat(cache._handle)


def assert_same(cache, paths):
    for path in paths:
        np.testing.assert_array_equal(cache(path), TRANSFORM.reading(path))


def test_a_photo_is_read_once_and_stays_the_same(folder, paths, readings):
    cache = make_cache(folder, [*paths, *paths])
    first = [cache(path).copy() for path in paths]
    assert readings == paths
    for path, pixels in zip(paths, first, strict=True):
        np.testing.assert_array_equal(cache(path), pixels)
    assert readings == paths
    assert_same(cache, paths)
    assert disk(cache).st_size == cache.nbytes == 5 * SLOT
    assert disk(cache).st_dev == folder.stat().st_dev


@pytest.mark.parametrize('change', ['time', 'size'])
def test_a_changed_photo_is_read_again(folder, paths, change):
    cache = make_cache(folder, paths)
    assert_same(cache, paths)
    before, size = cache(paths[1]).copy(), os.path.getsize(paths[1])
    write_photo(paths[1], 77)
    if change == 'size':
        with open(paths[1], 'ab') as file:
            file.write(b'more')
        os.utime(paths[1], ns=(0, 1000))  # as it was
        assert os.path.getsize(paths[1]) != size
    assert not np.array_equal(cache(paths[1]), before)
    assert_same(cache, paths * 2)


def test_vanished_and_broken_photos_are_reported_as_without_cache(folder, paths):
    cache = make_cache(folder, paths)
    assert_same(cache, paths)
    os.remove(paths[0])
    Path(paths[1]).write_text('no picture')
    for path in paths[:2]:
        messages = []
        for read in (cache, TRANSFORM.reading):
            with pytest.raises(InputError) as caught:
                read(path)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
    write_photo(paths[0], 0)  # back again, as it was
    assert_same(cache, paths[:1] + paths[2:])


def test_the_limit_counts_for_all_caches(folder, paths, caplog):
    other = make_train_transform(size=(6, 4), flip=0, padding=0, erase=0, **STATISTICS).reading
    slot = STAMP_BYTES + 6 * 4 * 3
    wanted = [(TRANSFORM.reading, paths), (other, paths)]
    caches = make_caches(folder, 5 * SLOT + 3 * slot + slot - 1, wanted)
    assert [cache.nbytes for cache in caches.values()] == [5 * SLOT, 3 * slot]
    assert (
        '2 of 5 photos are decoded each time: DATALOADER.CACHE_GB, or half of the free space at '
        f'{folder}'
    ) in caplog.text
    for cache in caches.values():
        cache.reserve()
    assert_same(caches[TRANSFORM.reading], paths * 2)
    for path in paths * 2:
        np.testing.assert_array_equal(caches[other](path), other(path))
    assert sum(disk(cache).st_size for cache in caches.values()) == 5 * SLOT + 3 * slot


def test_the_first_photos_are_kept(folder, paths, readings):
    cache = make_cache(folder, paths, limit=2 * SLOT)
    for path in paths * 2:
        cache(path)
    assert readings == paths + paths[2:]


@pytest.mark.parametrize('limit', [0, -1, SLOT - 1])
def test_no_room_no_file(folder, paths, limit):
    for cache in make_caches(folder, limit, [(TRANSFORM.reading, paths)]).values():
        cache.reserve()
        assert_same(cache, paths)
    assert make_caches('', 1e9, [(TRANSFORM.reading, paths)]) == {}
    assert files(folder) == []


def test_half_of_the_free_disk_is_the_most(folder, paths, monkeypatch):
    monkeypatch.setattr(module, 'free_bytes', lambda folder: 7 * SLOT)
    assert make_cache(folder, paths).nbytes == 3 * SLOT


def test_a_disk_that_does_not_say_what_is_free_is_used(folder, paths, monkeypatch):
    monkeypatch.setattr(module, 'free_bytes', lambda folder: math.inf)
    assert make_cache(folder, paths).nbytes == len(paths) * SLOT


def test_a_full_disk_is_a_warning(folder, paths, monkeypatch, caplog):
    def full(handle, start, size):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, 'posix_fallocate', full, raising=False)
    cache = make_cache(folder, paths)
    assert_same(cache, paths * 2)
    assert caplog.text.count('No space left on device; they are decoded each time') == 1
    assert files(folder) == []


def test_the_disk_space_is_taken_before_the_first_photo(folder, paths):
    """A hole in the file would be filled later, when the disk may be full: the process would be
    killed.
    """
    reading = make_test_transform(size=(256, 128), **STATISTICS).reading
    cache = make_caches(folder, 1e9, [(reading, paths * 2)])[reading]
    cache.reserve()
    assert disk(cache).st_blocks * 512 >= cache.nbytes > 0


def test_where_space_cannot_be_reserved(folder, paths, monkeypatch):
    monkeypatch.delattr(os, 'posix_fallocate', raising=False)
    assert_same(make_cache(folder, paths), paths * 2)


def test_no_folder_no_cache(tmp_path, paths):
    assert make_caches(tmp_path / 'nowhere', 1e9, [(TRANSFORM.reading, paths)]) == {}


@pytest.mark.parametrize('nameless', [True, False])
def test_nothing_is_left_however_a_run_ends(folder, paths, monkeypatch, nameless):
    """The file has no name, also where a file system cannot make it so."""
    if not nameless:
        monkeypatch.setattr(tempfile, '_O_TMPFILE_WORKS', False)
    cache = make_cache(folder, paths)
    assert_same(cache, paths)
    assert files(folder) == []
    handle = cache._handle
    del cache
    gc.collect()
    with pytest.raises(OSError):
        os.fstat(handle)  # the disk space is free again


def test_copies_outside_of_workers_read_each_time(folder, paths, readings):
    copy = pickle.loads(pickle.dumps(make_cache(folder, paths)))
    for path in paths * 2:
        copy(path)
    assert readings == paths * 2


@pytest.mark.parametrize('start', ['fork', 'spawn', 'forkserver'])
def test_workers_share_what_they_read(folder, paths, readings, start):
    cache = make_caches(folder, 1e6, [(TRANSFORM.reading, paths)])[TRANSFORM.reading]
    dataset = ImageDataset(
        [Record(path, number) for number, path in enumerate(paths)], TRANSFORM, cache=cache
    )
    plain = [dataset[number][0] for number in range(5)]
    assert len(readings) == 5 and cache._handle is None  # no file before a loader asks
    context = multiprocessing.get_context(start)
    if start == 'forkserver':
        context.set_forkserver_preload(['datasets.dataset'])  # once, not by each worker
    loader = ImageLoader(
        dataset,
        batch_size=1,
        num_workers=1 if start == 'spawn' else 2,  # spawned ones take seconds
        persistent_workers=True,
        multiprocessing_context=context,
    )
    for _ in range(2):
        for number, batch in enumerate(loader):
            assert torch.equal(batch[0][0], plain[number])
    assert_same(cache, paths)
    assert (
        len(readings) == 10
    )  # the last 5 for the comparison: this process found what the workers had written


def test_two_writers_at_once_do_no_harm(folder, paths):
    cache = make_cache(folder, paths)
    fork = multiprocessing.get_context('fork')
    children = [fork.Process(target=assert_same, args=(cache, paths * 50)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4


def test_warnings_go_to_the_log_of_the_run(folder, paths, caplog):
    with caplog.at_level(logging.WARNING, logger='transreid'):
        make_cache(folder, paths, limit=SLOT)
    assert [record.name for record in caplog.records] == ['transreid']


def test_a_photo_replaced_with_the_same_size_and_time_is_noticed(folder):
    """As `cp -p` does: uncompressed, so that the size is the same."""
    path = str(folder / 'photo.bmp')
    Image.fromarray(np.full((16, 20, 3), 1, np.uint8)).save(path)
    cache = make_caches(folder, 1e6, [(TRANSFORM.reading, [path])])[TRANSFORM.reading]
    cache.reserve()
    assert (cache(path) == 1).all() and (cache(path) == 1).all()
    before = os.stat(path)
    Image.fromarray(np.full((16, 20, 3), 200, np.uint8)).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(path).st_size == before.st_size
    assert (cache(path) == 200).all()
