"""Photos."""

import io

import numpy as np
from PIL import Image

from tests.faults.made_up.basics import (
    mutated,
)


def photos():
    """Mutated photos of all formats."""

    def photo(kind, mode='RGB', **options):
        noise = np.random.default_rng(0).integers(0, 256, (16, 24), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(noise).convert(mode).save(file, kind, **options)
        return file.getvalue()

    def wide(kind, dtype, **options):
        file = io.BytesIO()
        Image.fromarray(np.arange(0, 65535, 200)[:320].reshape(16, 20).astype(dtype)).save(
            file, kind, **options
        )
        return file.getvalue()

    return mutated(
        [
            photo('JPEG'),
            photo('JPEG', progressive=True, comment=b'x' * 40),
            photo('PNG'),
            photo('PNG', 'P'),
            photo('PNG', 'I;16'),
            wide('PNG', '<u2'),
            wide('TIFF', '<u2', tiffinfo={340: 0, 341: 65535}),
            wide('TIFF', 'f4'),
            wide('TIFF', 'i4'),
            wide('TIFF', '<u2', compression='tiff_lzw'),
            photo('GIF', 'L'),
            photo('TIFF'),
            photo('TIFF', compression='tiff_lzw'),
            photo('WEBP'),
            photo('BMP'),
            photo('PPM'),
            photo('TGA'),
            photo('EPS'),
        ],
        most=3,
    )
