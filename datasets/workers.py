"""The data loader, its worker processes and their errors."""

import atexit
import functools
import logging
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import warnings
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

GRACE = 10  # seconds that a worker continues to work after SIGTERM
PREFETCH = 2  # batches that each worker prepares ahead
SHARED_MEMORY = '/dev/shm'  # where, on Linux, batches wait for the main process
LOCKS = 2**18  # bytes in shared memory for the queues of a worker, over all loaders of a run
REMEDY = (
    f'enlarge {SHARED_MEMORY} (Docker: docker run --shm-size 8g), or set '
    'DATALOADER.NUM_WORKERS 0, which needs no shared memory'
)


class ImageLoader(DataLoader):
    """Batches (images (B, 3, H, W) float32, pid, camid, viewid, index (B,)) of an ``ImageDataset``.

    All errors of workers are raised in the loop. A worker passes an ``InputError`` on in place of a
    batch, and the loop raises it: if the worker raised it, torch would add a traceback to the
    message and keep the workers for seconds.

    Args:
        dataset: The photos.
        device: The device of the batches; default: the CPU.
        options: Further arguments of torch's ``DataLoader``.
    """

    dataset: ImageDataset

    def __init__(
        self, dataset: ImageDataset, device: torch.device | str | None = None, **options: Any
    ):
        self.device = torch.device(device or 'cpu')
        with warnings.catch_warnings():
            # torch advises against more workers than processors; they only take turns
            warnings.filterwarnings('ignore', 'This DataLoader will create', UserWarning)
            super().__init__(
                dataset, collate_fn=_make_batch, worker_init_fn=_delay_termination, **options
            )

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # torch names its own class
        if self.dataset.cache:
            self.dataset.cache.reserve()
        try:
            if self.num_workers:
                _check_start()
            # do not bind the iterator: a traceback would keep it, and with it the workers, alive
            for batch in super().__iter__():
                if isinstance(batch, InputError):
                    raise batch
                yield tuple(part.to(self.device, non_blocking=self.pin_memory) for part in batch)
        # the system has no more processes, locks or files, or a process ended while starting
        except (OSError, EOFError) as error:
            raise InputError(
                f'the processes that decode photos have failed ({error}): {worker_remedy()}'
            ) from error

    def close(self) -> None:
        """End the workers; after an error, garbage collection would wait for each in vain."""
        iterator, self._iterator = self._iterator, None  # torch keeps it between epochs
        if iterator is not None and hasattr(iterator, '_shutdown_workers'):
            iterator._shutdown_workers()


class _Pickled(bytes):
    """A pickled batch; unpickling this object returns the batch."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (bytes(self),)


def _make_batch(samples: list[Sample] | InputError) -> list[torch.Tensor] | _Pickled | InputError:
    """Make a batch; a worker also pickles it here.

    The worker's queue would pickle it in a thread, where an error would only be printed: the batch
    would be lost, and training would wait forever.
    """
    if isinstance(samples, InputError):
        return samples
    if get_worker_info() is None:
        return default_collate(samples)
    try:
        return _Pickled(ForkingPickler.dumps(default_collate(samples)))
    except (OSError, RuntimeError) as error:  # /dev/shm is full, or too many files are open
        return InputError(
            f'a worker cannot pass on its batch of photos ({error}): {REMEDY}; interrupted '
            'training resumes with --resume'
        )


@functools.cache
def _check_start() -> None:
    """Check that a process can start where processes are not forked.

    Such a process first imports the main script. If that fails, it reads nothing from its pipe, and
    starting a worker would block forever, as much data is sent through that pipe.
    """
    if multiprocessing.get_start_method() != 'fork':
        process = multiprocessing.Process(target=os.getpid)
        process.start()
        process.join()
        if process.exitcode:
            raise ChildProcessError(f'exit code {process.exitcode}; its output is above')


def fitting_workers(wanted: int, batch_bytes: int, processes: int = 1) -> int:
    """Return how many of the ``wanted`` workers fit into shared memory. Warn if not all do.

    Windows and macOS have no such limit.

    Args:
        wanted: DATALOADER.NUM_WORKERS.
        batch_bytes: The size of the largest batch of any loader; loaders do not run at the same
            time.
        processes: The number of processes on this machine; each has its own workers.
    """
    if not wanted or sys.platform != 'linux':
        return wanted
    free = shutil.disk_usage(SHARED_MEMORY).free if os.access(SHARED_MEMORY, os.W_OK) else 0
    loop = 2 * batch_bytes  # the batch in use, and the next one
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


def _delay_termination(worker: int) -> None:
    """Keep a worker alive for some seconds after SIGTERM, which often goes to all processes.

    Then the main process can finish its iteration. Ctrl-C is left to the main process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, 'alarm'):
        # torch reports any other exit code as an error
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))


@atexit.register  # runs before multiprocessing's handler, which sends SIGTERM and waits
def _end_workers() -> None:
    """End workers that are left after an error."""
    if hasattr(signal, 'alarm'):
        for worker in multiprocessing.active_children():
            if worker.pid is not None:
                os.kill(worker.pid, signal.SIGALRM)
