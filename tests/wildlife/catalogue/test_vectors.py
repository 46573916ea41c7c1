"""wildlife/catalogue/vectors.py."""

import zlib

import numpy as np
import pytest

from utils.errors import InputError
from wildlife.catalogue.vectors import append_rows, checksums, extra_rows, map_rows


def some(count, length=5, seed=0):
    return np.random.default_rng(seed).normal(size=(count, length)).astype(np.float32)


@pytest.mark.parametrize('length', [1, 5, 1280])
def test_rows_are_appended(tmp_path, length):
    path, parts = tmp_path / 'features' / 'x.npy', [some(n, length, n) for n in (3, 1, 1200)]
    done = 0
    for part in parts:
        append_rows(path, part, done)
        done += len(part)
        assert len(np.load(path)) == done  # the header counts them
    assert (np.load(path, mmap_mode='r') == np.concatenate(parts)).all()
    assert (map_rows(path, length, 4) == np.concatenate(parts)[:4]).all()
    assert map_rows(path, length, 0).shape == (0, length)


def test_rows_of_a_killed_program_are_overwritten(tmp_path):
    path = tmp_path / 'x.npy'
    append_rows(path, some(3), 0)
    mapped = map_rows(path, 5, 3)
    append_rows(path, some(7, seed=1), 3)  # the database never got to know
    assert extra_rows(path, 5, 3) == 7
    append_rows(path, some(2, seed=2), 3)
    assert extra_rows(path, 5, 5) == 0
    assert (np.load(path) == np.concatenate([some(3), some(2, seed=2)])).all()
    assert (mapped == some(3)).all()


def test_half_a_header_of_a_killed_program(tmp_path):
    path = tmp_path / 'x.npy'
    path.write_bytes(b'\x93NUM')
    append_rows(path, some(2), 0)
    assert (np.load(path) == some(2)).all()


def test_damaged_files(tmp_path):
    path = tmp_path / 'x.npy'
    with pytest.raises(InputError, match='x.npy: these features are missing or damaged'):
        append_rows(path, some(2), 3)
    append_rows(path, some(3), 0)
    with pytest.raises(InputError, match=r'rows of 6 float32 are expected, not float32 \(3, 5\)'):
        append_rows(path, some(1, 6), 3)
    with pytest.raises(InputError, match='too few for 4 rows'):
        map_rows(path, 5, 4)
    path.write_bytes(b'\x93NUMPY\x01\x00\x01')
    with pytest.raises(InputError, match='missing or damaged'):
        map_rows(path, 5, 3)
    assert (tmp_path / 'x.npy').read_bytes() == b'\x93NUMPY\x01\x00\x01'


def test_checksums():
    rows = some(3)
    assert checksums(rows) == [zlib.crc32(row.tobytes()) for row in rows]
    rows[1, 2] += 1e-6
    assert [a == b for a, b in zip(checksums(rows), checksums(some(3)))] == [True, False, True]
