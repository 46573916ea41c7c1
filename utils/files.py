"""Writes files so that nothing is lost: under a temporary name, then renamed."""

import contextlib
import csv
import errno
import glob
import hashlib
import json
import math
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from utils.errors import InputError

TEMPORARY = '.tmp-'  # prefix of unfinished files
# A write takes minutes; an unfinished file of another host that is older has been abandoned.
STALE_SECONDS = 3600

_REMEDIES = {
    errno.ENOSPC: 'make space there',
    errno.EDQUOT: 'your disk quota is used up: make space there',
    errno.EROFS: 'choose another folder',
    errno.EACCES: 'choose another folder',
    errno.EEXIST: 'choose another folder',
    errno.ENAMETOOLONG: 'choose a shorter name',
    errno.ENOTDIR: 'choose another folder',
    errno.ENOENT: 'its folder does not exist: was it moved or deleted?',
}


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Raise the file system's errors about ``path`` as InputError, with a remedy."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, 'is the disk full or the folder read-only?')
        raise InputError(f'cannot write {path}: {error.strerror or error}; {remedy}') from error


@contextlib.contextmanager
def atomic_write(path: str | Path, mode: str = 'w', sync: bool = True) -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path`` and rename it to ``path`` when it is complete.

    A process killed at any moment leaves either the old file or the new one. A failure leaves the
    old one and no temporary file. Text is UTF-8; bytes of file names that are not valid UTF-8 are
    escaped, as in \\udce9.

    Args:
        path: The file.
        mode: 'w' or 'wb'.
        sync: Whether the file must survive a power failure too; too slow for thousands of files
            that can be made again.

    Raises:
        InputError: The file system reported an error.
    """
    path = Path(path)
    text: dict[str, Any] = (
        {} if 'b' in mode else {'encoding': 'utf-8', 'errors': 'backslashreplace'}
    )
    temporary = path.with_name(temporary_name(path.name))
    try:
        with writing(path):
            with open(temporary, mode, **text) as file:
                yield file
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, path)
            if sync:
                _sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Make a folder under a temporary name beside ``path`` and rename it when it is complete.

    A process killed at any moment leaves no ``path``; its temporary folder is deleted the next
    time. A failure leaves neither.

    Args:
        path: The folder; it must be missing or empty.

    Raises:
        InputError: There is something at ``path``, or the file system reported an error.
    """
    path = Path(path)
    with writing(path):  # even to look may fail: a name that is too long, a folder of others
        is_free = not path.exists() or (path.is_dir() and not any(path.iterdir()))
    if not is_free:
        raise InputError(f'{path} is there already; name a new folder')
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    _drop_abandoned(path.parent.glob(f'{TEMPORARY}*@{glob.escape(path.name)}'), shutil.rmtree)
    temporary = path.with_name(temporary_name(path.name))
    try:
        with writing(path):
            temporary.mkdir()
        yield temporary
        with writing(path):
            if path.exists():
                path.rmdir()  # Windows cannot rename to a folder that is there
            temporary.rename(path)
            _sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def temporary_name(name: str) -> str:
    """Name of an unfinished file; it holds this process's ID for :func:`drop_leftovers`."""
    return f'{TEMPORARY}{os.getpid()}@{socket.gethostname()}@{name}'


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some systems cannot
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def free_bytes(folder: str | Path) -> float:
    """Return the bytes free for this user on the disk of ``folder``, which need not exist yet.

    If the system does not report them, they are infinite.
    """
    folder = Path(folder).resolve()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    with contextlib.suppress(OSError):
        return shutil.disk_usage(existing).free
    return math.inf


def write_json(path: str | Path, value: Any, indent: int | None = 2) -> None:
    """Write a value as JSON; NaN and infinity raise ValueError.

    Args:
        path: The file.
        value: The value.
        indent: Blanks per level; None = all on one line, several times as fast.
    """
    with atomic_write(path) as file:
        file.write(json.dumps(value, indent=indent, allow_nan=False) + '\n')


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table as CSV.

    Args:
        path: The file.
        columns: The header.
        rows: Column -> value of each row; None and missing columns become empty cells.
    """
    with atomic_write(path) as file:
        table = csv.DictWriter(file, columns, restval='', lineterminator='\n')
        table.writeheader()
        table.writerows(rows)


def keep_earlier(path: str | Path) -> Path | None:
    """Rename an existing ``path`` to the first free ``stem.N.suffix``; return that, or None."""
    path = Path(path)
    if not os.path.exists(path):  # False too for a name that is too long
        return None
    number = 1
    while (kept := path.with_name(f'{path.stem}.{number}{path.suffix}')).exists():
        number += 1
    with writing(kept):
        path.rename(kept)
    return kept


def make_output_dir(folder: str | Path, name: str = 'OUTPUT_DIR') -> Path:
    """Make a folder for results if it is missing; raise InputError if it cannot be written.

    Args:
        folder: The folder.
        name: The key or option that names it.
    """
    if not folder:
        raise InputError(
            'OUTPUT_DIR is empty; name the folder for logs, checkpoints and results in the yml or '
            'on the command line: OUTPUT_DIR ./output/mine'
        )
    folder = Path(folder)
    with writing(f'{name} {folder}'):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(4096))  # on a full disk empty files can still be made
    return folder


def drop_leftovers(folder: str | Path) -> None:
    """Delete the unfinished files that killed runs left in ``folder``.

    Call it only with the folder's lock: process IDs are not unique across containers.
    """
    _drop_abandoned(Path(folder).glob(f'{TEMPORARY}*'), Path.unlink)


def _drop_abandoned(leftovers: Iterable[Path], drop: Callable[[Path], None]) -> None:
    for leftover in leftovers:
        # another process may delete it at this moment, and its process may be another user's
        with contextlib.suppress(OSError):
            if _is_abandoned(leftover):
                drop(leftover)


def _is_abandoned(temporary: Path) -> bool:
    """Return whether the writer has ended. On a shared disk it may be running on another host."""
    owner = re.fullmatch(rf'{re.escape(TEMPORARY)}(\d+)@(.+?)@.*', temporary.name)
    if owner is None or owner[2] != socket.gethostname():
        return time.time() - temporary.stat().st_mtime > STALE_SECONDS
    if int(owner[1]) == os.getpid():  # in a container, runs often have the same process ID
        return True
    try:
        os.kill(int(owner[1]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    return False


def sha256_file(path: str | Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
