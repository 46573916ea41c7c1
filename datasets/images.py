"""Reading a photo file, whole or its header alone, and why it cannot be read."""

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

# Of photos, which may come from strangers. Pillow has decoders beyond these, some of which start
# other programs (EPS). HEIF is read where pillow-heif is installed.
FORMATS = ['JPEG', 'PNG', 'BMP', 'GIF', 'PPM', 'TIFF', 'WEBP', 'JPEG2000', 'AVIF', 'DIB', 'TGA']
HEIF_ENDINGS = {'.heic', '.heif', '.hif'}
HEIF_BRANDS = {b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1'}
TIFF_HEADS = {b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'}
MAX_PIXELS = 178_956_970  # half a gigabyte as RGB
MAX_RATIO = 100  # longer side / shorter side
MAX_SCANS = 100  # of a JPEG, those of its thumbnails included
REMEDY = 'replace it, take it out of the list, or set DATASETS.SKIP_BROKEN True to skip it'
THREADS = 8  # that read headers or decode photos: more than processors, as disks let them wait

ORIENTATION, EXIF_IFD, TAKEN = 0x112, 0x8769, 0x9003  # EXIF tags; 0x132 is a later change
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

Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # beyond this Pillow warns, and beyond twice this it raises
# What is wrong with a photo is an error here; broken EXIF and the like of a good one is no matter.
warnings.filterwarnings('ignore', module=r'PIL\.')


class UnreadablePhoto(InputError):
    """A photo that cannot be read. reason: without its path and without what to do."""

    def __init__(self, path: PhotoPath, reason: str, remedy: str = REMEDY):
        super().__init__(path, reason, remedy)
        self.reason = reason

    def __str__(self) -> str:
        return '{}: {}; {}'.format(*self.args)


@dataclass(frozen=True)
class Header:
    """What a photo file says before its pixels.

    Attributes:
        size: (width, height) of the stored pixels.
        orientation: EXIF's, 1 = upright.
        kind: Pillow's name of the file format.
        taken: EXIF's date and time of the photo, '' = unknown.
    """

    size: tuple[int, int]
    orientation: int
    kind: str
    taken: str = ''


def read_image(path: PhotoPath, upright: bool = False) -> Image.Image:
    """Read a photo of any mode as an RGB PIL image of 8 bits.

    16-bit values keep their high byte; what else holds more than 8 bits is read as
    ``datasets.depth`` says. Transparency is dropped. Of an animation the first picture.

    Args:
        path: of the file.
        upright: whether EXIF rotation is applied. The published pipeline does not, so training
            and tests do not either.

    Raises:
        UnreadablePhoto: where the file is no readable picture in one of ``FORMATS``, has no
            pixels or more than ``MAX_PIXELS``, is longer than ``MAX_RATIO`` times its width, has
            more than 8 bits and does not say which number is white, or has gone.
    """
    with _open(path) as image:
        _check_scans(path, image)
        if is_deep(image):
            picture = read_deep(image)
        elif 'transparency' in image.info:  # straight to RGB Pillow warns
            picture = image.convert('RGBA').convert('RGB')
        else:
            picture = image.convert('RGB')
        orientation = orientation_of(image) if upright else 1
        return picture.transpose(UPRIGHT[orientation]) if orientation != 1 else picture


def read_header(path: PhotoPath) -> Header:
    """Read the ``Header`` of a photo without decoding it, unless it is a PNG.

    Raises:
        UnreadablePhoto: where the file is no photo, or its size is not one that is read.
    """
    with _open(path) as image:
        taken = ''
        with contextlib.suppress(Exception):  # many EXIF blocks are broken while the photo is fine
            # of a PNG this looks behind the pixels too
            taken = str(image.getexif().get_ifd(EXIF_IFD).get(TAKEN) or '').strip('\0 ')
        return Header(image.size, orientation_of(image), image.format or '', taken)


@contextlib.contextmanager
def _open(path: PhotoPath) -> Iterator[Image.Image]:
    """The photo, not yet decoded; any error of the block becomes an ``UnreadablePhoto``."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # reading could wait without end
            raise UnreadablePhoto(path, 'no photo but a folder, pipe or device')
        with Image.open(path, formats=photo_formats()) as image:
            _check_size(path, *image.size)
            yield image
    except UnreadablePhoto:
        raise
    except Exception as error:  # decoders raise anything on broken files
        if isinstance(error, OSError) and error.errno:  # the system's word, not a decoder's
            raise UnreadablePhoto(
                path,
                f'the photo was there at the start and cannot be read now ({error.strerror})',
                'bring it back (is the disk still mounted?), then training resumes with --resume',
            ) from None
        raise UnreadablePhoto(path, _explain(path, error)) from None


@lru_cache
def photo_formats() -> tuple[str, ...]:
    """Those of ``FORMATS`` that can be read here, and HEIF with its library."""
    Image.init()
    with contextlib.suppress(ImportError):
        import_module('pillow_heif').register_heif_opener()
    return tuple(name for name in [*FORMATS, 'HEIF'] if name in Image.OPEN)


def photo_extensions() -> set[str]:
    """Endings of files that are read as photos, with the dot."""
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
            'a TIFF that is cut off, or of a kind that is not read here (64-bit values, five '
            'bands); save it again with 8 bits, grey or RGB'
        )
    return f'not a picture in a format that is read here ({", ".join(photo_formats())})'


def orientation_of(image: Image.Image) -> int:
    """Return EXIF's orientation of an open image as it is now, 1 = upright.

    A TIFF is always upright: Pillow turns it while it decodes it. A PNG that states its
    orientation behind the pixels does so once they are decoded.
    """
    try:
        orientation = Image.Image.getexif(image).get(ORIENTATION)
    except Exception:  # many EXIF blocks are broken while the photo is fine
        return 1
    return orientation if orientation in UPRIGHT and image.format != 'TIFF' else 1


def find_turned(paths: Iterable[str]) -> list[str]:
    """Return those of the photos that EXIF says are turned or mirrored, and can be read.

    Only headers are read: 0.1 ms each, where decoding takes some ms.
    """
    return list(_find(_is_turned, paths, 'headers'))


def find_unreadable(paths: Iterable[str]) -> dict[str, str]:
    """Return {path: reason} of the photos that ``read_image`` cannot read. All are decoded."""
    return _find(_why_unreadable, paths, 'photos decoded')


def _is_turned(path: str) -> bool:
    with contextlib.suppress(UnreadablePhoto), _open(path) as image:  # the loader will say so
        return orientation_of(image) != 1
    return False


def _why_unreadable(path: str) -> str:
    try:
        read_image(path)
    except UnreadablePhoto as error:
        return error.reason
    return ''


def _find(check: Callable[[str], Any], paths: Iterable[str], text: str) -> dict[str, Any]:
    """{path: finding} of the photos in which ``check`` finds something."""
    paths = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(THREADS) as pool:  # Pillow lets other threads work
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
    """A progressive JPEG is decoded once for each of its scans; honest ones have about ten."""
    if image.format in ('JPEG', 'MPO'):
        with open(path, 'rb') as file:
            scans = file.read().count(b'\xff\xda')
        if scans > MAX_SCANS:
            raise UnreadablePhoto(
                path, f'a JPEG of {scans} scans, more than {MAX_SCANS}, takes minutes to decode'
            )
