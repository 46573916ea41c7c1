"""Photos of more than 8 bits that do not say which value is white."""

import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from datasets.images import read_image
from tests.datasets.deep_photos import (
    COLOURS,
    SHARES,
    TWELVE,
    grey,
    levels,
    of_grey,
    write_png,
    write_tiff,
)
from tests.helpers import ROOT
from utils.errors import InputError

STATED = 'does not say which value is white'
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
def test_photos_with_unknown_white_are_rejected(tmp_path, values, options, complaint):
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
