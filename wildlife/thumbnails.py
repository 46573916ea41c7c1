"""Small pictures inside HTML pages, so that a page is one file."""

import base64
import io
import os

from PIL import Image

from datasets.images import read_image
from utils.errors import InputError


def thumbnail(path: str | os.PathLike[str], side: int, upright: bool = False) -> str:
    """Return a photo as a data URI, '' where it is missing or cannot be decoded.

    Args:
        path: of the photo.
        side: pixels that it is at most wide and high.
        upright: whether it is turned as its EXIF says.
    """
    try:
        image = read_image(os.fspath(path), upright) if os.path.isfile(path) else None
    except InputError:
        image = None
    if image is None:
        return ''
    image.thumbnail((side, side), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=75)
    return 'data:image/jpeg;base64,' + base64.b64encode(file.getvalue()).decode()
