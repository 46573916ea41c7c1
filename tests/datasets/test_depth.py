"""Photos of more than 8 bits that say which value is white."""

import numpy as np
import pytest

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
