"""HEIC photos, with and without their library."""

import base64
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from datasets import images
from datasets.images import find_turned, read_image
from utils.errors import InputError

HEIC = b'\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf'


def test_heic_without_its_library(tmp_path, monkeypatch):
    monkeypatch.setattr(images, 'photo_formats', lambda: ('JPEG', 'PNG'))
    (tmp_path / 'a.heic').write_bytes(HEIC)
    with pytest.raises(
        InputError, match='a.heic: a HEIC photo; convert it to JPEG, or install pillow-heif'
    ):
        read_image(tmp_path / 'a.heic')
    (tmp_path / 'a.mp4').write_bytes(HEIC.replace(b'heic', b'isom'))
    with pytest.raises(InputError, match='not a picture in a supported format'):
        read_image(tmp_path / 'a.mp4')


HALVES = base64.b64decode(
    'AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAA'
    'AAAAAAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABoAABAAAAAAAAAFgAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAA'
    'AAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34'
    '+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm'
    '4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAA'
    'AChjbGFwAAAAHgAAAAEAAAAUAAAAAf///94AAAAC////1AAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAA'
    'AAAAAQABBYECAwWEAAAAYG1kYXQAAABUKAGvBPIbUcaAQlMov6b///Jbdl1wsS6RE9/1m+20rBfitjqoneJ+5xKo'
    'LnSvNNQlBVrSJL/jgGvwyuDpdqegWcluXdS0IkBnlL6fw6kgZv2abByc'
)  # 30 x 20 pixels, two colours


def test_heic(tmp_path):
    """As its own decoder gives it; its rotation is no EXIF rotation and always applied."""
    if 'HEIF' not in images.photo_formats():
        pytest.skip('pillow-heif is not installed')
    path = tmp_path / 'a.heic'
    path.write_bytes(HALVES)
    expected = np.zeros((20, 30, 3), int)
    expected[:10], expected[10:] = (200, 60, 30), (20, 90, 180)
    assert np.abs(np.asarray(read_image(path)) - expected).max() <= 4
    assert read_image(path, upright=True).size == (30, 20) and not find_turned([path])
    path.write_bytes(HALVES[:300])
    with pytest.raises(InputError) as caught:
        read_image(path)
    assert 'install' not in str(caught.value)


@pytest.mark.parametrize('installed', [True, False])
def test_pillow_heif_reads_heic(monkeypatch, installed):
    used = []
    library = SimpleNamespace(register_heif_opener=lambda: used.append('pillow_heif'))
    monkeypatch.setitem(sys.modules, 'pillow_heif', library if installed else None)
    images.photo_formats.__wrapped__()
    assert used == ['pillow_heif'] * installed
