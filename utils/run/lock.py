"""One run at a time in a folder: a lock that the system frees when its holder dies, however it
dies.
"""

import contextlib
import errno
import logging
import os
import socket
from datetime import datetime
from pathlib import Path

from utils.errors import InputError
from utils.files import writing

try:
    # fcntl's record locks and not flock, which is what the filelock library takes: loader workers
    # are forked, may outlive
    # a killed run by seconds, and would inherit a flock. Record locks are of the process alone, and
    # NFS knows them.
    import fcntl
except ImportError:  # Windows
    fcntl = None

logger = logging.getLogger('transreid')

_HELD_ELSEWHERE = {errno.EACCES, errno.EAGAIN}
# Path -> who this process said it is. A record lock does not keep out its own process, which loses
# it when it opens and closes
# the file a second time.
_held = {}


@contextlib.contextmanager
def output_lock(folder, name='train'):
    """Hold ``folder``/.``name``.lock; the folder is there and can be written to.

    Raises InputError, which names the holder's process, host and time, where another run (or this
    process) holds it. Different names do not exclude each other. Afterwards the file is removed;
    one that a killed run left is taken over.
    On a file system without locks: a warning, and no lock.
    """
    path = Path(folder).resolve() / f'.{name}.lock'
    if path in _held:
        raise _in_use(folder, _held[path])
    owner = (
        f'process {os.getpid()} on host {socket.gethostname()} since '
        f'{datetime.now():%Y-%m-%d %H:%M:%S}'
    )
    handle = _acquire(folder, path, owner)
    _held[path] = owner
    try:
        yield
    finally:
        del _held[path]
        if handle is not None:
            with contextlib.suppress(OSError):
                if _is_at(
                    handle, path
                ):  # else the folder was deleted, and made anew by another run
                    # while it is still locked: whoever has opened it meanwhile sees that and starts
                    # over
                    path.unlink()
            os.close(handle)


def _acquire(folder, path, owner):
    """The locked file's handle, or None on a file system without locks."""
    if fcntl is None:
        logger.warning('no file locks on this system: keep other runs out of %s yourself', folder)
        return None
    while True:
        with contextlib.ExitStack() as undo:
            with writing(path):  # not through a link: what it leads to would be overwritten
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            undo.callback(os.close, handle)
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in _HELD_ELSEWHERE:
                    raise _in_use(folder, _read_owner(path)) from None
                logger.warning(
                    'no file locks at %s (%s): keep other runs out yourself', folder, error.strerror
                )
                path.unlink(missing_ok=True)
                return None
            if _is_at(handle, path):  # else its holder has just removed it
                with writing(path):
                    os.ftruncate(handle, 0)
                    os.write(handle, f'{owner}\n'.encode())
                undo.pop_all()
                return handle


def _read_owner(path):
    try:
        return path.read_bytes()[:200].decode(errors='replace').strip()
    except OSError:
        return ''


def _in_use(folder, owner):
    return InputError(
        f'OUTPUT_DIR {folder} is in use by {owner or "another process"}; wait for it or choose '
        'another '
        f'OUTPUT_DIR'
    )


def _is_at(handle, path):
    """Whether the open file is still the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path, follow_symlinks=False))
    except OSError:
        return False
