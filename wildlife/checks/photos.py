"""What each photo file is (bytes, picture, perceptual hash), and which are nearly the same."""

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

# 16 x 16 bits: of the usual 8 x 8, different animals in the same grass may have nearly the same
HASH_SIDE = 16
BITS = HASH_SIDE**2
ALPHA = {'RGBA', 'LA', 'PA', 'La', 'RGBa'}
CODE = (depth.__file__, images.__file__, __file__)  # decides about ``Photo``
BLOCK = 2**20  # pairs of hashes that are compared at a time: 8 MB


@dataclass(frozen=True, slots=True)
class Photo:
    """One file.

    Attributes:
        path: of the file.
        bytes: its size; with ``mtime_ns`` a later check knows that it is the same file.
        mtime_ns: time of its last change.
        sha256: of its bytes.
        width: in stored pixels, like ``height``.
        mode: Pillow's, with '+alpha' where one colour is transparent.
        orientation: EXIF's, 1 = upright.
        phash: perceptual hash as hex.
        blank: whether all pixels are alike.
        error: why it cannot be read, '' where it can; what is not known is then 0 or ''.
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
        """The same for files with the same bytes."""
        return self.sha256 or self.path

    @property
    def is_transparent(self) -> bool:
        return self.mode in ALPHA or self.mode.endswith('+alpha')


def read_photos(
    paths: Iterable[str], workers: int, earlier: Mapping[str, Photo] | None = None
) -> dict[str, Photo]:
    """Read photos, each file once, decoded as the loader does.

    Args:
        paths: of the photos; some may be the same.
        workers: threads that read.
        earlier: photos of an earlier check by path; files of the same size and time are not read
            again.

    Returns:
        path -> ``Photo``, in the order of ``paths``.
    """
    earlier = earlier or {}
    found: dict[str, Photo | None] = dict.fromkeys(paths)
    for path in found:
        photo = earlier.get(path)
        if photo and (photo.bytes, photo.mtime_ns) == _status(path):
            found[path] = photo
    wanted = [path for path, photo in found.items() if photo is None]
    with ThreadPoolExecutor(workers) as pool:  # Pillow and the digest let other threads work
        for photo in progress(pool.map(read_photo, wanted), 'photos', total=len(wanted)):
            found[photo.path] = photo
    return {path: photo for path, photo in found.items() if photo}


def read_photo(path: str) -> Photo:
    """Read one file; what is wrong with it is the photo's ``error``."""
    size, mtime_ns = _status(path)
    sha256 = ''
    try:
        if os.path.isfile(path):  # reading a pipe could wait without end
            sha256 = sha256_file(path)
        image = read_image(path)
        orientation, mode = read_header(path).orientation, _mode(path)
    except UnreadablePhoto as error:
        return Photo(path, size, mtime_ns, sha256, error=error.reason)
    except OSError as error:
        return Photo(path, size, mtime_ns, sha256, error=str(error))
    bits = imagehash.phash(image, HASH_SIDE).hash
    extrema = cast(tuple[tuple[int, int], ...], image.getextrema())  # RGB: one pair a band
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
    """(bytes, mtime_ns)."""
    try:
        status = os.stat(path)
        return status.st_size, status.st_mtime_ns
    except OSError:
        return 0, 0


def _mode(path: str) -> str:
    """Mode as stored, of a photo that ``read_image`` could read."""
    with Image.open(path, formats=photo_formats()) as image:
        return f'{image.mode}+alpha' if 'transparency' in image.info else image.mode


def reader() -> dict[str, Any]:
    """Return what reads the photos here; another reader may find something else in a file."""
    return {
        'Pillow': PIL.__version__,
        'formats': list(photo_formats()),
        'code': [sha256_file(path) for path in CODE],
    }


def earlier_photos(path: str | Path) -> dict[str, Photo]:
    """Return the readable photos of an earlier check.json by path.

    Args:
        path: of the file; where it is missing, no such report or by another ``reader``, none.
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
    """Return photos as ``earlier_photos`` reads them from JSON."""
    return [asdict(photo) for photo in photos]


def near_pairs(photos: Sequence[Photo], limit: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield pairs of photos whose hashes differ in few bits, in blocks.

    All pairs are compared, so the time grows with the square of the photos.

    Args:
        photos: each with a phash.
        limit: bits in which they may differ.

    Yields:
        i, j, distance: (M,) integers, i < j.
    """
    if not photos:
        return
    bits = bytes.fromhex(''.join(photo.phash for photo in photos))
    words = np.frombuffer(bits, np.uint64).reshape(len(photos), -1)
    first = np.ascontiguousarray(words[:, 0])
    step = max(1, BLOCK // len(photos))
    for start in range(0, len(photos), step):
        rows = first[start : start + step, None]
        # most pairs differ in more bits than that within a quarter of them
        i, j = np.nonzero(np.bitwise_count(rows ^ first[start:]) <= limit)
        later = i < j
        i, j = i[later] + start, j[later] + start
        distance = np.bitwise_count(words[i] ^ words[j]).sum(axis=1, dtype=np.int64)
        near = distance <= limit
        if near.any():
            yield i[near], j[near], distance[near]
