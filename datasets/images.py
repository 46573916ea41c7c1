"""Reads photos, or only their headers, and explains why a photo cannot be read."""

import contextlib
import os
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

from PIL import Image, UnidentifiedImageError

from datasets.depth import is_deep, read_deep
from utils.errors import InputError, first_line
from utils.logger import progress

# Photos may come from strangers, so other formats that Pillow decodes are rejected: some of its
# decoders start other programs (EPS). HEIF is read if pillow-heif is installed.
FORMATS = ['JPEG', 'PNG', 'BMP', 'GIF', 'PPM', 'TIFF', 'WEBP', 'JPEG2000', 'AVIF', 'DIB', 'TGA']
HEIF_ENDINGS = {'.heic', '.heif', '.hif'}
HEIF_BRANDS = {b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1'}
TIFF_HEADS = {b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'}
MAX_PIXELS = 178_956_970  # half a gigabyte in RGB
MAX_RATIO = 100  # longer side / shorter side
MAX_SCANS = 100  # of a JPEG file, thumbnails included
REMEDY = 'replace it, remove it from the list, or set DATASETS.SKIP_BROKEN True to skip it'
THREADS = 8  # for reading and decoding photos; may exceed the processors, as they wait for the disk

ORIENTATION, EXIF_IFD, TAKEN = 0x112, 0x8769, 0x9003  # EXIF tags
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

PhotoPath = str | os.PathLike[str]

Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow warns above it, and raises above twice this number
# Photos that cannot be read raise an error. Warnings, for example about broken EXIF, do not matter.
warnings.filterwarnings('ignore', module=r'PIL\.')


class UnreadablePhoto(InputError):
    """A photo that cannot be read.

    Args:
        path: The file.
        reason: Why it cannot be read.
        remedy: What to do about it.
    """

    def __init__(self, path: PhotoPath, reason: str, remedy: str = REMEDY):
        super().__init__(path, reason, remedy)
        self.reason = reason

    def __str__(self) -> str:
        return '{}: {}; {}'.format(*self.args)


@dataclass(frozen=True)
class Header:
    """What the header of a photo file says.

    Attributes:
        size: (width, height) of the stored pixels.
        orientation: EXIF orientation, 1 = upright.
        kind: Pillow's name of the file format.
        taken: EXIF date and time of the photo, '' if unknown.
    """

    size: tuple[int, int]
    orientation: int
    kind: str
    taken: str = ''


def read_image(path: PhotoPath, upright: bool = False, least: int = 0) -> Image.Image:
    """Read a photo as an 8-bit RGB image, whatever its mode.

    Photos with more than 8 bits are converted by ``datasets.depth``. Transparency is dropped. The
    first frame of an animation is read.

    Args:
        path: The file.
        upright: Whether to apply the EXIF orientation. The published pipeline does not, so training
            and tests do not either.
        least: A JPEG may be decoded at a reduced size, which is faster, but at least this many
            pixels wide and high; 0 = at its full size.

    Raises:
        UnreadablePhoto: The file is missing, is not a picture in one of ``FORMATS``, is damaged,
            has more than ``MAX_PIXELS`` pixels or sides of more than 1 : ``MAX_RATIO``, or has more
            than 8 bits and does not say which value is white.
    """
    with _open(path) as image:
        _check_scans(path, image)
        if least:
            image.draft('RGB', (least, least))  # has no effect on other formats
        if is_deep(image):
            picture = read_deep(image)
        elif 'transparency' in image.info:  # without the detour via RGBA, Pillow would warn
            picture = image.convert('RGBA').convert('RGB')
        else:
            picture = image.convert('RGB')
        orientation = orientation_of(image) if upright else 1
        return picture.transpose(UPRIGHT[orientation]) if orientation != 1 else picture


def read_header(path: PhotoPath) -> Header:
    """Read the header of a photo. Only PNG files must be decoded for this.

    Raises:
        UnreadablePhoto: The file is missing, is not a photo, or its size is rejected.
    """
    with _open(path) as image:
        taken = ''
        with contextlib.suppress(Exception):  # many good photos have broken EXIF data
            # reads a PNG to its end: EXIF data may follow the pixels
            taken = str(image.getexif().get_ifd(EXIF_IFD).get(TAKEN) or '').strip('\0 ')
        return Header(image.size, orientation_of(image), image.format or '', taken)


@contextlib.contextmanager
def _open(path: PhotoPath) -> Iterator[Image.Image]:
    """Open a photo without decoding it. Any error in the block becomes an ``UnreadablePhoto``."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # reading a pipe could block forever
            raise UnreadablePhoto(path, 'not a photo but a folder, pipe or device')
        with Image.open(path, formats=photo_formats()) as image:
            _check_size(path, *image.size)
            yield image
    except UnreadablePhoto:
        raise
    except Exception as error:  # decoders may raise any error on broken files
        if isinstance(error, OSError) and error.errno:  # from the system, not from a decoder
            raise UnreadablePhoto(
                path,
                f'the photo cannot be read ({error.strerror})',
                'check that its disk is mounted; interrupted training resumes with --resume',
            ) from None
        raise UnreadablePhoto(path, _explain(path, error)) from None


@lru_cache
def photo_formats() -> tuple[str, ...]:
    """Return the formats that can be read: ``FORMATS``, and HEIF with pillow-heif."""
    Image.init()
    with contextlib.suppress(ImportError):
        import_module('pillow_heif').register_heif_opener()
    return tuple(name for name in [*FORMATS, 'HEIF'] if name in Image.OPEN)


def photo_extensions() -> set[str]:
    """Return the file extensions of photos, with the dot."""
    kinds = {*photo_formats(), 'MPO'}
    endings = Image.registered_extensions().items()
    return HEIF_ENDINGS | {ending for ending, kind in endings if kind in kinds}


def _explain(path: PhotoPath, error: Exception) -> str:
    if not isinstance(error, UnidentifiedImageError):
        return f'the photo cannot be decoded ({first_line(error, 250)})'
    with open(path, 'rb') as file:
        head = file.read(12)
    if not head:
        return 'the photo is an empty file'
    if head[4:8] == b'ftyp' and head[8:] in HEIF_BRANDS and 'HEIF' not in photo_formats():
        return 'a HEIC photo; convert it to JPEG, or install pillow-heif (pip install pillow-heif)'
    if head[:4] in TIFF_HEADS:
        return (
            'a truncated TIFF, or one of an unsupported kind (64-bit values, five bands); save it '
            'again with 8 bits, grey or RGB'
        )
    return f'not a picture in a supported format ({", ".join(photo_formats())})'


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation of an open image, 1 = upright.

    It is 1 for a TIFF, which Pillow turns when it decodes it. A PNG may state its orientation
    after the pixels; it is known once the PNG is decoded.
    """
    try:
        orientation = Image.Image.getexif(image).get(ORIENTATION)
    except Exception:  # many good photos have broken EXIF data
        return 1
    return orientation if orientation in UPRIGHT and image.format != 'TIFF' else 1


def find_turned(paths: Iterable[str]) -> list[str]:
    """Return the photos that are rotated or mirrored by EXIF; unreadable photos are skipped.

    This reads headers only: 0.1 ms per photo, whereas decoding takes several ms.
    """
    return list(_find(_is_turned, paths, 'headers'))


def find_unreadable(paths: Iterable[str]) -> dict[str, str]:
    """Decode all photos and return {path: reason} of those that ``read_image`` cannot read."""
    return _find(_why_unreadable, paths, 'photos decoded')


def _is_turned(path: str) -> bool:
    with contextlib.suppress(UnreadablePhoto), _open(path) as image:
        return orientation_of(image) != 1
    return False


def _why_unreadable(path: str) -> str:
    try:
        read_image(path)
    except UnreadablePhoto as error:
        return error.reason
    return ''


def _find(check: Callable[[str], Any], paths: Iterable[str], text: str) -> dict[str, Any]:
    """Run ``check`` on each photo and return {path: result} of those with a result."""
    paths = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(THREADS) as pool:  # Pillow releases the GIL
        findings = progress(pool.map(check, paths), text, total=len(paths))
        return {path: found for path, found in zip(paths, findings, strict=True) if found}


def _check_size(path: PhotoPath, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise UnreadablePhoto(
            path, f'the photo has more than {MAX_PIXELS} pixels ({width} x {height})'
        )
    if not 0 < max(width, height) <= MAX_RATIO * min(width, height):
        raise UnreadablePhoto(
            path, f'{width} x {height} pixels, one side more than {MAX_RATIO} times the other'
        )


def _check_scans(path: PhotoPath, image: Image.Image) -> None:
    """Reject JPEGs that take minutes: scans are decoded one by one; ordinary files have ten."""
    if image.format in ('JPEG', 'MPO'):
        with open(path, 'rb') as file:
            scans = file.read().count(b'\xff\xda')
        if scans > MAX_SCANS:
            raise UnreadablePhoto(
                path, f'a JPEG of {scans} scans, more than {MAX_SCANS}, takes minutes to decode'
            )
