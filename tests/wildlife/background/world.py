"""Photos, masks and a run of the command, for the tests beside."""

import numpy as np
from PIL import Image

from tools import remove_background

SIZE = (24, 16)  # width, height

NAMES = ['train/1/a.jpg', 'train/1/b.png', 'train/2/c.JPEG', 'val/2/d.bmp']


def picture(number, size=SIZE):
    pixels = np.full((size[1], size[0], 3), 60 + 20 * number, np.uint8)
    pixels[:, : size[0] // 2, 0] = 200
    return Image.fromarray(pixels)


def left_half(size=SIZE, value=255):
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[:, : size[0] // 2] = value
    return mask


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options) if isinstance(image, np.ndarray) else image.save(
        path, **options
    )


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert('RGB')).astype(int)


def run(src, *options, dst=None):
    dst = dst or src.parent / 'dst'
    return remove_background.main([str(src), str(dst), *map(str, options)])


def masked(src, *options, **more):
    return run(src, '--masks', src.parent / 'masks', *options, **more)


def names_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()}
