"""Keeps the decoded photos of a run in a file in OUTPUT_DIR, so that each is decoded once."""

import logging
import mmap
import os
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from multiprocessing import reduction
from multiprocessing.context import get_spawning_popen
from typing import Any

import numpy as np

from datasets.transforms import Reading
from utils.files import free_bytes, temporary_name

logger = logging.getLogger('transreid')

STAMP_BYTES = 24  # size of three int64


def make_caches(
    folder: str,
    limit: float,
    wanted: Iterable[tuple[Reading, Sequence[str]]],
    processes: int = 1,
) -> dict[Reading, 'PhotoCache']:
    """Return the caches for a run; ``PhotoCache.reserve`` makes their files.

    Args:
        folder: OUTPUT_DIR; without this folder there is no cache.
        limit: Bytes for all caches together. They never take more than half of the free space.
        wanted: (reading, paths), the most important first. If not all photos fit, the first ones
            are kept, and the log says so.
        processes: The number of processes on this machine, which share the limit.
    """
    if not os.path.isdir(folder) or limit <= 0:
        return {}
    left = int(min(limit, free_bytes(folder) / 2)) // processes
    caches: dict[Reading, PhotoCache] = {}
    for reading, paths in wanted:
        caches[reading] = PhotoCache(folder, reading, paths, left)
        left -= caches[reading].nbytes
    return caches


class PhotoCache:
    """Keeps what ``reading`` returns for as many of the photos as fit into ``limit`` bytes.

    ``cache(path)`` returns uint8 (H, W, 3), which must not be written to. A photo is read again if
    the file's size or one of its times has changed, or if the file is missing, so errors are those
    of ``reading``. Photos that do not fit are read each time.

    The cache is a file mapped into memory and shared with forked and spawned workers. A worker
    that reads a photo writes its pixels, then its stamp; two workers that read the same photo
    write the same bytes. The file gets its full size before the first photo, because a disk that
    fills up later would kill the process. It has no name, so nothing is left behind.

    Args:
        folder: OUTPUT_DIR.
        reading: Reads a file, returns uint8 (H, W, 3).
        paths: The photos.
        limit: Bytes.
    """

    def __init__(self, folder: str, reading: Reading, paths: Iterable[str], limit: int):
        paths = list(dict.fromkeys(paths))
        self.folder = folder
        self.reading = reading
        self._handle: Any = None  # file descriptor; ``DupFd`` while pickled for a spawned worker
        slot_bytes = STAMP_BYTES + 3 * reading.size[0] * reading.size[1]
        self._slots = {path: slot for slot, path in enumerate(paths[: limit // slot_bytes])}
        self.nbytes = len(self._slots) * slot_bytes  # size on the disk after ``reserve``
        if len(self._slots) < len(paths):
            logger.warning(
                '%d of %d photos are decoded each time: DATALOADER.CACHE_GB, or half of the free '
                'space at %s, is used up',
                len(paths) - len(self._slots),
                len(paths),
                folder,
            )

    def reserve(self) -> None:
        """Make the file if there is none yet. Call it before workers get a copy of the cache.

        Nothing is kept until then.
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
                    file.truncate(self.nbytes)  # make_caches has checked the free space
                self._open(os.dup(file.fileno()))
        except (OSError, ValueError) as error:  # ValueError: the file cannot be mapped
            logger.warning(
                'no room for decoded photos in %s (%.1f GB, DATALOADER.CACHE_GB): %s; they are '
                'decoded each time',
                self.folder,
                self.nbytes / 1e9,
                getattr(error, 'strerror', None) or error,
            )
            self._slots = {}

    def _open(self, handle: int) -> None:
        """Map the file into memory; it is closed when the cache is deleted."""
        weakref.finalize(self, os.close, handle)
        memory = mmap.mmap(handle, self.nbytes)
        count = len(self._slots)
        self._stamps = np.ndarray((count, 3), np.int64, buffer=memory)
        self._pixels = np.ndarray(
            (count, *self.reading.size, 3), np.uint8, buffer=memory, offset=count * STAMP_BYTES
        )
        self._handle = handle

    def __call__(self, path: str) -> np.ndarray:
        """Return the photo as uint8 (H, W, 3). Raises the errors of ``reading``."""
        if self._handle is None or path not in self._slots:
            return self.reading(path)
        slot = self._slots[path]
        try:
            status = os.stat(path)
        except OSError:
            return self.reading(path)
        # st_ctime cannot be set back, unlike st_mtime (cp -p); + 1 since zeros stand for no photo
        stamp = status.st_mtime_ns, status.st_ctime_ns, status.st_size + 1
        if tuple(self._stamps[slot].tolist()) != stamp:
            photo = self.reading(path)
            self._stamps[slot] = 0  # if the process is killed now, no mixture of two photos is left
            self._pixels[slot] = photo
            self._stamps[slot] = stamp
        return self._pixels[slot]

    def __getstate__(self) -> dict[str, Any]:
        """Pass the open file on to spawned workers; other copies read each time."""
        handle = None
        if self._handle is not None and get_spawning_popen() and hasattr(reduction, 'DupFd'):
            handle = reduction.DupFd(self._handle)  # missing on Windows
        return self.__dict__ | {'_handle': handle, '_stamps': None, '_pixels': None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._handle is not None:
            self._open(self._handle.detach())
