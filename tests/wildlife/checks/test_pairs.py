"""Pairs of nearly equal photos, threads, official sets."""

import os
import time

import numpy as np
import pytest

from tests.official_sets import SETS, msmt17
from tests.wildlife.checks.herd import ROOT, only, picture
from tools.check_data import main
from utils.errors import InputError
from wildlife.checks.photos import Photo, near_pairs, read_photo, read_photos
from wildlife.checks.rules import CHECKS
from wildlife.groups import clusters


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


def test_clusters():
    assert clusters([(5, 1), (2, 3), (1, 7), (9, 3)]) == [[1, 5, 7], [2, 3, 9]]
    assert clusters([(0, 1), (1, 2), (0, 2)]) == [[0, 1, 2]] and clusters([]) == []


def test_more_pairs_than_are_shown_are_counted(herd, monkeypatch):
    monkeypatch.setattr('wildlife.checks.rules.leaks.MAX_PAIRS', 4)
    herd.loader['SAMPLER'] = 'softmax'
    for number in range(5):
        herd.add(
            'train',
            f'train/animal0/copy{number}.png',
            0,
            herd.photo('train/animal0/0.jpg').resize((100 + number, 100)),
        )
    found, _ = herd.check()
    assert only(found, 'alike')['count'] == 15 and len(found['alike']['items']) == 1


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


def test_every_check_of_the_table_has_a_level_a_title_and_words():
    assert {level for level, *_ in CHECKS.values()} == {'wrong', 'warning', 'note'}
    assert len({title for _, title, _ in CHECKS.values()}) == len(CHECKS)


def check_set(folder, name, *options):
    report = main(
        [
            '--config_file',
            str(ROOT / 'configs/person/cnn_clipreid.yml'),
            '--out',
            str(folder / 'out'),
            *options,
            'DATASETS.NAMES',
            name,
            'DATASETS.ROOT_DIR',
            str(folder),
            'DATALOADER.NUM_INSTANCE',
            '2',
            'SOLVER.STAGE2.IMS_PER_BATCH',
            '4',
        ]
    )
    return {finding['check']: finding for finding in report['findings']}, report


@pytest.mark.parametrize(
    ('name', 'protocol', 'photos'),
    [
        ('market1501', 'market', 19),
        ('dukemtmc', 'market', 18),
        ('occ_duke', 'market', 18),
        ('msmt17', 'market', 13),
        ('veri', 'market', 14),
        ('VehicleID', 'vehicleid', 16),
    ],
)
def test_official_sets(tmp_path, name, protocol, photos):
    """Their labels and folders mean other individuals in the test, so those are not compared."""
    SETS[name](tmp_path)
    found, report = check_set(tmp_path, name)
    assert (
        list(report['splits']) == ['train', 'query', 'gallery'] and report['protocol'] == protocol
    )
    assert len(report['photos']) == photos
    assert not {'refused', 'missing', 'unreadable', 'two_labels', 'known'} & found.keys()
    assert 'published' in found['warned']['text']


def test_folders_of_an_official_set_are_not_compared(tmp_path):
    """MSMT17's test/0000 is another person than train/0000."""
    for number, path in enumerate((msmt17(tmp_path) / 'test').rglob('*.jpg')):
        picture(number).save(path)
    found, report = check_set(tmp_path, 'msmt17')
    assert not {'known', 'closed', 'leak'} & found.keys() and report['fit']


def test_an_official_set_with_a_missing_photo(tmp_path):
    (msmt17(tmp_path) / 'train/0000/0000_001_01_0303morning_0008_0.jpg').unlink()
    found, report = check_set(tmp_path, 'msmt17')
    assert (
        '1 of 8 photos are missing' in found['refused']['text']
        and found['refused']['count'] == 1
        and not report['fit']
    )
    assert report['splits']['train']['photos'] == 7
    assert 'going on' not in found['warned']['text']


def test_an_official_set_without_a_part(tmp_path):
    folder = msmt17(tmp_path)
    (folder / 'list_query.txt').unlink()
    with pytest.raises(InputError, match='list_query.txt'):
        check_set(tmp_path, 'msmt17')
