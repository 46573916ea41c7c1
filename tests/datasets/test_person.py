"""Market-1501, DukeMTMC-reID and MSMT17 in their official layouts."""

import logging

import pytest

from datasets import sources
from tests import official_sets
from tests.datasets.official_records import cfg_of, rows, short
from utils.errors import InputError


def test_market1501(tmp_path):
    folder = official_sets.market1501(tmp_path)
    photos = sources.load_train(cfg_of(tmp_path, 'market1501'))
    part = 'bounding_box_train'
    assert rows(photos.train, folder) == [
        (f'{part}/0002_c1s1_000151_01.jpg', 0, 0, 0),
        (f'{part}/0002_c1s1_000426_01.jpg', 0, 0, 0),
        (f'{part}/0002_c3s1_000151_01.jpg', 0, 2, 0),
        (f'{part}/0002_c3s1_000426_01.jpg', 0, 2, 0),
        (f'{part}/0007_c1s1_000151_01.jpg', 1, 0, 0),
        (f'{part}/0007_c1s1_000426_01.jpg', 1, 0, 0),
        (f'{part}/0007_c3s1_000151_01.jpg', 1, 2, 0),
        (f'{part}/0007_c3s1_000426_01.jpg', 1, 2, 0),
        (f'{part}/0011_c1s1_000151_01.jpg', 2, 0, 0),
        (f'{part}/0011_c1s1_000426_01.jpg', 2, 0, 0),
        (f'{part}/0011_c3s1_000151_01.jpg', 2, 2, 0),
        (f'{part}/0011_c3s1_000426_01.jpg', 2, 2, 0),
    ]
    assert (photos.num_classes, photos.root, photos.validation.protocol.name) == (
        3,
        str(folder),
        'market',
    )
    query = [
        ('query/0001_c1s1_001051_00.jpg', 1, 0, 0),
        ('query/1501_c6s3_008977_00.jpg', 1501, 5, 0),
    ]
    part = 'bounding_box_test'
    gallery = [
        (f'{part}/0000_c2s1_000151_01.jpg', 0, 1, 0),
        (f'{part}/0001_c1s1_001051_03.jpg', 1, 0, 0),
        (f'{part}/0001_c2s1_001976_01.jpg', 1, 1, 0),
        (f'{part}/1501_c2s3_000001_02.jpg', 1501, 1, 0),
        (f'{part}/1501_c6s3_008977_01.jpg', 1501, 5, 0),
    ]
    test = sources.load_test(cfg_of(tmp_path, 'market1501'))
    assert rows(photos.query, folder) == rows(test.query, folder) == query
    assert rows(photos.gallery, folder) == rows(test.gallery, folder) == gallery
    assert (test.protocol.name, test.root, len(test.trials)) == ('market', str(folder), 1)


@pytest.mark.parametrize(('name', 'view'), [('dukemtmc', 0), ('occ_duke', 1)])
def test_duke(tmp_path, name, view):
    folder = official_sets.SETS[name](tmp_path)
    photos = sources.load_train(cfg_of(tmp_path, name))
    assert short(photos.train) == [
        (label, camera) for label in (0, 1, 2) for camera in (1, 1, 7, 7)
    ]
    assert rows(photos.query, folder) == [
        ('query/0003_c2_f0046182.jpg', 3, 1, view),
        ('query/0020_c5_f0051341.jpg', 20, 4, view),
    ]
    assert short(photos.gallery) == [(3, 1), (3, 6), (20, 5), (999, 0)]
    assert {record.viewid for record in photos.train + photos.gallery} == {view}


@pytest.mark.parametrize('version', ['msmt17', 'msmt17_v2'])
def test_msmt17(tmp_path, version, caplog):
    caplog.set_level(logging.INFO, 'transreid')
    folder = getattr(official_sets, version)(tmp_path)
    photos = sources.load_train(cfg_of(tmp_path, 'msmt17'))
    assert short(photos.train) == [
        (0, 0),
        (0, 14),
        (1, 0),
        (1, 14),
        (2, 0),
        (0, 0),
        (1, 0),
        (2, 14),
    ]  # both lists
    assert (photos.num_classes, short(photos.query), short(photos.gallery)) == (
        3,
        [(0, 0), (1, 14)],
        [(0, 14), (0, 0), (1, 0)],
    )
    part = 'test' if version == 'msmt17' else 'mask_test_v2'
    assert rows(photos.query[:1], folder) == [
        (f'{part}/0000/0000_001_01_0303morning_0008_0.jpg', 0, 0, 0)
    ]
    assert f'msmt17: photos of {folder}' in caplog.text


def test_msmt17_of_both_versions_is_the_first(tmp_path):
    official_sets.msmt17_v2(tmp_path)
    folder = official_sets.msmt17(tmp_path)
    assert sources.load_test(cfg_of(tmp_path, 'msmt17')).root == str(folder)


def test_an_empty_msmt17_is_none(tmp_path):
    folder = official_sets.msmt17_v2(tmp_path)
    (tmp_path / 'MSMT17').mkdir()
    assert sources.load_test(cfg_of(tmp_path, 'msmt17')).root == str(folder)
    (tmp_path / 'MSMT17/test').mkdir()  # begun, so it is meant
    with pytest.raises(InputError, match='there is no MSMT17/list_query.txt'):
        sources.load_test(cfg_of(tmp_path, 'msmt17'))
