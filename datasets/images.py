"""Reading a photo file as an RGB picture of 8 bits, and why it cannot be read."""

import os
import stat
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib import import_module

from PIL import Image, UnidentifiedImageError

from datasets.depth import DepthError, is_deep, read_deep
from utils.errors import InputError
from utils.logger import progress

# Of photos, which may come from strangers. Pillow has decoders beyond these, some of which start
# other programs (EPS). HEIF is read where one of HEIF_READERS is installed.
FORMATS = (
    'JPEG',
    'PNG',
    'BMP',
    'GIF',
    'PPM',
    'TIFF',
    'WEBP',
    'JPEG2000',
    'AVIF',
    'DIB',
    'TGA',
    'HEIF',
)
HEIF_READERS = ('pillow_heif', 'pi_heif')  # pi-heif is its predecessor without an encoder
HEIF_ENDINGS = {'.heic', '.heif', '.hif'}
HEIF_BRANDS = {b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1'}
HEIF_REASON = 'a HEIC photo; convert it to JPEG, or install pillow-heif (pip install pillow-heif)'
TIFF_HEADS = {b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'}
MAX_PIXELS = 178_956_970  # half a gigabyte as RGB
MAX_RATIO = 100  # longer side / shorter side
MAX_SCANS = 100  # of a JPEG, those of its thumbnails included
TOO_LARGE = f'the photo has more than {MAX_PIXELS} pixels'
REMEDY = 'replace it or take it out of the list'
THREADS = 8  # that read headers or decode photos: more than processors, as disks let them wait

ORIENTATION = 0x112  # EXIF tag
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # beyond this Pillow warns, and beyond twice this it raises
# What is wrong with a photo is an error here; broken EXIF and the like of a good one is no matter.
warnings.filterwarnings('ignore', module=r'PIL\.')


class UnreadablePhoto(InputError):
    """A photo that cannot be read. reason: without its path and without what to do."""

    def __init__(self, path: str, reason: str, remedy: str = REMEDY):
        super().__init__(path, reason, remedy)
        self.path, self.reason, self.remedy = path, reason, remedy

    def __str__(self) -> str:
        return f'{self.path}: {self.reason}; {self.remedy}'


def read_image(path: str, upright: bool = False) -> Image.Image:
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
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # reading could wait without end
            raise UnreadablePhoto(path, 'no photo but a folder, pipe or device')
        if status.st_size == 0:
            raise UnreadablePhoto(path, 'the photo is an empty file')
        with Image.open(path, formats=photo_formats()) as image:
            _check_size(path, *image.size)
            _check_scans(path, image)
            picture = (
                read_deep(image, lambda: Image.open(path, formats=photo_formats()))
                if is_deep(image)
                else _to_rgb(image)
            )
            return _turned(picture, orientation_of(image)) if upright else picture
    except UnreadablePhoto:
        raise
    except Exception as error:  # decoders raise anything on broken files
        if isinstance(error, OSError) and error.errno:  # the system's word, not a decoder's
            raise _unreachable(path, error) from None
        raise UnreadablePhoto(path, why_unreadable(path, error)) from None


@lru_cache
def photo_formats() -> tuple[str, ...]:
    """Those of ``FORMATS`` that can be read here."""
    Image.init()
    for name in HEIF_READERS:
        try:
            import_module(name).register_heif_opener()
            break
        except ImportError:
            pass
    return tuple(name for name in FORMATS if name in Image.OPEN)


def why_unreadable(path: str, error: Exception) -> str:
    """The reason for ``error``, which Pillow raised at the file ``path``, in plain words."""
    if isinstance(error, DepthError):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):
        return TOO_LARGE
    if isinstance(error, UnidentifiedImageError):
        head = _head(path)
        if not head:
            return 'the file is empty'
        if head[4:8] == b'ftyp' and head[8:] in HEIF_BRANDS and 'HEIF' not in photo_formats():
            return HEIF_REASON
        if head[:4] in TIFF_HEADS:
            return (
                'a TIFF that is cut off, or of a kind that is not read here (64-bit values, five '
                'bands); save it again with 8 bits, grey or RGB'
            )
        return f'not a picture in a format that is read here ({", ".join(photo_formats())})'
    reason = ' '.join(str(error).split())[:200] or type(error).__name__
    return f'the photo cannot be decoded ({reason})'


def _head(path: str) -> bytes:
    with open(path, 'rb') as file:
        return file.read(12)


def orientation_of(image: Image.Image) -> int:
    """Return EXIF's orientation of an open image as it is now, 1 = upright.

    Pillow turns a TIFF itself while it decodes it. A PNG that states it behind the pixels does so
    once they are decoded.
    """
    try:
        orientation = Image.Image.getexif(image).get(ORIENTATION, 1)
    except Exception:  # of EXIF blocks many are broken while the photo is fine
        return 1
    return orientation if orientation in UPRIGHT else 1


def find_turned(paths: Iterable[str]) -> list[str]:
    """Return those of the photos that EXIF says are turned or mirrored, and can be read.

    Only headers are read: 0.1 ms each, where decoding takes some ms.
    """

    def is_turned(path: str) -> bool:
        try:
            with Image.open(path, formats=photo_formats()) as image:
                return image.format != 'TIFF' and orientation_of(image) != 1
        except Exception:  # the loader will say so
            return False

    return _where(is_turned, paths, 'headers')


def find_unreadable(paths: Iterable[str]) -> dict[str, str]:
    """Return {path: reason} of the photos that ``read_image`` cannot read. All are decoded."""
    reasons = {}

    def is_unreadable(path: str) -> bool:
        try:
            read_image(path)
        except UnreadablePhoto as error:
            reasons[path] = error.reason
        return path in reasons

    return {path: reasons[path] for path in _where(is_unreadable, paths, 'photos decoded')}


def _where(condition: Callable[[str], bool], paths: Iterable[str], text: str) -> list[str]:
    paths = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(THREADS) as pool:  # Pillow lets other threads work
        found = progress(pool.map(condition, paths), text, total=len(paths))
        return [path for path, is_it in zip(paths, found, strict=True) if is_it]


def _check_size(path: str, width: int, height: int) -> None:
    if not width or not height:
        raise UnreadablePhoto(path, f'the photo has no pixels ({width} x {height})')
    if width * height > MAX_PIXELS:
        raise UnreadablePhoto(path, f'{TOO_LARGE} ({width} x {height})')
    if max(width, height) > MAX_RATIO * min(width, height):
        raise UnreadablePhoto(
            path, f'{width} x {height} pixels, one side more than {MAX_RATIO} times the other'
        )


def _check_scans(path: str, image: Image.Image) -> None:
    """A progressive JPEG is decoded once for each of its scans; honest ones have about ten."""
    if image.format in ('JPEG', 'MPO'):
        with open(path, 'rb') as file:
            scans = file.read().count(b'\xff\xda')
        if scans > MAX_SCANS:
            raise UnreadablePhoto(
                path, f'a JPEG of {scans} scans, more than {MAX_SCANS}, takes minutes to decode'
            )


def _unreachable(path: str, error: OSError) -> UnreadablePhoto:
    """All photos were looked for at the start, so the disk or a folder is what has gone, mostly."""
    gone = path = os.fspath(path)
    while (above := os.path.dirname(gone)) and not os.path.exists(above):
        gone = above
    if gone != path:
        what = f"its folder '{gone}' has gone"
    elif os.path.lexists(path):
        what = f'it cannot be read now ({error.strerror})'
    else:
        what = 'it has gone'
    return UnreadablePhoto(
        path,
        f'the photo was there at the start, but {what}',
        'bring it back (is the disk still mounted?), then training goes on with --resume',
    )


def _to_rgb(image: Image.Image) -> Image.Image:
    if 'transparency' in image.info:  # straight to RGB Pillow warns
        image = image.convert('RGBA')
    return image.convert('RGB')


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    turn = UPRIGHT.get(orientation)
    return picture if turn is None else picture.transpose(turn)
