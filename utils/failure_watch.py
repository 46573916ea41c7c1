"""What ends all processes of a run within seconds when one of them fails.

torchrun's own means are not enough for this: ``errors.record`` writes the error to a file that
torchrun prints at its end, on its own machine; a process that hangs in an operation does not see
SIGTERM before that returns, and each of the others would print the broken connection as its error.
"""

import contextlib
import os
import sys
import threading
import time
from datetime import timedelta

import torch.distributed as dist

MEETING = timedelta(minutes=5)  # for all processes to start
KEY = 'failed'  # in the store
LOOK = 0.5  # seconds between looks for another process's error
GRACE = 4.0  # seconds for the main thread to notice by itself that another process is gone
# in the errors of who has lost another one
LOSS = (
    'DistNetworkError',
    'DistStoreError',
    'gloo/transport',
    'ncclRemoteError',
    'ncclSystemError',
    'ncclInternalError',
    'collective operation timeout',
    'NCCL communicator was aborted',
)


def is_loss(error: BaseException) -> bool:
    """Whether gloo, NCCL or the store where all met say this when the other end is gone."""
    text = f'{type(error).__name__}: {error}'
    return isinstance(error, RuntimeError) and any(sign in text for sign in LOSS)


class FailureWatch(threading.Thread):
    """Watches for the error of another process, and ends this one if its main thread hangs.

    Args:
        rank: of this process.
        store: where the processes have met, torchrun's or the first process's; over a connection
            of its own.
    """

    def __init__(self, rank: int, store: dist.Store) -> None:
        super().__init__(name='watch over the other processes', daemon=True)
        self.rank, self._store = rank, store
        self._over = threading.Event()
        self._found: str | None = None

    def post(self, message: object) -> None:
        """Say why this process ends; of several messages the first stays. Takes one second."""
        with contextlib.suppress(RuntimeError):  # the store is gone: so will be the others
            self._store.compare_set(KEY, '', f'{self.rank} {" ".join(str(message).split())}')
        # all have looked before connections break; the store may end with this process
        time.sleep(2 * LOOK)

    def first_failure(self) -> str | None:
        """'rank r: message' of another process, or None."""
        try:
            if not self._found and self._store.check([KEY]):
                rank, message = self._store.get(KEY).decode().split(' ', 1)
                if int(rank) != self.rank:
                    self._found = f'rank {rank}: {message}'
        except RuntimeError:
            self._found = 'torchrun or rank 0: it is gone without a word'
        return self._found

    def run(self) -> None:
        """Look until :meth:`end`, or end the process."""
        while not self._over.wait(LOOK):
            if self.first_failure() and not self._over.wait(GRACE):
                sys.stderr.write(f'error: ended because of {self._found}\n')
                sys.stderr.flush()
                os._exit(2)  # as what the main thread would have raised

    def end(self) -> None:
        """Stop looking."""
        self._over.set()
        self.join(5)  # at the interpreter's end a thread within torch would abort the process
