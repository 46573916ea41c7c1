"""Photos of more than 8 bits: scaled by what the file says, else rejected; never black or white."""

import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.images import read_image
from utils.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
Y, X = np.mgrid[:12, :20]
SHARES = (np.sin(X / 3) + np.cos(Y / 2) + 2) / 4  # of white
SHARES = (SHARES - SHARES.min()) / (SHARES.max() - SHARES.min())
COLOURS = np.stack([SHARES, SHARES[:, ::-1], SHARES / 2], axis=-1)
STATED = 'does not say which value is white'


def grey(white, dtype, shares=SHARES):
    exact = shares * white
    return (exact if np.dtype(dtype).kind == 'f' else np.rint(exact)).astype(dtype)


def write_tiff(path, values, bits=None, tags=None, big=False, deflate=False, planar=False):
    """A TIFF as a camera writes it, with one strip, or one for each colour (``planar``)."""
    height, width, *colours = values.shape
    bits = bits or 8 * values.itemsize
    kind = {'u': 1, 'i': 2, 'f': 3}[values.dtype.kind]
    values = values.astype(values.dtype.newbyteorder('>' if big else '<'))
    bands = np.moveaxis(values, -1, 0) if planar else [values]
    strips = [zlib.compress(band.tobytes()) if deflate else band.tobytes() for band in bands]
    if bits == 12:  # packed: two values in three bytes
        digits = ''.join(f'{value:012b}' for value in values.ravel())
        strips = [int(digits, 2).to_bytes(len(digits) // 8, 'big')]
    count = colours[0] if colours else 1
    tags = {
        256: width,
        257: height,
        258: (bits,) * count,
        259: 8 if deflate else 1,
        262: 2 if colours else 1,
        273: (0,) * len(strips),
        277: count,
        278: height,
        279: tuple(map(len, strips)),
        284: 2 if planar else 1,
        339: (kind,) * count,
    } | (tags or {})
    order, extra, start = '>' if big else '<', b'', 8 + 2 + 12 * len(tags) + 4
    place = start + sum(
        4 * len(value) for value in tags.values() if isinstance(value, tuple) and len(value) > 1
    )
    tags[273] = tuple(place + sum(map(len, strips[:number])) for number in range(len(strips)))
    lines = b''
    for tag, value in sorted(tags.items()):
        value = value if isinstance(value, tuple) else (value,)
        letter = 'f' if isinstance(value[0], float) else 'I'
        content = struct.pack(f'{order}{len(value)}{letter}', *value)
        if len(content) > 4:
            content, extra = struct.pack(f'{order}I', start + len(extra)), extra + content
        lines += struct.pack(f'{order}HHI', tag, 11 if letter == 'f' else 4, len(value)) + content
    head = (b'MM\0*' if big else b'II*\0') + struct.pack(f'{order}IH', 8, len(tags))
    path.write_bytes(head + lines + bytes(4) + extra + b''.join(strips))
    return path


def write_png(path, values, *chunks):
    """A PNG of 16 bits: (height, width[, 2 to 4])."""

    def chunk(kind, data):
        return (
            struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        )

    height, width, *bands = values.shape
    kind = {1: 0, 3: 2, 2: 4, 4: 6}[bands[0] if bands else 1]
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in values)
    path.write_bytes(
        b'\x89PNG\r\n\x1a\n'
        + b''.join(
            chunk(*part)
            for part in [
                (b'IHDR', struct.pack('>IIBBBBB', width, height, 16, kind, 0, 0, 0)),
                *chunks,
                (b'IDAT', zlib.compress(rows)),
                (b'IEND', b''),
            ]
        )
    )
    return path


def levels(path):
    return np.asarray(read_image(path))


def of_grey(expected):
    return np.repeat(expected[..., None], 3, axis=-1)


TWELVE = grey(4095, np.uint16)


@pytest.mark.parametrize(
    'options',
    [
        {'tags': {341: 4095}},
        {'tags': {340: 0, 341: 4095}, 'big': True},
        {'tags': {341: 4095}, 'deflate': True},
        {'bits': 12},
        {'tags': {341: 4095.0}},
    ],
)
def test_tiffs_that_state_12_bits(tmp_path, options):
    path = write_tiff(tmp_path / 'a.tif', TWELVE, **options)
    np.testing.assert_array_equal(levels(path), of_grey(TWELVE >> 4))


@pytest.mark.parametrize('options', [{}, {'big': True}, {'deflate': True}])
@pytest.mark.parametrize('alpha', [False, True])
def test_colour_tiffs_that_state_12_bits(tmp_path, options, alpha):
    """Pillow gives the high byte only, whose four bits would be a picture of 16 steps."""
    values = grey(4095, np.uint16, COLOURS)
    tags = {341: (4095,) * 3}
    if alpha:
        values, tags = (
            np.concatenate([values, values[..., :1]], axis=-1),
            {338: 2, 341: (4095,) * 4},
        )
    path = write_tiff(tmp_path / 'a.tif', values, tags=tags, **options)
    np.testing.assert_array_equal(levels(path), values[..., :3] >> 4)


@pytest.mark.parametrize('bands', [1, 2, 3, 4])
def test_pngs_that_state_12_bits(tmp_path, bands):
    """The values as the camera gave them, or scaled to 16 bits as PNG wants them."""
    values = np.stack([TWELVE] * bands, axis=-1) if bands > 1 else TWELVE
    stated = b'sBIT', bytes([12] * bands)
    expected = of_grey(TWELVE >> 4)
    np.testing.assert_array_equal(levels(write_png(tmp_path / 'a.png', values, stated)), expected)
    np.testing.assert_array_equal(
        levels(write_png(tmp_path / 'b.png', values << 4, stated)), expected
    )


@pytest.mark.parametrize(
    'values',
    [
        grey(1, np.float32),
        grey(255, np.float32),
        grey(65535, np.float32),
        grey(255, np.int32),
        grey(65535, np.int32),
        grey(65535, np.uint32),
        grey(32767, np.int16),
        grey(127, np.int8),
    ],
    ids=lambda values: f'{values.max():g} {values.dtype}',
)
def test_usual_ranges_need_no_statement(tmp_path, values):
    """Off by one at most: floats are rounded, whole numbers keep their high byte."""
    for big in (False, values.dtype == np.float32):
        found = levels(write_tiff(tmp_path / 'a.tif', values, big=big))
        assert np.abs(found.astype(int) - of_grey(SHARES * 255)).max() < 1.5
        assert (found.min(), found.max()) in ((0, 255), (0, 254))


@pytest.mark.parametrize(
    ('values', 'tags'),
    [
        (grey(5000, np.int32), {341: 5000}),
        (grey(3, np.float32), {341: 3.0}),
        (grey(2, np.float32) - 1, {340: -1.0, 341: 1.0}),
        (grey(2**32 - 1, np.uint32), {341: 2**32 - 1}),
    ],
)
def test_other_ranges_are_read_where_they_are_stated(tmp_path, values, tags):
    found = levels(write_tiff(tmp_path / 'a.tif', values, tags=tags))
    assert np.abs(found.astype(int) - of_grey(SHARES * 255)).max() < 1.5


def test_a_dark_photo_of_stated_range_stays_dark(tmp_path):
    path = write_tiff(tmp_path / 'a.tif', grey(900, np.uint16), tags={341: 65535})
    assert levels(path).max() == 900 >> 8
    path = write_png(tmp_path / 'a.png', grey(900, np.uint16, COLOURS), (b'sBIT', b'\x10' * 3))
    assert levels(path).max() == 900 >> 8


@pytest.mark.parametrize('values', [grey(65535, np.uint16), grey(1, np.float32)])
def test_white_may_be_zero(tmp_path, values):
    """As Pillow has it for 8 bits only."""
    upright, negative = (
        levels(write_tiff(tmp_path / 'a.tif', values, tags={262: photometric}))
        for photometric in (1, 0)
    )
    np.testing.assert_array_equal(negative, 255 - upright)


WITH_NAN = grey(1, np.float32)
WITH_NAN[2, 3] = np.nan


@pytest.mark.parametrize(
    ('values', 'options', 'complaint'),
    [
        (TWELVE, {}, f'its values go from 0 to 4095, and the file {STATED}'),
        (grey(1023, np.uint16), {}, f'from 0 to 1023, and the file {STATED}'),
        (grey(16383, np.uint16), {'big': True}, f'from 0 to 16383, and the file {STATED}'),
        (grey(4095, np.uint16, COLOURS), {}, f'from 0 to 4095, and the file {STATED}'),
        (grey(4095, np.int32), {}, f'from 0 to 4095, and the file {STATED}'),
        (grey(2**31 - 1, np.int32), {}, f'from 0 to 2.14748e[+]09, and the file {STATED}'),
        (grey(2**32 - 1, np.uint32), {}, f'from 0 to 4.29497e[+]09, and the file {STATED}'),
        (grey(60000, np.int32) - 30000, {}, f'from -30000 to 30000, and the file {STATED}'),
        (grey(200, np.int16) - 100, {}, f'from -100 to 100, and the file {STATED}'),
        (
            (grey(200, np.int16) - 100).astype(np.int8),
            {},
            f'from -100 to 100, and the file {STATED}',
        ),
        (grey(4000, np.float32), {}, f'from 0 to 4000, and the file {STATED}'),
        (grey(0.1, np.float32), {}, f'from 0 to 0.1, and the file {STATED}'),
        (grey(2, np.float32) - 1, {}, f'from -1 to 1, and the file {STATED}'),
        (WITH_NAN, {}, f'from nan to nan, and the file {STATED}'),
        (
            grey(65535, np.uint16),
            {'tags': {341: 4095}},
            'from 0 to 65535, but the file states 0 as black and 4095 as white',
        ),
        (TWELVE, {'tags': {340: 9, 341: 9}}, 'the file states 9 as black and 9 as white'),
        (
            grey(32767, np.int16),
            {'big': True, 'deflate': True},
            'compressed big-endian TIFFs with signed values or floats',
        ),
        (
            grey(1, np.float32),
            {'big': True, 'deflate': True},
            'compressed big-endian TIFFs with signed values or floats',
        ),
        (grey(65535, np.uint16, COLOURS), {'planar': True}, r'this kind of 16-bit colour \(R\)'),
        (grey(1, np.float64), {}, 'of an unsupported kind'),
        (
            grey(65535, np.uint16, np.stack([SHARES] * 5, axis=-1)),
            {},
            'of an unsupported kind',
        ),
    ],
)
def test_what_nobody_knows_is_rejected(tmp_path, values, options, complaint):
    path = write_tiff(tmp_path / 'a.tif', values, **options)
    with pytest.raises(InputError, match=complaint) as caught:
        read_image(path)
    assert 'with 8 bits' in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('bands', [1, 2, 3, 4])
def test_pngs_of_12_bits_that_do_not_say_so_are_rejected(tmp_path, bands):
    values = np.stack([TWELVE] * bands, axis=-1) if bands > 1 else TWELVE
    if bands in (2, 4):
        values[..., -1] = 65535  # alpha
    path = write_png(tmp_path / 'a.png', values)
    with pytest.raises(
        InputError,
        match=f'a.png: .*its values go from 0 to 4095, and the file {STATED}.*PNG: chunk sBIT',
    ):
        read_image(path)


@pytest.mark.parametrize('bands', [1, 3, 4])
def test_ordinary_photos_of_16_bits_keep_their_high_byte(tmp_path, bands):
    values = grey(65535, np.uint16, np.stack([SHARES] * bands, axis=-1) if bands > 1 else SHARES)
    expected = of_grey((values if bands == 1 else values[..., 0]) >> 8)
    np.testing.assert_array_equal(levels(write_png(tmp_path / 'a.png', values)), expected)
    tags = {338: 2} if bands == 4 else {}
    for deflate in (False, True):
        path = write_tiff(tmp_path / 'a.tif', values, tags=tags, deflate=deflate)
        np.testing.assert_array_equal(levels(path), expected)


@pytest.mark.parametrize('bits', [b'', b'\0', b'\x11', b'\xff'])
def test_impossible_bits_of_a_png_say_nothing(tmp_path, bits):
    values = grey(65535, np.uint16)
    path = write_png(tmp_path / 'a.png', values, (b'sBIT', bits))
    np.testing.assert_array_equal(levels(path), of_grey(values >> 8))


def test_the_command_of_the_docs_states_what_is_white(tmp_path):
    """Also in a file that was compressed."""
    Image.fromarray(TWELVE).save(tmp_path / 'a.tif', compression='tiff_lzw')
    text = (ROOT / 'docs/your_own_animals.md').read_text(encoding='utf-8')
    code = re.search(r'`python -c "(.*tiffinfo.*)"`', text).group(1)
    subprocess.run([sys.executable, '-c', code], cwd=tmp_path, check=True)
    np.testing.assert_array_equal(levels(tmp_path / 'b.tif'), of_grey(TWELVE >> 4))


def test_greys_that_pillow_has_scaled(tmp_path):
    (tmp_path / 'a.pgm').write_bytes(b'P5 20 12 4095\n' + TWELVE.astype('>u2').tobytes())
    np.testing.assert_array_equal(levels(tmp_path / 'a.pgm'), of_grey(TWELVE >> 4))
    dark = TWELVE // 16
    (tmp_path / 'b.pgm').write_bytes(b'P5 20 12 4095\n' + dark.astype('>u2').tobytes())
    assert levels(tmp_path / 'b.pgm').max() == 255 >> 4
    Image.fromarray(grey(65535, np.uint16)).save(tmp_path / 'a.jp2', irreversible=False)
    np.testing.assert_array_equal(levels(tmp_path / 'a.jp2'), of_grey(grey(65535, np.uint16) >> 8))
