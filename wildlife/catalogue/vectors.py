"""Files of features: .npy of float32 to which rows are appended, and which can be memory-mapped.

The database says how many rows a file has. Further rows come from a killed program, and the next
one overwrites them. Rows that the database counts never change.
"""

import os
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from utils.errors import InputError
from utils.files import writing

TYPE = np.dtype('<f4')


def append_rows(path: Path, vectors: np.ndarray, rows: int) -> None:
    """Write vectors behind the rows of a file, and only then count them in its header.

    Args:
        path: The file; it is made for the first rows.
        vectors: (N, D).
        rows: The number of rows that the file has, by the database.

    Raises:
        InputError: The file is missing, shorter than ``rows``, of another length D, or cannot be
            written.
    """
    length = vectors.shape[1]
    if rows:
        start = _data_start(path, length, rows)
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        with open(path, 'r+b' if rows else 'wb') as file:
            if not rows:
                _write_header(file, (0, length))
                start = file.tell()
            file.seek(start + rows * length * TYPE.itemsize)
            file.write(np.ascontiguousarray(vectors, TYPE).data)
            file.truncate()
            _sync(file)
            file.seek(0)
            _write_header(file, (rows + len(vectors), length))  # of the same size as the first
            _sync(file)


def map_rows(path: Path, length: int, rows: int) -> np.ndarray:
    """Return the rows of a file as a memory map (rows, length); writing to it changes no file.

    Raises:
        InputError: The file is missing or damaged.
    """
    if not rows:
        return np.zeros((0, length), TYPE)
    start = _data_start(path, length, rows)
    return np.memmap(path, TYPE, 'c', start, (rows, length))


def checksums(vectors: np.ndarray) -> list[int]:
    """Return the CRC-32 of the bytes of each row."""
    return [zlib.crc32(row.tobytes()) for row in np.ascontiguousarray(vectors, TYPE)]


def extra_rows(path: Path, length: int, rows: int) -> int:
    """Return how many rows a killed program has left behind those of the database."""
    if not path.is_file():
        return 0
    start = _data_start(path, length, rows)
    return (path.stat().st_size - start) // (length * TYPE.itemsize) - rows


def _data_start(path: Path, length: int, rows: int) -> int:
    """Check the header and the size of a file; return where its rows begin, in bytes."""
    try:
        with open(path, 'rb') as file:
            npy.read_magic(file)
            shape, fortran, dtype = npy.read_array_header_1_0(file)
            start = file.tell()
            size = os.fstat(file.fileno()).st_size
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, str(error)) from error
    if fortran or dtype != TYPE or len(shape) != 2 or shape[1] != length:
        raise _damaged(path, f'rows of {length} float32 are expected, not {dtype} {shape}')
    if size < start + rows * length * TYPE.itemsize:
        raise _damaged(path, f'it has {size} bytes, too few for {rows} rows')
    return start


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(
        f'{path}: these features are missing or damaged ({" ".join(reason.split())[:120]}); '
        'restore a backup, or recompute them: python -m tools.catalogue encode --again'
    )


def _write_header(file: IO[bytes], shape: tuple[int, int]) -> None:
    """Write a header of the same size for any number of rows (NumPy leaves space for them)."""
    description = {'descr': npy.dtype_to_descr(TYPE), 'fortran_order': False, 'shape': shape}
    npy.write_array_header_1_0(file, description)


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
