"""Photos that were read once in this run, kept as pixels in a file of OUTPUT_DIR."""

import logging
import mmap
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from multiprocessing import reduction
from multiprocessing.context import get_spawning_popen
from typing import Any

import numpy as np

from datasets.transforms import Reading
from utils.files import temporary_name

logger = logging.getLogger('transreid')

STAMP_BYTES = 24  # three int64


def make_caches(
    folder: str,
    limit: float,
    wanted: Iterable[tuple[Reading, Sequence[str]]],
    processes: int = 1,
) -> dict[Reading, 'PhotoCache']:
    """Return the caches for a run. No file is made before ``PhotoCache.reserve``.

    Args:
        folder: OUTPUT_DIR; no cache where there is none.
        limit: bytes on the disk of all caches together; half of what is free is never exceeded.
        wanted: (reading, paths), the most important first; where not all fits, the first photos
            are kept, and that is logged.
        processes: of this machine that share the limit.
    """
    if not os.path.isdir(folder) or limit <= 0:
        return {}
    left = min(int(limit), shutil.disk_usage(folder).free // 2) // processes
    caches: dict[Reading, PhotoCache] = {}
    for reading, paths in wanted:
        caches[reading] = PhotoCache(folder, reading, paths, left)
        left -= caches[reading].nbytes
    return caches


class PhotoCache:
    """What ``reading`` makes of the files ``paths``, as far as ``limit`` bytes go; the rest is read
    each time.

    ``cache(path)`` gives uint8 (H, W, 3), to be copied and not to be written to. A photo counts as
    unchanged while its times and size are what they were before it was read; else it is read again.
    So errors, of a file that vanished too, are those of ``reading``.

    The file is mapped into memory and shared with worker processes, forked or spawned: who reads a
    photo puts its pixels there, then its stamp, and two who do so at once write the same. It is as
    large as it will ever be before the first photo (a full disk found later would kill the
    process), and has no name, so nothing is left of it however a run ends.

    Args:
        folder: OUTPUT_DIR.
        reading: a file -> uint8 (H, W, 3).
        paths: of the photos.
        limit: bytes.
    """

    def __init__(self, folder: str, reading: Reading, paths: Iterable[str], limit: int):
        paths = list(dict.fromkeys(paths))
        self.folder = folder
        self.reading = reading
        self._handle: Any = None  # a descriptor; on its way to a spawned worker ``DupFd``
        slot_bytes = STAMP_BYTES + 3 * reading.size[0] * reading.size[1]
        self._slots = {path: slot for slot, path in enumerate(paths[: limit // slot_bytes])}
        self.nbytes = len(self._slots) * slot_bytes  # on the disk once reserved
        if len(self._slots) < len(paths):
            logger.warning(
                '%d of %d photos are decoded each time: DATALOADER.CACHE_GB, or half of the free '
                'disk at %s, is used up',
                len(paths) - len(self._slots),
                len(paths),
                folder,
            )

    def reserve(self) -> None:
        """Make the file, once, before other processes get a copy of this object.

        Without it nothing is kept.
        """
        if self._handle is not None or not self._slots:
            return
        logger.info(
            'Decoded photos are kept at %s: %.1f GB (DATALOADER.CACHE_GB)',
            self.folder,
            self.nbytes / 1e9,
        )
        try:
            with tempfile.TemporaryFile(dir=self.folder, prefix=temporary_name('photos')) as file:
                if hasattr(os, 'posix_fallocate'):
                    os.posix_fallocate(file.fileno(), 0, self.nbytes)
                else:
                    file.truncate(self.nbytes)  # make_caches has seen to the space
                self._open(os.dup(file.fileno()))
        except (OSError, ValueError) as error:  # ValueError: no memory map of such a file
            logger.warning(
                'no room for decoded photos at %s (%.1f GB, DATALOADER.CACHE_GB): %s; they are '
                'decoded each time',
                self.folder,
                self.nbytes / 1e9,
                getattr(error, 'strerror', None) or error,
            )
            self._slots = {}

    def _open(self, handle: int) -> None:
        """Map the file, which is closed with this object."""
        weakref.finalize(self, os.close, handle)
        memory = mmap.mmap(handle, self.nbytes)
        count = len(self._slots)
        self._stamps = np.ndarray((count, 3), np.int64, buffer=memory)
        self._pixels = np.ndarray(
            (count, *self.reading.size, 3), np.uint8, buffer=memory, offset=count * STAMP_BYTES
        )
        self._handle = handle

    def __call__(self, path: str) -> np.ndarray:
        """Return the photo as uint8 (H, W, 3). Raises as ``reading`` does."""
        if self._handle is None or path not in self._slots:
            return self.reading(path)
        slot = self._slots[path]
        try:
            status = os.stat(path)
        except OSError:
            return self.reading(path)
        # the time of change cannot be set back, as `cp -p` does the other; never 0 = no photo yet
        stamp = status.st_mtime_ns, status.st_ctime_ns, status.st_size + 1
        if tuple(self._stamps[slot].tolist()) != stamp:
            photo = self.reading(path)
            self._stamps[slot] = 0  # killed from here on, no mixture of two photos is left
            self._pixels[slot] = photo
            self._stamps[slot] = stamp
        return self._pixels[slot]

    def __getstate__(self) -> dict[str, Any]:
        """For a spawned worker the open file goes along; other copies read each time."""
        handle = None
        if self._handle is not None and get_spawning_popen() and hasattr(reduction, 'DupFd'):
            handle = reduction.DupFd(self._handle)  # not on Windows
        return self.__dict__ | {'_handle': handle, '_stamps': None, '_pixels': None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._handle is not None:
            self._open(self._handle.detach())
