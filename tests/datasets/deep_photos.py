"""Photos of more than 8 bits, as TIFF and PNG."""

import struct
import zlib

import numpy as np

from datasets.images import read_image

Y, X = np.mgrid[:12, :20]
SHARES = (np.sin(X / 3) + np.cos(Y / 2) + 2) / 4  # of white
SHARES = (SHARES - SHARES.min()) / (SHARES.max() - SHARES.min())
COLOURS = np.stack([SHARES, SHARES[:, ::-1], SHARES / 2], axis=-1)


def grey(white, dtype, shares=SHARES):
    exact = shares * white
    return (exact if np.dtype(dtype).kind == 'f' else np.rint(exact)).astype(dtype)


def write_tiff(path, values, bits=None, tags=None, big=False, deflate=False, planar=False):
    """A TIFF as a camera writes it, with one strip, or one for each colour (``planar``)."""
    height, width, *colours = values.shape
    bits = bits or 8 * values.itemsize
    kind = {'u': 1, 'i': 2, 'f': 3}[values.dtype.kind]
    values = values.astype(values.dtype.newbyteorder('>' if big else '<'))
    bands = np.moveaxis(values, -1, 0) if planar else [values]
    strips = [zlib.compress(band.tobytes()) if deflate else band.tobytes() for band in bands]
    if bits == 12:  # packed: two values in three bytes
        digits = ''.join(f'{value:012b}' for value in values.ravel())
        strips = [int(digits, 2).to_bytes(len(digits) // 8, 'big')]
    count = colours[0] if colours else 1
    tags = {
        256: width,
        257: height,
        258: (bits,) * count,
        259: 8 if deflate else 1,
        262: 2 if colours else 1,
        273: (0,) * len(strips),
        277: count,
        278: height,
        279: tuple(map(len, strips)),
        284: 2 if planar else 1,
        339: (kind,) * count,
    } | (tags or {})
    order, extra, start = '>' if big else '<', b'', 8 + 2 + 12 * len(tags) + 4
    place = start + sum(
        4 * len(value) for value in tags.values() if isinstance(value, tuple) and len(value) > 1
    )
    tags[273] = tuple(place + sum(map(len, strips[:number])) for number in range(len(strips)))
    lines = b''
    for tag, value in sorted(tags.items()):
        value = value if isinstance(value, tuple) else (value,)
        letter = 'f' if isinstance(value[0], float) else 'I'
        content = struct.pack(f'{order}{len(value)}{letter}', *value)
        if len(content) > 4:
            content, extra = struct.pack(f'{order}I', start + len(extra)), extra + content
        lines += struct.pack(f'{order}HHI', tag, 11 if letter == 'f' else 4, len(value)) + content
    head = (b'MM\0*' if big else b'II*\0') + struct.pack(f'{order}IH', 8, len(tags))
    path.write_bytes(head + lines + bytes(4) + extra + b''.join(strips))
    return path


def write_png(path, values, *chunks):
    """A PNG of 16 bits: (height, width[, 2 to 4])."""

    def chunk(kind, data):
        return (
            struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        )

    height, width, *bands = values.shape
    kind = {1: 0, 3: 2, 2: 4, 4: 6}[bands[0] if bands else 1]
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in values)
    path.write_bytes(
        b'\x89PNG\r\n\x1a\n'
        + b''.join(
            chunk(*part)
            for part in [
                (b'IHDR', struct.pack('>IIBBBBB', width, height, 16, kind, 0, 0, 0)),
                *chunks,
                (b'IDAT', zlib.compress(rows)),
                (b'IEND', b''),
            ]
        )
    )
    return path


def levels(path):
    return np.asarray(read_image(path))


def of_grey(expected):
    return np.repeat(expected[..., None], 3, axis=-1)


TWELVE = grey(4095, np.uint16)
