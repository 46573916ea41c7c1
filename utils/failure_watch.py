"""Ends all processes of a run within seconds when one of them fails.

torchrun alone is not enough. Its ``errors.record`` writes the error to a file, which torchrun
prints when it ends, on its own machine only. A process that hangs in an operation does not react to
SIGTERM until the operation returns. And every other process would report its broken connection as
the error.
"""

import contextlib
import os
import sys
import threading
import time
from datetime import timedelta

import torch.distributed as dist

START_TIMEOUT = timedelta(minutes=5)  # time for all processes to start
KEY = 'failed'  # of the message in the store
POLL_SECONDS = 0.5  # time between checks for the error of another process
GRACE_SECONDS = 4.0  # time for the main thread to notice a lost connection by itself
# in the errors that torch raises when another process has ended
LOST_CONNECTION = (
    'DistNetworkError',
    'DistStoreError',
    'gloo/transport',
    'ncclRemoteError',
    'ncclSystemError',
    'ncclInternalError',
    'collective operation timeout',
    'NCCL communicator was aborted',
)


def is_lost_connection(error: BaseException) -> bool:
    """Return whether gloo, NCCL or the store raise this error when the other end has ended."""
    text = f'{type(error).__name__}: {error}'
    return isinstance(error, RuntimeError) and any(sign in text for sign in LOST_CONNECTION)


class FailureWatch(threading.Thread):
    """Watches for errors of other processes, and ends this one if its main thread hangs.

    Args:
        rank: The rank of this process.
        store: The processes' common store, torchrun's or the first process's. It needs its own
            connection (``clone``), as another thread uses it.
    """

    def __init__(self, rank: int, store: dist.Store) -> None:
        super().__init__(name='failure watch', daemon=True)
        self.rank, self._store = rank, store
        self._ended = threading.Event()
        self._found: str | None = None

    def post(self, message: object) -> None:
        """Tell the others why this process ends; only the first message counts. Takes a second."""
        with contextlib.suppress(RuntimeError):  # the store has ended; so will the others
            self._store.compare_set(KEY, '', f'{self.rank} {" ".join(str(message).split())}')
        # The others must read it before connections break; the store may end with this process.
        time.sleep(2 * POLL_SECONDS)

    def first_failure(self) -> str | None:
        """Return 'rank r: message' of the other process that failed first, or None."""
        try:
            if not self._found and self._store.check([KEY]):
                rank, message = self._store.get(KEY).decode().split(' ', 1)
                if int(rank) != self.rank:
                    self._found = f'rank {rank}: {message}'
        except RuntimeError:
            self._found = 'torchrun or rank 0 ended without a message'
        return self._found

    def run(self) -> None:
        """Poll until :meth:`end` is called; end the process if another has failed."""
        while not self._ended.wait(POLL_SECONDS):
            if self.first_failure() and not self._ended.wait(GRACE_SECONDS):
                sys.stderr.write(f'error: another process failed: {self._found}\n')
                sys.stderr.flush()
                os._exit(2)  # like an InputError in the main thread

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()
        self.join(5)  # a thread inside torch would abort the process at exit
