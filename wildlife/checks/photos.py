"""Describe photo files (bytes, picture, perceptual hash) and find near-duplicates."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

import imagehash
import numpy as np
import PIL
from PIL import Image

from datasets import depth, images
from datasets.images import UnreadablePhoto, photo_formats, read_header, read_image
from utils.files import sha256_file
from utils.logger import progress

# With the usual 8 x 8 bits, different animals in the same grass may have nearly equal hashes.
HASH_SIDE = 16
BITS = HASH_SIDE**2
ALPHA = {'RGBA', 'LA', 'PA', 'La', 'RGBa'}
CODE = (depth.__file__, images.__file__, __file__)  # the source files that determine a ``Photo``
BLOCK = 2**20  # pairs of hashes compared at a time, which take 8 MB


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo file.

    Attributes:
        path: Path of the file.
        bytes: Size of the file. A later check takes a file with the same size and ``mtime_ns``
            for unchanged.
        mtime_ns: Time of the last change.
        sha256: SHA-256 of the bytes.
        width: Stored pixels.
        height: Stored pixels.
        mode: Pillow's mode, with '+alpha' if one colour is transparent.
        orientation: EXIF orientation, 1 = upright.
        phash: Perceptual hash as hex.
        blank: Whether all pixels are equal.
        error: Why the photo cannot be read; '' for readable photos. Unknown values of an
            unreadable photo are 0 or ''.
    """

    path: str
    bytes: int
    mtime_ns: int
    sha256: str = ''
    width: int = 0
    height: int = 0
    mode: str = ''
    orientation: int = 1
    phash: str = ''
    blank: bool = False
    error: str = ''

    @property
    def content(self) -> str:
        """A key that is equal for files with the same bytes."""
        return self.sha256 or self.path

    @property
    def is_transparent(self) -> bool:
        """Whether the photo has transparency."""
        return self.mode in ALPHA or self.mode.endswith('+alpha')


def read_photos(
    paths: Iterable[str], workers: int, earlier: Mapping[str, Photo] | None = None
) -> dict[str, Photo]:
    """Read each photo file once and decode it as the loader does.

    Args:
        paths: Paths of the photos, with or without repetitions.
        workers: Number of threads that read.
        earlier: Photos of an earlier check by path. A file whose size and time are unchanged is
            not read again.

    Returns:
        Path -> ``Photo``, in the order of ``paths``.
    """
    earlier = earlier or {}
    found: dict[str, Photo | None] = dict.fromkeys(paths)
    for path in found:
        photo = earlier.get(path)
        if photo and (photo.bytes, photo.mtime_ns) == _status(path):
            found[path] = photo
    wanted = [path for path, photo in found.items() if photo is None]
    # Threads are enough: Pillow and the digest release the GIL.
    with ThreadPoolExecutor(workers) as pool:
        for photo in progress(pool.map(read_photo, wanted), 'photos', total=len(wanted)):
            found[photo.path] = photo
    return {path: photo for path, photo in found.items() if photo}


def read_photo(path: str) -> Photo:
    """Read one file; if that fails, ``error`` of the returned photo says why."""
    size, mtime_ns = _status(path)
    sha256 = ''
    try:
        if os.path.isfile(path):  # reading a pipe could block forever
            sha256 = sha256_file(path)
        image = read_image(path)
        orientation, mode = read_header(path).orientation, _mode(path)
    except UnreadablePhoto as error:
        return Photo(path, size, mtime_ns, sha256, error=error.reason)
    except OSError as error:
        return Photo(path, size, mtime_ns, sha256, error=str(error))
    bits = imagehash.phash(image, HASH_SIDE).hash
    extrema = cast(tuple[tuple[int, int], ...], image.getextrema())  # one pair per RGB channel
    blank = all(low == high for low, high in extrema)
    return Photo(
        path,
        size,
        mtime_ns,
        sha256,
        *image.size,
        mode,
        orientation,
        np.packbits(bits).tobytes().hex(),
        blank,
    )


def _status(path: str) -> tuple[int, int]:
    """Return (bytes, mtime_ns) of a file, (0, 0) if it cannot be accessed."""
    try:
        status = os.stat(path)
        return status.st_size, status.st_mtime_ns
    except OSError:
        return 0, 0


def _mode(path: str) -> str:
    """Return the stored mode of a photo that ``read_image`` could read."""
    with Image.open(path, formats=photo_formats()) as image:
        return f'{image.mode}+alpha' if 'transparency' in image.info else image.mode


def reader() -> dict[str, Any]:
    """Return what determines how photos are read; a check by another reader is not reused."""
    return {
        'Pillow': PIL.__version__,
        'formats': list(photo_formats()),
        'code': [sha256_file(path) for path in CODE],
    }


def earlier_photos(path: str | Path) -> dict[str, Photo]:
    """Return the readable photos of an earlier check.json by path.

    Args:
        path: Path of check.json. The result is empty if the file is missing, is not such a
            report or was written with another ``reader``.
    """
    types = {field.name: field.type for field in fields(Photo)}
    try:
        report = json.loads(Path(path).read_text(encoding='utf-8'))
        if report['reader'] != reader():
            return {}
        entries = report['photos']
        photos = [Photo(**entry) for entry in entries if _types(entry) == types]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
    return {
        photo.path: photo
        for photo in photos
        if not photo.error and re.fullmatch(f'[0-9a-f]{{{BITS // 4}}}', photo.phash)
    }


def _types(entry: dict[str, object]) -> dict[str, type]:
    return {key: type(value) for key, value in entry.items()}


def as_dicts(photos: Iterable[Photo]) -> list[dict[str, Any]]:
    """Convert photos to the JSON form that ``earlier_photos`` reads."""
    return [asdict(photo) for photo in photos]


def near_pairs(photos: Sequence[Photo], limit: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield pairs of photos whose hashes differ in few bits, in blocks.

    All pairs are compared, so the time grows with the square of the number of photos.

    Args:
        photos: Photos, all with a ``phash``.
        limit: Largest number of bits in which two hashes may differ.

    Yields:
        (i, j, distance), each (M,) integers, with i < j.
    """
    if not photos:
        return
    bits = bytes.fromhex(''.join(photo.phash for photo in photos))
    words = np.frombuffer(bits, np.uint64).reshape(len(photos), -1)
    first = np.ascontiguousarray(words[:, 0])
    step = max(1, BLOCK // len(photos))
    for start in range(0, len(photos), step):
        rows = first[start : start + step, None]
        # Most pairs exceed the limit in the first quarter of the bits; drop them right away.
        i, j = np.nonzero(np.bitwise_count(rows ^ first[start:]) <= limit)
        later = i < j
        i, j = i[later] + start, j[later] + start
        distance = np.bitwise_count(words[i] ^ words[j]).sum(axis=1, dtype=np.int64)
        near = distance <= limit
        if near.any():
            yield i[near], j[near], distance[near]
