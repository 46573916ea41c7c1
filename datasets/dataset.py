"""Records as samples and batches of a DataLoader."""

import atexit
import functools
import logging
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import threading
from multiprocessing.reduction import ForkingPickler
from typing import NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from datasets.buffers import Buffers
from datasets.transforms import Draws
from utils.errors import InputError
from utils.torch_errors import worker_remedy

logger = logging.getLogger('transreid')

PIXELS = Buffers()
GRACE = 10  # seconds
PREFETCH = 2  # batches that each worker reads ahead
SHARED_MEMORY = '/dev/shm'  # of Linux, where batches wait for the training
LOCKS = 2**18  # bytes that a worker's queues take there, in all loaders of a run
REMEDY = (
    f'enlarge {SHARED_MEMORY} (Docker: docker run --shm-size 8g), or set '
    'DATALOADER.NUM_WORKERS 0, which needs none'
)


class RawBatch(NamedTuple):
    """B photos on their way to the device, a quarter of their final size.

    pixels: (B, H, W, 3) uint8. labels: (4, B) int64, rows pid, camid, viewid, index. draws: of a
    random transform.
    """

    pixels: torch.Tensor
    labels: torch.Tensor
    draws: Draws | None

    def to(self, device):
        """On the device, asynchronously where the memory is pinned; the boxes stay, as slicing
        needs them here.
        """
        pinned = (
            device.type != 'cpu' and self.pixels.is_pinned()
        )  # asking would wake CUDA in a run on the CPU

        def move(tensor):
            return tensor.to(device, non_blocking=pinned)

        draws = self.draws and self.draws._replace(
            window=move(self.draws.window), noise=move(self.draws.noise)
        )
        return RawBatch(move(self.pixels), move(self.labels), draws)


class ImageDataset(Dataset):
    """Photos, read when they are asked for, or taken from ``cache``
    (``datasets.cache.PhotoCache``).

    ``dataset[index]`` or ``dataset[index, sample_seed]`` gives (image, pid, camid, viewid, index):
    the image is a float32 tensor (3, H, W), the rest are ints. The random steps of the transform
    depend on ``sample_seed`` alone (default: ``seed + index``), so neither the number of workers
    nor the order of reading changes a batch, and the process's own generator is left as it was.
    """

    def __init__(self, records, transform, seed=0, cache=None):
        self.records = records
        self.transform = transform
        self.seed = seed
        self.cache = cache
        self._labels = torch.tensor(
            [
                (record.pid, record.camid, record.viewid, index)
                for index, record in enumerate(records)
            ]
        )

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        (image,), *labels = self.finish(self._read([index]))
        return image, *(int(label) for label in labels)

    def __getitems__(self, indices):
        """The ``RawBatch`` of (index or (index, sample_seed)), or the ``InputError`` of a photo:
        see ``ImageLoader``.
        """
        try:
            return self._read(indices)
        except InputError as error:
            return error

    def _read(self, indices):
        pairs = [
            index if isinstance(index, tuple) else (index, self.seed + index) for index in indices
        ]
        indices, seeds = zip(*pairs, strict=True)
        read = self.cache or self.transform.reading
        pixels = PIXELS.empty((len(indices), *self.transform.reading.size, 3), torch.uint8)
        for photo, index in zip(pixels.numpy(), indices, strict=True):
            photo[:] = read(self.records[index].path)
        return RawBatch(
            pixels, self._labels[list(indices)].T.contiguous(), self.transform.draw(seeds)
        )

    def finish(self, batch):
        """RawBatch -> (images (B, 3, H, W) float32, pid, camid, viewid, index), on the batch's
        device.
        """
        return self.transform(batch.pixels, batch.draws), *batch.labels


class ImageLoader(DataLoader):
    """A DataLoader over an ``ImageDataset``. Batches: (images (B, 3, H, W) float32, pid, camid,
    viewid, index (B,)).

    All on ``device`` (default: the CPU). Workers hand over bytes; they become floats there, where
    normalising, flipping and so on cost next to nothing.

    Whatever fails in a worker reaches the loop. An ``InputError`` does so as it is: raised in a
    worker, torch would put a traceback into its message, and hold the workers for seconds at the
    end. So it is handed on in the batch's place and raised here.
    """

    def __init__(self, dataset, device=None, **options):
        self.device = torch.device(device or 'cpu')
        super().__init__(
            dataset, collate_fn=_hand_over, worker_init_fn=_outlive_the_signal, **options
        )

    def __iter__(self):
        if self.dataset.cache:
            self.dataset.cache.reserve()
        # no name for what is gone over: an error would keep it, and with it the workers, alive
        for batch in self._start():
            if isinstance(batch, InputError):
                raise batch
            yield self.dataset.finish(batch.to(self.device))

    def _start(self):
        try:
            if self.num_workers:
                _start_a_process()
            return super().__iter__()
        except (
            OSError,
            EOFError,
        ) as error:  # no process or lock is left, or a process ended at its start
            raise InputError(
                f'the processes that decode photos do not start ({error}): {worker_remedy()}'
            ) from error

    def close(self):
        """End the workers. After an error the collector may find them first, and waits for each of
        them in vain.
        """
        iterator, self._iterator = self._iterator, None  # where torch keeps it from epoch to epoch
        if hasattr(iterator, '_shutdown_workers'):
            iterator._shutdown_workers()


class _Pickled:
    """A batch in the bytes and the shared memory in which it reaches the training; unpickled it is
    the batch again.
    """

    def __init__(self, batch):
        self._bytes = bytes(ForkingPickler.dumps(batch))

    def __reduce__(self):
        return pickle.loads, (self._bytes,)


def _hand_over(batch):
    """In a worker the batch is pickled here. Its queue does so in a thread, where an error is
    printed, the batch is lost, and the training waits for ever.
    """
    if get_worker_info() is None or isinstance(batch, InputError):
        return batch
    try:
        return _Pickled(batch)
    except (OSError, RuntimeError) as error:  # a full /dev/shm, too many open files
        return InputError(
            f'a worker cannot hand over its batch of photos ({error}): {REMEDY}; a training '
            'resumes with '
            f'--resume'
        )


@functools.cache
def _start_a_process():
    """Where processes are not forked they import the main script first. One that fails there takes
    no orders, and the start of a worker, whose orders are long, would wait for ever.
    """
    if multiprocessing.get_start_method() != 'fork':
        process = multiprocessing.Process(target=os.getpid)
        process.start()
        process.join()
        if process.exitcode:
            raise ChildProcessError(f'exit code {process.exitcode}; what it said is above')


def shared_memory_free() -> int | None:
    """Bytes that are free where workers leave their batches; None where there is no such limit
    (Windows, macOS).
    """
    if sys.platform != 'linux':
        return None
    if not os.access(SHARED_MEMORY, os.W_OK):
        return 0
    return shutil.disk_usage(SHARED_MEMORY).free


def fitting_workers(wanted: int, batch_bytes: int, processes: int = 1) -> int:
    """How many of the ``wanted`` workers the shared memory has room for, 0 where not even one fits;
    warns of fewer.

    batch_bytes: of the largest batch of any loader; one loader is at work at a time. processes: of
    this machine that share the memory, each with so many workers.
    """
    free = shared_memory_free()
    if not wanted or free is None:
        return wanted

    def needed(workers):
        # + 2: the batch in the loop's hands, and the next one
        return processes * ((PREFETCH * workers + 2) * batch_bytes + workers * LOCKS)

    workers = next((number for number in range(wanted, 0, -1) if needed(number) <= free), 0)
    if workers < wanted:
        logger.warning(
            '%s has %.1f MB free, DATALOADER.NUM_WORKERS %d needs up to %.1f MB of it: the run '
            'uses %d workers. '
            'For more, %s',
            SHARED_MEMORY,
            free / 1e6,
            wanted,
            needed(wanted) / 1e6,
            workers,
            REMEDY,
        )
    return workers


def _outlive_the_signal(worker):
    """SIGTERM is often sent to all processes at once. A worker then serves for some seconds more,
    so that the training can finish its iteration; Ctrl-C is left to the training alone.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if hasattr(signal, 'alarm'):
            signal.signal(
                signal.SIGALRM, lambda *_: os._exit(0)
            )  # any other code is an error to torch
            signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))


@atexit.register  # runs before multiprocessing's own, which sends SIGTERM and waits
def _end_workers():
    """Those that an error has left over."""
    if hasattr(signal, 'alarm'):
        for worker in multiprocessing.active_children():
            os.kill(worker.pid, signal.SIGALRM)
