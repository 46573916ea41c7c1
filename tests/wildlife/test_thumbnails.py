"""Thumbnails."""

import base64
import io

from PIL import Image

from wildlife.thumbnails import thumbnail


def test_the_page_shows_photos_upright(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6
    Image.new('RGB', (40, 20)).save(tmp_path / 'a.jpg', exif=exif)
    for upright, size in ((False, (40, 20)), (True, (20, 40))):
        content = base64.b64decode(
            thumbnail(str(tmp_path / 'a.jpg'), 40, upright).partition(',')[2]
        )
        assert Image.open(io.BytesIO(content)).size == size
