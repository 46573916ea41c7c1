"""Animal lists by species, own test lists, ground truth, and wrong input."""

import json
from operator import attrgetter
from pathlib import Path

import pytest
import torch

from datasets import make_dataloader_clipreid as doors
from datasets.animal import load_test
from datasets.records import Record
from tests.datasets.animal_lists import GALLERY, QUERY, TRAIN, VAL, rows_of, write_list
from utils.errors import InputError

TRUTH = [
    {'imgid': index, 'entityid': pid, 'query': 'sing', 'frame': [0, 0, index]}
    for index, (_, pid) in enumerate(QUERY)
]


def by_species(cfg, species, lists):
    """The same config with lists by species; ``lists``: rows of the published file names."""
    data = cfg.DATASETS
    data.SPECIES, data.TRAIN_LIST, data.VAL_LIST, data.QUERY_LIST, data.GALLERY_LIST = (
        species,
        '',
        '',
        '',
        '',
    )
    for name, rows in lists.items():
        write_list(Path(data.LIST_DIR) / name, rows)
    return cfg


@pytest.mark.parametrize(
    ('species', 'train', 'val'),
    [
        ('tiger', 'mytrain.txt', 'myval.txt'),
        ('yak', 'yak_mytrain_aligned.txt', 'yak_myval_aligned.txt'),
        ('h_yak', 'yak_mytrain_aligned.txt', 'yak_myval_aligned.txt'),
        ('elephant', 'ele_train.txt', 'ele_val.txt'),
        ('s_yak', 'yak_mytrain_aligned.txt', 'yak_myval_aligned.txt'),
        ('all', 'all_train_aligned.txt', 'all_val_aligned.txt'),
    ],
)
def test_training_lists_by_species(cfg, species, train, val):
    loaders = doors.make_dataloader(by_species(cfg, species, {train: TRAIN, val: VAL}))
    assert (loaders.num_query, loaders.num_classes) == (2, 4)


@pytest.mark.parametrize(
    ('species', 'query', 'gallery'),
    [
        ('yak', 'yak_probe_hard.txt', 'yak_gallery_hard.txt'),
        ('h_yak', 'yak_probe_hard.txt', 'yak_gallery_hard.txt'),
        ('s_yak', 'yak_probe_simple.txt', 'yak_gallery_simple.txt'),
        ('elephant', 'ele_new_test_probe.txt', 'ele_new_test_gallery.txt'),
    ],
)
def test_test_lists_by_species(cfg, species, query, gallery):
    test = doors.make_test_dataloader(by_species(cfg, species, {query: QUERY, gallery: GALLERY}))
    assert test.protocol.name == species
    assert [record.pid for record in test.query] == [5, 5, 9]
    assert [record.pid for record in test.gallery] == [9, 5]
    assert torch.cat([batch[1] for batch in test.loader]).tolist() == [
        5,
        5,
        9,
        5,
    ]  # 000002.jpg is in both
    assert rows_of(test) == ([0, 1, 2], [2, 3])
    assert test.loader.dataset.cache is None
    assert next(iter(test.loader))[0].shape == (4, 3, 12, 6)


@pytest.mark.parametrize(
    ('species', 'name'), [('tiger', 'mytest.txt'), ('debug', 'debug_ele_train.txt')]
)
def test_query_and_gallery_are_the_same_photos(cfg, species, name):
    (Path(cfg.DATASETS.LIST_DIR) / 'gt_test_plain.json').write_text(json.dumps(TRUTH))
    test = doors.make_test_dataloader(by_species(cfg, species, {name: QUERY}))
    assert test.query == test.gallery == test.loader.dataset.records
    assert rows_of(test) == ([0, 1, 2], [0, 1, 2])
    assert [record.group for record in test.query] == ['sing' if species == 'tiger' else ''] * 3


def test_photos_are_the_same_where_a_model_gets_the_same():
    """Path, camera and view; the individual is what a list says."""
    a, b = Record('a', 0), Record('b', 1)
    other_side, other_camera, renamed = (
        Record('a', 0, viewid=1),
        Record('a', 0, camid=1),
        Record('a', 7),
    )
    query, gallery = [a, b, a, other_side], [b, other_camera, renamed, Record('c', 2)]
    looks_at = attrgetter('path', 'camid', 'viewid')
    records, rows = doors.each_once([*query, *gallery], looks_at)
    assert records == [a, b, other_side, other_camera, gallery[3]]
    assert (rows(query).tolist(), rows(gallery).tolist()) == ([0, 1, 0, 2], [1, 3, 0, 4])
    assert rows(query).dtype == torch.int64


@pytest.mark.parametrize(
    ('looks_at_camera', 'looks_at_side', 'rows'),
    [(False, False, [2, 2]), (False, True, [3, 2]), (True, False, [2, 3]), (True, True, [3, 4])],
)
def test_a_photo_is_encoded_again_only_for_a_model_that_sees_the_difference(
    cfg, looks_at_camera, looks_at_side, rows
):
    """000002.jpg of the query list is in the gallery with another side, and with another camera."""
    write_list(
        Path(cfg.DATASETS.LIST_DIR) / 'gallery.txt', [('000002.jpg', 9, 1), ('000002.jpg', 9, 0, 3)]
    )
    cfg.MODEL.SIE_CAMERA, cfg.MODEL.SIE_VIEW = looks_at_camera, looks_at_side
    test = doors.make_test_dataloader(cfg)
    assert rows_of(test) == ([0, 1, 2], rows)
    assert len(test.loader.dataset) == max(rows) + 1


def test_own_test_lists(cfg, tmp_path, monkeypatch):
    assert load_test(cfg).protocol.name == 'query_in_gallery'  # 000002.jpg is in both
    cfg.DATASETS.GALLERY_LIST = ''  # then the query list is the gallery too
    photos = load_test(cfg)
    assert photos.query is photos.gallery
    cfg.DATASETS.QUERY_LIST = str(tmp_path / 'lists/gallery.txt')
    assert len(load_test(cfg).query) == 2
    monkeypatch.chdir(tmp_path)
    write_list(tmp_path / 'query.txt', QUERY[:1])
    cfg.DATASETS.QUERY_LIST, cfg.DATASETS.LIST_DIR = (
        'query.txt',
        'elsewhere',
    )  # in LIST_DIR first, then here
    assert len(load_test(cfg).query) == 1


def test_ground_truth_elsewhere(cfg, tmp_path):
    cfg.DATASETS.PROTOCOL, cfg.DATASETS.GALLERY_LIST = 'tiger', ''
    cfg.DATASETS.GROUND_TRUTH = str(tmp_path / 'truth.json')
    (tmp_path / 'truth.json').write_text(json.dumps(TRUTH))
    photos = load_test(cfg)
    assert photos.protocol.name == 'tiger'
    assert [record.frame for record in photos.query] == [(0, 0, 0), (0, 0, 1), (0, 0, 2)]


@pytest.mark.parametrize(
    ('keys', 'complaint'),
    [
        (
            {'TRAIN_LIST': ''},
            "SPECIES 'nyala' has no train list; choose one of tiger, .* or set DATASETS.TRAIN_LIST",
        ),
        ({'TRAIN_LIST': '', 'SPECIES': 'debug'}, "SPECIES 'debug' has no train list"),
        ({'TRAIN_LIST': 'gone.txt'}, 'lists/gone.txt: no such list'),
        ({'ROOT_DIR': 'nowhere'}, "DATASETS.ROOT_DIR/DATA_DIR: there is no folder 'nowhere/seg'"),
        ({'DATA_DIR': ''}, 'train.txt: 7 of 7 photos are missing .*SKIP_MISSING True'),
        ({'TRAIN_LIST': 'val.txt'}, r'val.txt: training labels must be 0 … n-1'),
        ({'SPECIES': 'tiger', 'TRAIN_LIST': '', 'VAL_LIST': ''}, 'lists/mytrain.txt: no such list'),
    ],
)
def test_bad_training_input(cfg, keys, complaint):
    vars(cfg.DATASETS).update(keys)
    with pytest.raises(InputError, match=complaint):
        doors.make_dataloader(cfg)


@pytest.mark.parametrize(
    ('keys', 'complaint'),
    [
        (
            {'QUERY_LIST': '', 'GALLERY_LIST': ''},
            "SPECIES 'nyala' has no query list; choose one of tiger, yak",
        ),
        (
            {'QUERY_LIST': '', 'GALLERY_LIST': '', 'SPECIES': 'all'},
            "SPECIES 'all' has no query list",
        ),
        ({'QUERY_LIST': ''}, 'no query list; .* or set DATASETS.QUERY_LIST'),
        ({'PROTOCOL': 'vehicleid'}, "PROTOCOL 'vehicleid' does not suit animals; choose one of"),
        ({'TEST_ROOT_DIR': 'nowhere'}, "DATASETS.TEST_ROOT_DIR: there is no folder 'nowhere'"),
        ({'PROTOCOL': 'tiger'}, 'gt_test_plain.json: no such file'),
        ({'QUERY_LIST': 'train.txt'}, 'train.txt: 7 of 7 photos are missing'),
    ],
)
def test_bad_test_input(cfg, keys, complaint):
    vars(cfg.DATASETS).update(keys)
    with pytest.raises(InputError, match=complaint):
        doors.make_test_dataloader(cfg)


def test_skip_missing_keeps_the_classes(cfg, tmp_path, caplog):
    (tmp_path / 'photos/seg' / TRAIN[-1][0]).unlink()  # the only photo of individual 3
    cfg.DATASETS.SKIP_MISSING = True
    loaders = doors.make_dataloader(cfg)
    assert loaders.num_classes == 4
    assert len(loaders.train_loader_stage1.dataset) == 6
    assert '1 of 7 photos are missing' in caplog.text


def test_lists_are_checked_before_photos(cfg):
    cfg.DATASETS.ROOT_DIR = 'nowhere'
    (Path(cfg.DATASETS.LIST_DIR) / 'val.txt').write_text('val/0/7.jpg x\n')
    with pytest.raises(InputError, match="val.txt:1: label 'x'"):
        doors.make_dataloader(cfg)
