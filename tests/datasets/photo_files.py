"""Photos of every mode, and photos that are turned by EXIF."""

import struct
import zlib

import numpy as np
from PIL import Image

COLOUR = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)


def saved(tmp_path, image, name):
    image.save(tmp_path / name)
    return tmp_path / name


def turned(path, orientation=6):
    """A photo with an EXIF orientation, 6 = 'rotate by 90 degrees'."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(COLOUR).save(path, exif=exif)
    return path


def png(width, height, *chunks):
    """A PNG that says it is so large, with other chunks, and one row of pixels, or whatever
    ``chunks`` hold.
    """

    def chunk(kind, data):
        return (
            struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        )

    head = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0))
    body = [(b'IDAT', zlib.compress(b'\0' * (width + 1) * min(height, 64)))]
    return (
        b'\x89PNG\r\n\x1a\n'
        + head
        + b''.join(chunk(*part) for part in [*chunks, *body, (b'IEND', b'')])
    )
