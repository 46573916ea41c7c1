"""Reading photos: every mode, transparency, EXIF."""

import pickle

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from datasets.images import UnreadablePhoto, find_turned, find_unreadable, read_image
from tests.datasets.photo_files import COLOUR, saved, turned

GREY = COLOUR[:, :, 0]


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize(
    ('mode', 'name'),
    [
        ('L', 'a.png'),
        ('RGB', 'a.png'),
        ('RGBA', 'a.png'),
        ('LA', 'a.png'),
        ('P', 'a.png'),
        ('1', 'a.png'),
        ('CMYK', 'a.jpg'),
        ('CMYK', 'a.tif'),
        ('I;16', 'a.png'),
        ('I;16', 'a.tif'),
        ('P', 'a.gif'),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, mode, name):
    wide = Image.fromarray(GREY.astype(np.uint16) * 257)
    source = wide if mode == 'I;16' else Image.fromarray(COLOUR).convert(mode)
    with Image.open(saved(tmp_path, source, name)) as reopened:
        assert reopened.mode == mode
    image = read_image(tmp_path / name)
    assert (image.mode, image.size) == ('RGB', (30, 20))
    grey = np.repeat(GREY[:, :, None], 3, axis=2) if mode == 'I;16' else None
    expected = {'I;16': grey, 'RGB': COLOUR, 'RGBA': COLOUR}.get(mode)
    if expected is not None:
        np.testing.assert_array_equal(np.asarray(image), expected)


def test_16_bit_grey_keeps_its_high_byte(tmp_path):
    values = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    image = read_image(saved(tmp_path, Image.fromarray(values), 'a.png'))
    assert np.asarray(image)[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    big_endian = Image.frombytes('I;16B', (5, 1), values.astype('>u2').tobytes())
    image = read_image(saved(tmp_path, big_endian, 'b.tif'))
    assert np.asarray(image)[0, :, 0].tolist() == [0, 0, 1, 128, 255]


@pytest.mark.filterwarnings('error')
def test_transparency_is_dropped(tmp_path):
    palette = Image.fromarray(COLOUR).quantize(8)
    saved(tmp_path, palette, 'plain.png')
    palette.save(tmp_path / 'clear.png', transparency=bytes([0, 128, 255]))
    expected = np.asarray(read_image(tmp_path / 'plain.png'))
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / 'clear.png')), expected)
    rgba = Image.fromarray(COLOUR).convert('RGBA')
    rgba.putalpha(0)
    np.testing.assert_array_equal(np.asarray(read_image(saved(tmp_path, rgba, 'rgba.png'))), COLOUR)


def test_exif_rotation_is_not_applied(tmp_path):
    assert read_image(turned(tmp_path / 'a.jpg')).size == (30, 20)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('kind', ['png', 'jpg', 'webp', 'tif'])
def test_upright_where_it_is_asked_for(tmp_path, kind, orientation):
    """Against Pillow's own. A TIFF is turned by Pillow in any case, and not twice."""
    path = turned(tmp_path / f'a.{kind}', orientation)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    np.testing.assert_array_equal(np.asarray(read_image(path, upright=True)), expected)


def test_turned_photos_are_found_by_their_headers(tmp_path, monkeypatch):
    paths = [
        turned(tmp_path / f'{orientation}.{kind}', orientation)
        for kind in ('png', 'jpg', 'tif')
        for orientation in (1, 6)
    ]
    (tmp_path / 'broken.jpg').write_bytes(b'rubbish')
    monkeypatch.setattr(ImageFile.ImageFile, 'load', lambda image: pytest.fail('decoded'))
    found = find_turned([*paths, paths[1], tmp_path / 'broken.jpg', tmp_path / 'none.jpg'])
    assert found == [tmp_path / '6.png', tmp_path / '6.jpg']  # Pillow turns a TIFF itself


def test_unreadable_photos_are_found_with_their_reasons(tmp_path):
    good = saved(tmp_path, Image.fromarray(COLOUR), 'good.png')
    (tmp_path / 'cut.png').write_bytes(good.read_bytes()[:200])
    (tmp_path / 'empty.jpg').touch()
    found = find_unreadable([good, tmp_path / 'cut.png', good, tmp_path / 'empty.jpg'])
    assert list(found) == [tmp_path / 'cut.png', tmp_path / 'empty.jpg']
    assert found[tmp_path / 'empty.jpg'] == 'the photo is an empty file'
    assert found[tmp_path / 'cut.png'].startswith('the photo cannot be decoded (')


def test_the_error_survives_the_way_from_a_worker():
    error = UnreadablePhoto('a.jpg', 'it is torn', 'glue it')
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == 'a.jpg: it is torn; glue it'


@pytest.mark.parametrize(('mode', 'name'), [('RGB', 'a.jpg'), ('L', 'a.jpg'), ('RGB', 'a.png')])
def test_a_jpeg_is_decoded_at_a_reduced_size_if_that_is_enough(tmp_path, mode, name):
    large = Image.fromarray(COLOUR).resize((800, 600)).convert(mode)
    saved(tmp_path, large, name)
    full, small = read_image(tmp_path / name), read_image(tmp_path / name, least=90)
    assert full.size == (800, 600) and small.mode == 'RGB'
    assert small.size == ((200, 150) if name == 'a.jpg' else (800, 600))
    difference = np.subtract(full.resize((50, 50)), small.resize((50, 50)), dtype=float)
    assert np.abs(difference).mean() < 3
