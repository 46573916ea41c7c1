"""Masks: kinds, sizes, names, and those that look wrong."""

import json
import unicodedata

import numpy as np
import pytest
from PIL import Image

from tests.wildlife.background.world import (
    NAMES,
    SIZE,
    left_half,
    masked,
    picture,
    pixels,
    run,
    save,
)
from utils.errors import InputError
from wildlife.background.masks import read_mask


def test_suspicious_photos(src, capsys):
    save(0 * left_half(), src.parent / 'masks/train/1/b.png')
    save(0 * left_half() + 255, src.parent / 'masks/val/2/d.png')
    result = masked(src)
    empty, full = {'mask': 'empty', 'share': 0.0}, {'mask': 'full', 'share': 1.0}
    assert result['suspicious'] == {'train/1/b.png': empty, 'val/2/d.bmp': full}
    assert (
        json.loads((src.parent / 'dst/summary.json').read_text())['suspicious']
        == result['suspicious']
    )
    assert (
        pixels(src.parent / 'dst/train/1/b.png') == pixels(src / 'train/1/b.png')
    ).all()  # never all black
    said = capsys.readouterr().err
    assert '1 photos have an empty mask and keep their background (train/1/b.png)' in said
    assert '1 photos have hardly any background (val/2/d.bmp)' in said
    save(left_half(), src.parent / 'masks/train/1/b.png')
    (src.parent / 'dst/train/1/b.png').unlink()
    assert list(masked(src)['suspicious']) == ['val/2/d.bmp']  # mended


def _rgba(alpha, grey=0):
    return np.dstack([np.full((*alpha.shape, 3), grey, np.uint8), alpha])


MASKS = {
    'grey.png': left_half(),
    'ones.png': left_half(value=1),
    'alpha.png': _rgba(left_half()),
    'opaque.png': np.dstack([np.dstack([left_half()] * 3), np.full(SIZE[::-1], 255, np.uint8)]),
    'rgb.png': np.dstack([left_half()] * 3),
    'bits16.png': left_half().astype(np.uint16) * 257,
    'ones16.png': left_half(value=1).astype(np.uint16),
    'bytes16.png': left_half().astype(np.uint16),
    'bytes32.tif': left_half().astype(np.int32),
    'float32.tif': (left_half() / 255).astype(np.float32),
    'bool.npy': left_half() > 0,
    'float.npy': (left_half() / 255).astype(np.float32),
    'labels.npy': left_half(value=1).astype(np.int64),
    'bytes.npy': left_half(),
}


@pytest.mark.parametrize('name', MASKS)
def test_kinds_of_masks(tmp_path, name):
    np.save(tmp_path / name, MASKS[name]) if name.endswith('.npy') else save(
        MASKS[name], tmp_path / name
    )
    mask = read_mask(tmp_path / name)
    assert mask.mode == 'L' and mask.size == SIZE and (np.asarray(mask) == left_half()).all()


def test_soft_masks_of_more_bits(tmp_path):
    values = np.linspace(0, 65535, 384).reshape(SIZE[::-1])
    save(values.astype(np.uint16), tmp_path / 'a.png')
    assert np.abs(np.asarray(read_mask(tmp_path / 'a.png')) - values / 257).max() <= 1
    save((values / 65535).astype(np.float32), tmp_path / 'a.tif')
    assert np.abs(np.asarray(read_mask(tmp_path / 'a.tif')) - values / 257).max() <= 1
    for largest, kind in ((200, np.uint16), (70_000, np.int32)):
        save((values * largest / 65535).astype(kind), tmp_path / 'a.tif')
        with pytest.raises(
            InputError,
            match=f'a.tif: .*values from 0 to {largest} need more than 8 bits; save',
        ):
            read_mask(tmp_path / 'a.tif')


def test_one_bit_and_jpeg_masks(tmp_path):
    Image.fromarray(left_half()).convert('1').save(tmp_path / 'a.png')
    assert (np.asarray(read_mask(tmp_path / 'a.png')) == left_half()).all()
    save(np.dstack([left_half()] * 3), tmp_path / 'a.jpg', quality=90)
    assert np.abs(np.asarray(read_mask(tmp_path / 'a.jpg')).astype(int) - left_half()).max() < 40


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        (np.ones((4, 4, 2), np.uint8), r'an array of uint8 \(4, 4, 2\)'),
        (np.full((4, 4), 2.0), 'values from 2.0 to 2.0'),
        (np.full((4, 4), np.nan), 'values from nan to nan'),
        (np.full((4, 4), -1), 'values from -1 to -1'),
        (np.array([['a']]), 'an array of <U1'),
        (np.array([[{}]], dtype=object), 'cannot be read'),  # a pickle is not opened
        (np.zeros((0, 4), np.uint8), 'an array of uint8'),
    ],
)
def test_arrays_that_are_no_masks(tmp_path, value, message):
    np.save(tmp_path / 'a.npy', value, allow_pickle=True)
    with pytest.raises(InputError, match=f'a.npy.*{message}'):
        read_mask(tmp_path / 'a.npy')


def test_a_coloured_picture_is_no_mask(tmp_path):
    save(picture(0), tmp_path / 'a.png')
    with pytest.raises(InputError, match='a.png: is a colour image; a mask must be a grey'):
        read_mask(tmp_path / 'a.png')


def test_a_broken_mask(src):
    (src.parent / 'masks/train/1/b.png').write_bytes(b'no picture')
    with pytest.raises(InputError, match='b.png: the mask cannot be read'):
        masked(src)


def test_masks_of_another_size(src):
    save(left_half((48, 32)), src.parent / 'masks/train/1/b.png')
    with pytest.raises(
        InputError, match='has 48 x 32 pixels, but its photo has 24 x 16 .*--resize-masks'
    ):
        masked(src)
    assert masked(src, '--resize-masks', dst=src.parent / 'dst2')['written'] == 4
    assert (pixels(src.parent / 'dst2/train/1/b.png')[:, 13:] == 0).all()
    save(left_half(SIZE[::-1]), src.parent / 'masks/train/1/b.png')
    with pytest.raises(
        InputError,
        match='b.png: the mask of 16 x 24 pixels does not have the shape of its photo, 24 x 16',
    ):
        masked(src, '--resize-masks', dst=src.parent / 'dst3')


def test_masks_below_the_photos_are_none(src):
    (src.parent / 'masks').rename(src / 'masks')
    assert run(src, '--masks', src / 'masks')['written'] == 4
    with pytest.raises(InputError, match='--masks is the same folder as SRC'):
        run(src, '--masks', src)
    with pytest.raises(InputError, match='DST is the same folder as --masks'):
        run(src, '--masks', src / 'masks', dst=src / 'masks')


def test_names_of_masks_as_they_read(src):
    for folder, form, name in (
        (src, 'NFC', NAMES[1]),
        (src.parent / 'masks', 'NFD', 'train/1/b.png'),
    ):
        (folder / name).rename(folder / 'train/1' / unicodedata.normalize(form, 'ö.png'))
    assert masked(src)['written'] == 4


def test_missing_masks(src):
    (src.parent / 'masks/train/1/b.png').unlink()
    with pytest.raises(
        InputError, match=r'1 of 4 photos have no mask in this folder \(train/1/b.png\)'
    ):
        masked(src)
    assert not (src.parent / 'dst').exists()


def test_two_masks_of_a_photo(src):
    save(left_half(), src.parent / 'masks/train/1/b.jpg')
    with pytest.raises(InputError, match=r'train/1/b.png has several masks \(b.jpg, b.png\)'):
        masked(src)
