"""Workers: how many there are, and what ends them."""

import gc
import multiprocessing
import time
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import SimpleNamespace as Namespace

import pytest
import torch

from datasets import make_dataloader_clipreid as doors
from datasets import workers
from datasets.dataset import ImageDataset
from datasets.records import Record
from datasets.transforms import make_test_transform
from datasets.workers import ImageLoader
from tests.datasets.animal_lists import make_photos
from utils.errors import InputError


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


def test_batches_have_the_estimated_size(cfg, monkeypatch):
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


def test_a_script_without_a_main_guard_gets_an_error(tmp_path, zygote):
    """Its workers would start it again, where they are not forked. Orders that fill a pipe: the
    start waited for ever.
    """
    make_photos(tmp_path, [('a.png',)])
    (tmp_path / 'script.py').write_text(UNGUARDED)
    root = Path(doors.__file__).parents[1]
    done = zygote.finish(tmp_path / 'script.py', root, tmp_path / 'a.png')
    (last,) = [line for line in done.stderr.splitlines() if 'InputError' in line and line[0] != ' ']
    assert 'have failed (exit code 1' in last and "`if __name__ == '__main__':`" in last
    assert done.returncode == 1
