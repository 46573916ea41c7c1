"""Converts photos with more than 8 bits to 8 bits: which value is black, and which is white?

The file may state it: TIFF in BitsPerSample, SMinSampleValue and SMaxSampleValue, PNG in its chunk
sBIT, PPM in its header. Otherwise white is 65535 in 16-bit files; in 32-bit and float files the
smallest of the usual ranges that holds all values is taken. A photo that fills less than a quarter
of the range is rejected: it probably comes from a camera with 10, 12 or 14 bits and would be nearly
black.
"""

import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from PIL import Image

Range = tuple[float, float]  # (black, white)

FULL = 65535
USUAL = (1, 255, FULL)  # possible values of white in 32-bit and float files
# Grey photos other than unsigned 16-bit ones. Pillow's (mode, rawmode): true type of the values,
# possible values of white.
GREYS: dict[tuple[str, str], tuple[DTypeLike, Sequence[int]]] = {
    ('L', 'L'): (np.int8, [127]),
    ('I', 'I;16S'): (np.int32, [32767]),
    ('I', 'I;16BS'): (np.int32, [32767]),
    ('I', 'I;32N'): (np.uint32, USUAL),
    ('I', 'I;32S'): (np.int32, USUAL),
    ('I', 'I;32BS'): (np.int32, USUAL),
    ('F', 'F;32F'): (np.float32, USUAL),
    ('F', 'F;32BF'): (np.float32, USUAL),
}
SHARE = 1 / 4  # the brightest value must reach this share of white
BITS, PHOTOMETRIC, FORMAT, BLACK, WHITE = 258, 262, 339, 340, 341  # TIFF tags
WHITE_IS_ZERO, SIGNED = 0, 2  # a value of PHOTOMETRIC, and one of FORMAT
REMEDY = (
    'save it with 8 bits, or state in the file which value is white '
    '(TIFF: tag 341, SMaxSampleValue; PNG: chunk sBIT)'
)
# Pillow keeps the high byte of 16-bit colours, and the low byte if the byte order is swapped.
OTHER_ORDER = {'B': 'L', 'L': 'B', 'N': 'B' if sys.byteorder == 'little' else 'L'}
# Pillow reads these in the file's byte order, but libtiff returns them in the machine's.
MISREAD = {'I;16BS', 'I;32BS', 'F;32BF'}
SBIT = re.compile(rb'\0\0\0([\1-\4])sBIT(.{4})', re.DOTALL)  # PNG chunk: length, name, bits


def is_deep(image: Image.Image) -> bool:
    """Return whether a photo that is not yet decoded has more than 8 bits, or signed values."""
    if image.format == 'TIFF':
        return max(_tag(image, BITS, 1)) > 8 or SIGNED in _tag(image, FORMAT, 1)
    return image.mode[0] in 'IF' or ';16' in _rawmode(image)


def read_deep(image: Image.Image) -> Image.Image:
    """Decode a photo for which ``is_deep`` is true as an 8-bit RGB picture.

    Args:
        image: Opened from a path and not yet decoded.

    Raises:
        ValueError: It is not known which value is white.
    """
    rawmode = _rawmode(image)
    stated = _stated_range(image)
    usual: Sequence[int] = [FULL]
    if len(image.getbands()) == 1:
        values, usual = _grey_values(image, rawmode)
    else:
        brightest = np.asarray(image)[..., :3].max()
        if stated in (None, (0, FULL)) and brightest > SHARE * 255 and ';16' in rawmode:
            return image.convert('RGB')
        values = _colour_values(image, rawmode)
    if stated and image.format == 'PNG' and values.max() > stated[1]:
        stated = 0, FULL  # the values are scaled to 16 bits, as the PNG standard requires
    black, white = _find_range(values, stated, usual)
    if values.dtype.kind == 'f' or white - black < 255:
        levels = np.rint((values - black) * (255 / (white - black)))
    else:  # take the highest 8 bits
        levels = (values.astype(np.int64) - black) * 256 // (white - black + 1)
    if image.format == 'TIFF' and WHITE_IS_ZERO in _tag(image, PHOTOMETRIC, 1):
        levels = 255 - levels
    return Image.fromarray(levels.astype(np.uint8)).convert('RGB')


def _stated_range(image: Any) -> Range | None:
    if image.format == 'PPM' and image.mode == 'I':
        return 0, FULL  # Pillow has scaled the values
    if image.format == 'PNG':
        bits = _significant_bits(image.filename)
        return (0, 2**bits - 1) if 0 < bits <= 16 else None
    if image.format == 'TIFF':
        bits = max(_tag(image, BITS, 1))
        white = max(_tag(image, WHITE, 2**bits - 1 if bits % 8 else None))
        return None if white is None else (min(_tag(image, BLACK, 0)), white)
    return None


def _significant_bits(path: str) -> int:
    """Return the largest number in a PNG's chunk sBIT, which Pillow ignores; 0 without sBIT."""
    with open(path, 'rb') as file:
        before_pixels = file.read().partition(b'IDAT')[0]
    chunk = SBIT.search(before_pixels)
    return max(chunk[2][: chunk[1][0]]) if chunk else 0


def _grey_values(image: Any, rawmode: str) -> tuple[np.ndarray, Sequence[int]]:
    """Return the values (height, width), and the possible values of white."""
    if rawmode in MISREAD and image.tile[0].codec_name == 'libtiff':
        raise ValueError(
            'compressed big-endian TIFFs with signed values or floats are not supported; save it '
            'with 8 bits'
        )
    values = np.asarray(image)
    stored, usual = GREYS.get((image.mode, rawmode), (values.dtype, [FULL]))
    return values.view(stored), usual


def _colour_values(image: Any, rawmode: str) -> np.ndarray:
    """Return 16-bit colours (height, width, 3), or (height, width) for grey with alpha."""
    name, _, order = rawmode.partition(';16')
    if name == 'LA':
        four = _decode(image, 'RGBA')  # the high and low bytes of grey, then those of alpha
        return four[..., 0] << 8 | four[..., 1]
    if name not in ('RGB', 'RGBX', 'RGBA'):
        raise ValueError(
            f'this kind of 16-bit colour ({rawmode}) is not supported; save it with 8 bits'
        )
    high = _decode(image, rawmode)
    low = _decode(image, f'{name};16{OTHER_ORDER[order]}')
    return (high << 8 | low)[..., :3]


def _decode(image: Any, rawmode: str) -> np.ndarray:
    """Decode the photo as if its bytes were ``rawmode``: uint16 (height, width, bands)."""
    with Image.open(image.filename, formats=[image.format]) as other:
        other.tile = [tile._replace(args=_with_rawmode(tile.args, rawmode)) for tile in other.tile]
        return np.asarray(other, np.uint16)


def _find_range(values: np.ndarray, stated: Range | None, usual: Sequence[int]) -> Range:
    low, high = values.min(), values.max()  # NaN is in no range
    found = f'its values go from {low:.6g} to {high:.6g}'
    if stated:
        black, white = stated
        if white > black <= low and high <= white:
            return stated
        raise ValueError(
            f'{found}, but the file states {black:.6g} as black and {white:.6g} as '
            f'white; save it with 8 bits'
        )
    white = next((white for white in usual if high <= white), 0)
    if low < 0 or high <= SHARE * white or not white:
        raise ValueError(f'{found}, and the file does not say which value is white; {REMEDY}')
    return 0, white


def _rawmode(image: Any) -> str:
    """Return Pillow's name for the layout of the bits; '' if there is none, or after decoding."""
    args = image.tile[0].args if image.tile else ''
    if isinstance(args, str):
        return args
    return next((arg for arg in args if isinstance(arg, str)), '')


def _with_rawmode(args: Any, rawmode: str) -> Any:
    return rawmode if isinstance(args, str) else (rawmode, *args[1:])


def _tag(image: Any, number: int, default: Any) -> tuple[Any, ...]:
    values = image.tag_v2.get(number, default)
    return values if isinstance(values, tuple) else (values,)
