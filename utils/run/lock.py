"""One run at a time in a folder: a lock that the system frees however its holder dies."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from utils.errors import InputError
from utils.files import writing
from utils.logger import logger

try:
    # Record locks and not flock, as the filelock library takes: loader workers are forked, may
    # outlive a killed run by seconds, and would inherit a flock. Record locks are of the process
    # alone, and NFS knows them.
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # as everywhere where a module may be missing

# Path -> the owner that this process has written there. A record lock does not keep out its own
# process, which loses it when it opens and closes the file a second time.
_held: dict[Path, str] = {}


@contextlib.contextmanager
def output_lock(folder: str | Path, name: str = 'train') -> Iterator[None]:
    """Hold ``folder``/.``name``.lock; the folder exists and can be written to.

    Different names do not exclude each other. Afterwards the file is removed; one that a killed run
    left is taken over. On a file system without locks: a warning, and no lock.

    Raises:
        InputError: Another run, or this process, holds it; the message names process, host, time.
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
                # else the folder was deleted, and made anew by another run
                if _is_at(handle, path):
                    # still locked: whoever has opened it meanwhile sees that and starts over
                    path.unlink()
            os.close(handle)


def _acquire(folder: str | Path, path: Path) -> int | None:
    """The locked file's handle, or None on a file system without locks."""
    if fcntl is None:
        logger.warning('no file locks on this system: keep other runs out of %s yourself', folder)
        return None
    while True:
        with writing(path):  # not through a link: what it leads to would be overwritten
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(handle, 200, 0).decode(errors='replace').strip()
            os.close(handle)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise _in_use(folder, owner) from None
            logger.warning(
                'no file locks at %s (%s): keep other runs out yourself', folder, error.strerror
            )
            path.unlink(missing_ok=True)
            return None
        if _is_at(handle, path):
            return handle
        os.close(handle)  # its holder has just removed it


def _in_use(folder: str | Path, owner: str) -> InputError:
    return InputError(
        f'OUTPUT_DIR {folder} is in use by {owner or "another process"}; wait for it or choose '
        'another OUTPUT_DIR'
    )


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is still the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path, follow_symlinks=False))
    except OSError:
        return False
