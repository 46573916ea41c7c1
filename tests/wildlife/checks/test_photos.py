"""Photos as tools/check_data.py reads them, and pairs that are nearly the same."""

import os
import time

import numpy as np
import pytest

from tests.wildlife.checks.herd import picture
from wildlife.checks.photos import Photo, near_pairs, read_photo, read_photos


def photos_of(bits):
    """Photos with these hashes: (N, 256) bool."""
    return [
        Photo(str(number), 1, 1, phash=np.packbits(row).tobytes().hex())
        for number, row in enumerate(bits)
    ]


@pytest.mark.parametrize(
    ('count', 'limit', 'block'),
    [(60, 24, 2**20), (60, 24, 100), (60, 0, 60), (7, 64, 1), (1, 24, 1), (0, 24, 1)],
)
def test_near_pairs_are_those_of_a_double_loop(monkeypatch, count, limit, block):
    monkeypatch.setattr('wildlife.checks.photos.BLOCK', block)
    rng = np.random.default_rng(count + limit)
    bits = rng.random((count, 256)) < 0.5
    for row in range(1, count, 2):  # near its neighbour, more or less
        bits[row] = bits[row - 1] ^ (rng.random(256) < rng.random() * 0.3)
    if count > 2:
        bits[2] = ~bits[0]  # as far as can be: 256, which eight bits cannot count
    expected = {
        (i, j): int((bits[i] != bits[j]).sum())
        for i in range(count)
        for j in range(i + 1, count)
        if (bits[i] != bits[j]).sum() <= limit
    }
    found = [
        pair
        for part in near_pairs(photos_of(bits), limit)
        for pair in np.stack(part, axis=1).tolist()
    ]
    assert (
        len(found) == len(expected) and {(i, j): distance for i, j, distance in found} == expected
    )
    assert count < 60 or limit == 0 or len(expected) > 5


def test_photos_are_read_once_and_by_several_threads(tmp_path, monkeypatch):
    for number in range(6):
        picture(number).save(tmp_path / f'{number}.png')
    listed = [str(tmp_path / f'{number}.png') for number in range(6)]
    read = []
    monkeypatch.setattr(
        'wildlife.checks.photos.read_photo', lambda path: read.append(path) or read_photo(path)
    )
    one, two = read_photos(listed * 2, 1), read_photos(listed, 3)
    assert one == two and sorted(read) == sorted(listed * 2)
    assert (
        one[listed[0]].width == 144
        and one[listed[0]].height == 120
        and one[listed[0]].mode == 'RGB'
    )


def test_an_error_does_not_wait_for_the_rest(monkeypatch):
    """So does Ctrl-C: what no thread has begun with is given up."""
    begun = []

    def read(path):
        begun.append(path)
        time.sleep(0.01)
        raise RuntimeError

    monkeypatch.setattr('wildlife.checks.photos.read_photo', read)
    with pytest.raises(RuntimeError):
        read_photos(map(str, range(300)), 1)
    assert 1 <= len(begun) < 300


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'pipe.jpg')
    assert 'pipe' in read_photo(str(tmp_path / 'pipe.jpg')).error
