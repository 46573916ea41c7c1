"""Small pictures embedded in HTML pages, so that each page is a single file."""

import base64
import io
import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from PIL import Image

from datasets.images import THREADS, read_image
from utils.errors import InputError
from utils.logger import progress


def thumbnail(path: str | os.PathLike[str], side: int, upright: bool = False) -> str:
    """Return a photo as a data URI, or '' if it is missing or cannot be decoded.

    Args:
        path: The path of the photo.
        side: The largest width and height in pixels.
        upright: Whether to apply the EXIF orientation.
    """
    try:
        image = read_image(os.fspath(path), upright, side) if os.path.isfile(path) else None
    except InputError:
        image = None
    return data_uri(image, side) if image else ''


def data_uri(image: Image.Image, side: int) -> str:
    """Return an RGB image as a data URI, reduced to ``side`` pixels in width and height."""
    image.thumbnail((side, side), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=75)
    return 'data:image/jpeg;base64,' + base64.b64encode(file.getvalue()).decode()


def upright_thumbnails(paths: Collection[str], side: int) -> dict[str, str]:
    """Return path -> :func:`thumbnail` of many photos, upright; this shows a progress bar."""
    small = partial(thumbnail, side=side, upright=True)
    with ThreadPoolExecutor(THREADS) as pool:  # Pillow releases the GIL
        made = progress(pool.map(small, paths), 'thumbnails', total=len(paths))
        return dict(zip(paths, made, strict=True))
