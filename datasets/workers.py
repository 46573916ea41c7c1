"""The loader: its worker processes, and whatever can fail in them."""

import atexit
import functools
import logging
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
from torch.utils.data import DataLoader, default_collate, get_worker_info

from datasets.dataset import ImageDataset, Sample
from utils.errors import InputError
from utils.torch_errors import worker_remedy

logger = logging.getLogger('transreid')

Batch = tuple[torch.Tensor, ...]  # images (B, 3, H, W) float32; pid, camid, viewid, index (B,)

GRACE = 10  # seconds
PREFETCH = 2  # batches that each worker reads ahead
SHARED_MEMORY = '/dev/shm'  # of Linux, where batches wait for the training
LOCKS = 2**18  # bytes that a worker's queues take there, in all loaders of a run
REMEDY = (
    f'enlarge {SHARED_MEMORY} (Docker: docker run --shm-size 8g), or set '
    'DATALOADER.NUM_WORKERS 0, which needs none'
)


class ImageLoader(DataLoader):
    """Batches (images (B, 3, H, W) float32, pid, camid, viewid, index (B,)) of an ``ImageDataset``.

    Whatever fails in a worker reaches the loop. An ``InputError`` does so as it is: raised in a
    worker, torch would put a traceback into its message, and hold the workers for seconds at the
    end. So it is handed over in place of the batch and raised here.

    Args:
        dataset: of the photos.
        device: where the batches are wanted; default: the CPU.
        options: of torch's ``DataLoader``.
    """

    dataset: ImageDataset

    def __init__(
        self, dataset: ImageDataset, device: torch.device | str | None = None, **options: Any
    ):
        self.device = torch.device(device or 'cpu')
        super().__init__(
            dataset, collate_fn=_hand_over, worker_init_fn=_outlive_the_signal, **options
        )

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # torch names its own class
        if self.dataset.cache:
            self.dataset.cache.reserve()
        try:
            if self.num_workers:
                _start_a_process()
            # do not bind the iterator: a traceback would keep it, and with it the workers, alive
            for batch in super().__iter__():
                if isinstance(batch, InputError):
                    raise batch
                yield tuple(part.to(self.device, non_blocking=self.pin_memory) for part in batch)
        # no process, lock or file is left, or a process ended at its start
        except (OSError, EOFError) as error:
            raise InputError(
                f'the processes that decode photos have failed ({error}): {worker_remedy()}'
            ) from error

    def close(self) -> None:
        """End the workers; after an error the collector would wait for each of them in vain."""
        iterator, self._iterator = self._iterator, None  # where torch keeps it from epoch to epoch
        if iterator is not None and hasattr(iterator, '_shutdown_workers'):
            iterator._shutdown_workers()


class _Pickled(bytes):
    """A batch as it travels to the training; unpickled it is the batch again."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (bytes(self),)


def _hand_over(samples: list[Sample] | InputError) -> list[torch.Tensor] | _Pickled | InputError:
    """The batch, which a worker pickles here.

    Its queue would do so in a thread, where an error is printed, the batch is lost, and the
    training waits for ever.
    """
    if isinstance(samples, InputError):
        return samples
    if get_worker_info() is None:
        return default_collate(samples)
    try:
        return _Pickled(ForkingPickler.dumps(default_collate(samples)))
    except (OSError, RuntimeError) as error:  # a full /dev/shm, too many open files
        return InputError(
            f'a worker cannot hand over its batch of photos ({error}): {REMEDY}; a training '
            'resumes with --resume'
        )


@functools.cache
def _start_a_process() -> None:
    """Check that processes start at all where they are not forked.

    There they import the main script first. One that fails at that takes no orders, and the start
    of a worker, whose orders are long, would wait for ever.
    """
    if multiprocessing.get_start_method() != 'fork':
        process = multiprocessing.Process(target=os.getpid)
        process.start()
        process.join()
        if process.exitcode:
            raise ChildProcessError(f'exit code {process.exitcode}; what it said is above')


def fitting_workers(wanted: int, batch_bytes: int, processes: int = 1) -> int:
    """Return how many of the ``wanted`` workers the shared memory has room for; warn of fewer.

    Windows and macOS have no such limit.

    Args:
        wanted: DATALOADER.NUM_WORKERS.
        batch_bytes: of the largest batch of any loader; one loader is at work at a time.
        processes: of this machine that share the memory, each with so many workers.
    """
    if not wanted or sys.platform != 'linux':
        return wanted
    free = shutil.disk_usage(SHARED_MEMORY).free if os.access(SHARED_MEMORY, os.W_OK) else 0
    loop = 2 * batch_bytes  # the batch in the loop's hands, and the next one
    worker = PREFETCH * batch_bytes + LOCKS
    workers = min(wanted, max(0, free // processes - loop) // worker)
    if workers < wanted:
        logger.warning(
            '%s has %.1f MB free, DATALOADER.NUM_WORKERS %d needs up to %.1f MB of it: the run '
            'uses %d workers. For more, %s',
            SHARED_MEMORY,
            free / 1e6,
            wanted,
            processes * (loop + wanted * worker) / 1e6,
            workers,
            REMEDY,
        )
    return workers


def _outlive_the_signal(worker: int) -> None:
    """Let a worker serve for some seconds after SIGTERM, which is often sent to all processes.

    So the training can finish its iteration; Ctrl-C is left to the training alone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, 'alarm'):
        # any other exit code is an error to torch
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))


@atexit.register  # runs before multiprocessing's own, which sends SIGTERM and waits
def _end_workers() -> None:
    """Those that an error has left over."""
    if hasattr(signal, 'alarm'):
        for worker in multiprocessing.active_children():
            if worker.pid is not None:
                os.kill(worker.pid, signal.SIGALRM)
