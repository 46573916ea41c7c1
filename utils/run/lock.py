"""A lock that lets one run at a time use a folder; the system frees it however a run ends."""

import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from utils.errors import InputError
from utils.files import writing
from utils.logger import logger

try:
    # Record locks, not flock as in the filelock library: forked loader workers can outlive a killed
    # run by seconds and would inherit a flock. Record locks belong to the process alone, and NFS
    # supports them.
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # a module elsewhere

POLL = 0.05  # seconds between two attempts of waiting_lock


class InUse(InputError):
    """Another run, or this process, holds the lock."""


# Lock file -> the owner that this process has written into it. A record lock does not stop the
# process that holds it, and that process loses the lock if it opens and closes the file again.
_held: dict[Path, str] = {}


@contextlib.contextmanager
def output_lock(folder: str | Path, name: str = 'train') -> Iterator[None]:
    """Hold the lock file ``folder``/.``name``.lock within a ``with`` block.

    Locks of different names do not exclude each other. The file is removed at the end; a file left
    by a killed run is taken over. On a file system without locks, only a warning is logged.

    Args:
        folder: An existing folder that can be written to.
        name: The name of the lock.

    Raises:
        InUse: Another run or this process holds the lock; the message names the process, the host
            and the time.
        InputError: The folder cannot be written.
    """
    path = Path(folder).resolve() / f'.{name}.lock'
    if path in _held:
        raise _in_use(folder, _held[path])
    owner = (
        f'process {os.getpid()} on host {socket.gethostname()} since '
        f'{datetime.now():%Y-%m-%d %H:%M:%S}'
    )
    handle = _acquire(folder, path)
    _held[path] = owner
    try:
        if handle is not None:
            with writing(path):
                os.ftruncate(handle, 0)
                os.write(handle, f'{owner}\n'.encode())
        yield
    finally:
        del _held[path]
        if handle is not None:
            with contextlib.suppress(OSError):
                # if not, the folder was deleted and another run has made it again
                if _is_at(handle, path):
                    # still locked: a run that has opened it in the meantime notices and tries again
                    path.unlink()
            os.close(handle)


@contextlib.contextmanager
def waiting_lock(folder: str | Path, name: str, seconds: float) -> Iterator[None]:
    """Hold :func:`output_lock`; wait up to ``seconds`` while another holds it.

    Raises:
        InUse: It is still held after that time.
        InputError: The folder cannot be written.
    """
    end = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(output_lock(folder, name))
                break
            except InUse:
                if time.monotonic() > end:
                    raise
                time.sleep(POLL)
        yield


def _acquire(folder: str | Path, path: Path) -> int | None:
    """Return the handle of the locked file, None on a file system without locks."""
    if fcntl is None:
        logger.warning('this system has no file locks: make sure that no other run uses %s', folder)
        return None
    while True:
        with writing(path):  # O_NOFOLLOW: the target of a link would be overwritten
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(handle, 200, 0).decode(errors='replace').strip()
            os.close(handle)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise _in_use(folder, owner) from None
            logger.warning(
                'no file locks in %s (%s): make sure that no other run uses it',
                folder,
                error.strerror,
            )
            path.unlink(missing_ok=True)
            return None
        if _is_at(handle, path):
            return handle
        os.close(handle)  # the previous holder has just removed it


def _in_use(folder: str | Path, owner: str) -> InUse:
    return InUse(
        f'OUTPUT_DIR {folder} is in use by {owner or "another process"}; wait for it or choose '
        'another OUTPUT_DIR'
    )


def _is_at(handle: int, path: Path) -> bool:
    """Return whether the open file is still the file at ``path``."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path, follow_symlinks=False))
    except OSError:
        return False
