"""Person and vehicle sets in their official layouts: what readers make of them, each bad case, and
every yml for an epoch.
"""

import json
import logging
import os
import shutil
from pathlib import Path

import pytest
import torch

import test_clipreid
import test_rerank_clipreid
import train_clipreid
from configs import flatten, load_cfg
from datasets import sources
from datasets.make_dataloader_clipreid import make_dataloader, make_test_dataloader
from model.make_model_clipreid import make_test_model
from processor import inference
from tests import official_sets
from tests.helpers import GOLDEN, ROOT
from utils.device import make_runtime
from utils.errors import InputError


def cfg_of(root, name, *opts):
    return load_cfg(
        '',
        [
            'DATASETS.NAMES',
            name,
            'DATASETS.ROOT_DIR',
            str(root),
            'DATASETS.LIST_DIR',
            str(root / 'lists'),
            *map(str, opts),
        ],
    )


def rows(records, root):
    """(path below root, pid, camid, viewid)"""
    return [
        (os.path.relpath(record.path, root), record.pid, record.camid, record.viewid)
        for record in records
    ]


def short(records):
    """(pid, camid), without the paths."""
    return [(record.pid, record.camid) for record in records]


# ------------------------------------------------------------------------------------------ people


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


# ---------------------------------------------------------------------------------------- vehicles


def test_veri_without_keypoints(tmp_path, caplog):
    caplog.set_level(logging.INFO, 'transreid')
    folder = official_sets.veri(tmp_path)
    photos = sources.load_train(cfg_of(tmp_path, 'veri'))
    assert short(photos.train) == [(0, 0), (0, 19), (1, 2), (1, 2), (2, 7), (2, 8)]  # 1, 5 and 30
    assert short(photos.query) == [(2, 1), (776, 3), (776, 4)]
    assert short(photos.gallery) == [(0, 0), (2, 1), (2, 13), (776, 3), (776, 10)]
    assert {record.viewid for record in photos.train + photos.query + photos.gallery} == {0}
    assert (
        f'no keypoint_train.txt and keypoint_test.txt in {folder} or DATASETS.LIST_DIR: all '
        'photos count as'
    ) in caplog.text
    with pytest.raises(
        InputError,
        match='keypoint_train.txt: no such key-point list .* MODEL.SIE_VIEW False',
    ):
        sources.load_test(cfg_of(tmp_path, 'veri', 'MODEL.SIE_VIEW', True))


@pytest.mark.parametrize('place', ['VeRi', 'lists'])
def test_veri_with_keypoints(tmp_path, place, caplog):
    caplog.set_level(logging.INFO, 'transreid')
    folder = official_sets.veri(tmp_path)
    official_sets.keypoints(tmp_path / place)
    photos = sources.load_train(cfg_of(tmp_path, 'veri', 'MODEL.SIE_VIEW', True))
    # 0005_c003_00084280_0.jpg is in both lists with views 1 and 2: the train list is asked first
    assert [(record.pid, record.viewid) for record in photos.train] == [
        (0, 0),
        (0, 7),
        (1, 1),
        (2, 3),
        (2, 4),
    ]
    assert rows(photos.query, folder) == [
        ('image_query/0002_c002_00030600_0.jpg', 2, 1, 5),
        ('image_query/0776_c004_00084275_0.jpg', 776, 3, 6),
    ]
    assert [(record.pid, record.viewid) for record in photos.gallery] == [
        (0, 2),
        (2, 2),
        (776, 6),
        (776, 0),
    ]
    for counts in ('1 of 6 train', '1 of 3 query', '1 of 5 gallery'):
        assert f'{counts} photos have no viewpoint and are dropped' in caplog.text
    loaders = make_dataloader(
        cfg_of(tmp_path, 'veri', 'OUTPUT_DIR', '', 'DATALOADER.NUM_WORKERS', 0)
    )
    assert (loaders.camera_num, loaders.view_num, loaders.num_classes) == (20, 8, 3)


def test_veri_folders_lists_come_before_list_dirs(tmp_path):
    folder = official_sets.keypoints(official_sets.veri(tmp_path))
    official_sets.keypoints(tmp_path / 'lists')
    for file in official_sets.VERI_VIEWS:
        (tmp_path / 'lists' / file).write_text('not read\n')
    assert len(sources.load_test(cfg_of(tmp_path, 'veri')).query) == 2
    (folder / 'keypoint_test.txt').unlink()
    with pytest.raises(InputError, match='VeRi/keypoint_test.txt: no such key-point list'):
        sources.load_test(cfg_of(tmp_path, 'veri'))


@pytest.mark.parametrize('size', [800, 2400])
def test_vehicleid(tmp_path, size):
    folder = official_sets.vehicleid(tmp_path, size)
    cfg = cfg_of(tmp_path, 'VehicleID', 'DATASETS.TEST_SIZE', size)
    photos, test = sources.load_train(cfg), sources.load_test(cfg)
    assert rows(photos.train, folder) == [
        (f'image/{number:07d}.jpg', label, 0, 0)
        for number, label in zip(range(1, 10), [1, 1, 1, 2, 2, 2, 0, 0, 0], strict=True)
    ]
    assert photos.num_classes == 3
    assert photos.validation.trials == test.trials
    assert len(test.trials) == 10
    everything = sorted(
        (f'image/{number:07d}.jpg', pid)
        for number, pid in zip(range(100, 107), [101] * 4 + [102] * 2 + [103], strict=True)
    )
    for query, gallery in test.trials:
        assert sorted(record.pid for record in gallery) == [101, 102, 103]
        assert {record.camid for record in gallery} == {1} and {
            record.camid for record in query
        } == {0}
        assert sorted(row[:2] for row in rows(query + gallery, folder)) == everything
    assert (
        len({tuple(rows(gallery, folder)) for _, gallery in test.trials}) > 3
    )  # of the 8 there are: redrawn
    assert (test.query, test.gallery) == test.trials[0]
    assert (
        sources.load_test(
            cfg_of(tmp_path, 'VehicleID', 'DATASETS.TEST_SIZE', size, 'SOLVER.SEED', 5)
        ).trials
        != test.trials
    )


def test_vehicleid_encodes_each_photo_once_for_ten_trials(tmp_path):
    official_sets.vehicleid(tmp_path)
    cfg = cfg_of(tmp_path, 'VehicleID', 'DATALOADER.NUM_WORKERS', 0)
    test = make_test_dataloader(cfg)
    paths = [record.path for record in test.loader.dataset.records]
    assert sorted(paths) == sorted({record.path for record in test.query + test.gallery})
    assert test.protocol.name == 'vehicleid' and '10 such trials' in test.protocol.text
    for trial in test.trials:
        for records, index in (
            (trial.query, trial.query_index),
            (trial.gallery, trial.gallery_index),
        ):
            assert [paths[row] for row in index] == [record.path for record in records]
    assert test.query is test.trials[0].query and test.gallery is test.trials[0].gallery


def test_vehicleids_result_is_the_mean_of_its_trials(tmp_path, monkeypatch):
    official_sets.vehicleid(tmp_path)
    test = make_test_dataloader(cfg_of(tmp_path, 'VehicleID', 'DATALOADER.NUM_WORKERS', 0))
    features = {
        record.path: torch.randn(4, generator=torch.Generator().manual_seed(i))
        for i, record in enumerate(test.loader.dataset.records)
    }
    monkeypatch.setattr(
        inference, 'extract_features', lambda *_: torch.stack(list(features.values()))
    )
    hits, precisions = [], []
    for query, gallery in sources.load_test(cfg_of(tmp_path, 'VehicleID')).trials:
        ranks = []
        for photo in query:  # one positive each: average precision is 1 / its rank
            nearest = sorted(
                gallery,
                key=lambda other: (
                    -torch.cosine_similarity(features[photo.path], features[other.path], 0)
                ),
            )
            ranks.append(1 + [other.pid for other in nearest].index(photo.pid))
        hits.append(sum(rank == 1 for rank in ranks) / len(ranks))
        precisions.append(sum(1 / rank for rank in ranks) / len(ranks))
    assert len(set(hits)) > 1
    metrics = inference.do_inference(None, test, make_runtime('cpu')).metrics
    assert metrics['rank1'] == pytest.approx(sum(hits) / 10)
    assert metrics['mAP'] == pytest.approx(sum(precisions) / 10)


# --------------------------------------------------------------------------------------------- all


@pytest.mark.parametrize('name', official_sets.SETS)
def test_loaders(tmp_path, name, caplog):
    official_sets.SETS[name](tmp_path)
    cfg = cfg_of(
        tmp_path,
        name,
        'DATALOADER.NUM_WORKERS',
        0,
        'DATALOADER.NUM_INSTANCE',
        2,
        'DATALOADER.SAMPLER',
        'softmax_triplet',
        'SOLVER.STAGE2.IMS_PER_BATCH',
        4,
        'INPUT.SIZE_TRAIN',
        '[16, 8]',
        'INPUT.SIZE_TEST',
        '[16, 8]',
    )
    loaders, test = make_dataloader(cfg), make_test_dataloader(cfg)
    assert (
        loaders.camera_num
        == {
            'market1501': 6,
            'dukemtmc': 8,
            'occ_duke': 8,
            'msmt17': 15,
            'veri': 20,
            'VehicleID': 2,
        }[name]
    )
    assert loaders.view_num == (2 if name == 'occ_duke' else 1)
    assert set(loaders.fingerprints) == {'train', 'val', 'val gallery'}
    assert loaders.num_query == len(test.query)
    validation = loaders.validation
    assert (validation.fingerprints['val'], validation.fingerprints['val gallery']) == tuple(
        test.fingerprints.values()
    )
    assert [pids[0] == pids[1] != pids[2] == pids[3] for _, pids, *_ in loaders.train_loader_stage2]
    cameras = torch.cat([batch[2] for batch in loaders.val_loader])
    assert cameras.tolist() == [record.camid for record in loaders.val_loader.dataset.records]
    warnings = [record.getMessage() for record in caplog.records if record.levelname == 'WARNING']
    published = [line for line in warnings if line.startswith(f'{name}: ')]  # once at each door
    assert len(published) == 2
    assert f'train {len(loaders.train_loader_stage1.dataset)} instead of ' in published[0]
    assert 'train' not in published[1]


def test_a_set_of_published_size_gives_no_warning(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.WARNING, 'transreid')
    official_sets.market1501(tmp_path)
    monkeypatch.setitem(
        sources.person.PUBLISHED,
        'market1501',
        {'train': 12, 'query': 2, 'gallery': 5, 'identities': 3},
    )
    sources.load_train(cfg_of(tmp_path, 'market1501'))
    assert not caplog.records
    sources.person.PUBLISHED['market1501']['identities'] = 751
    sources.load_train(cfg_of(tmp_path, 'market1501'))
    assert caplog.messages == [
        'market1501: the numbers of photos differ from the published ones: identities 3 instead '
        'of 751; is this a part of the set, or another version?'
    ]


@pytest.mark.parametrize(
    ('name', 'part', 'line'),
    [
        (
            'market1501',
            '',
            'there is no Market-1501-v15.09.15 in it; market1501 is expected as '
            'Market-1501-v15.09.15/{bounding_box_train,query,bounding_box_test}/*.jpg',
        ),
        (
            'market1501',
            'query',
            'there is no Market-1501-v15.09.15/query in it; market1501 is expected as',
        ),
        (
            'dukemtmc',
            'bounding_box_test',
            'there is no dukemtmcreid/DukeMTMC-reID/bounding_box_test in it',
        ),
        (
            'occ_duke',
            'query',
            'there is no dukemtmcreid/Occluded_Duke/query in it; occ_duke is expected as',
        ),
        (
            'msmt17',
            'test',
            'there is no MSMT17/test in it; msmt17 is expected as MSMT17/{train,test}/0000/*.jpg '
            'with MSMT17/list_{train,val,query,gallery}.txt',
        ),
        ('msmt17', 'list_query.txt', 'there is no MSMT17/list_query.txt in it'),
        (
            'veri',
            'image_query',
            'there is no VeRi/image_query in it; veri is expected as VeRi/'
            '{image_train,image_query,image_test}/*.jpg',
        ),
        (
            'VehicleID',
            'image',
            'there is no VehicleID_V1.0/image in it; VehicleID is expected as '
            'VehicleID_V1.0/image/*.jpg with '
            'VehicleID_V1.0/{train_test_split/train_list.txt,train_test_split/test_list_800.txt}',
        ),
        (
            'VehicleID',
            'train_test_split/test_list_800.txt',
            'there is no VehicleID_V1.0/train_test_split/test_list_800.txt in it',
        ),
    ],
)
def test_a_missing_part(tmp_path, name, part, line):
    gone = official_sets.SETS[name](tmp_path) / part
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    for load in (sources.load_train, sources.load_test):
        with pytest.raises(InputError) as caught:
            load(cfg_of(tmp_path, name))
        assert str(caught.value).startswith(f"DATASETS.ROOT_DIR '{tmp_path}': {line}")
        assert '\n' not in str(caught.value)


def test_a_test_needs_no_train_photos(tmp_path):
    shutil.rmtree(official_sets.market1501(tmp_path) / 'bounding_box_train')
    assert len(sources.load_test(cfg_of(tmp_path, 'market1501')).query) == 2
    with pytest.raises(InputError, match='Market-1501-v15.09.15/bounding_box_train in it'):
        sources.load_train(cfg_of(tmp_path, 'market1501'))


@pytest.mark.parametrize(
    'bad',
    [
        'cat.jpg',
        '0001_c0s1_000151_01.jpg',
        '-2_c1s1_000151_01.jpg',
        '0001_c12345s1.jpg',
        '1_c.jpg',
        '0001_c1s1_\n.jpg',
        '٣_c1s1_000151_01.jpg',
    ],
)
def test_a_photo_of_another_name(tmp_path, bad):
    folder = official_sets.market1501(tmp_path) / 'query'
    (folder / bad).write_bytes(b'')
    with pytest.raises(InputError) as caught:
        sources.load_test(cfg_of(tmp_path, 'market1501'))
    assert f'{folder}: photo {ascii(bad)} is not named by identity and camera' in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'ignored', ['readme.txt', '.0001_c1.jpg', '0001_c1s1_000151_01.jpg.mat', 'Thumbs.db']
)
def test_other_files_are_ignored(tmp_path, ignored):
    (official_sets.market1501(tmp_path) / 'query' / ignored).write_bytes(b'')
    assert len(sources.load_test(cfg_of(tmp_path, 'market1501')).query) == 2


def without_query(folder):
    for photo in (folder / 'query').iterdir():
        photo.unlink()
    (folder / 'query/-1_c1s1_000401_00.jpg').write_bytes(b'')


def one_person(folder):
    for photo in (folder / 'bounding_box_train').glob('00[01][71]*'):
        photo.unlink()


def edit(file, old, new):
    def change(folder):
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))

    return change


def write(file, text):
    return lambda folder: (folder / file).write_text(text)


def other_names(folder):
    official_sets.keypoints(folder)
    for number, photo in enumerate((folder / 'image_query').iterdir()):
        photo.rename(photo.with_name(f'0002_c001_{number}.jpg'))


def drop(*files):
    def change(folder):
        for file in files:
            (folder / file).unlink()

    return change


@pytest.mark.parametrize(
    ('name', 'change', 'line'),
    [
        (
            'market1501',
            without_query,
            r'Market-1501-v15.09.15/query: no photo \(\*\.jpg\) except junk',
        ),
        ('market1501', one_person, 'market1501 train: a single individual'),
        (
            'msmt17',
            edit('list_query.txt', '_01_', '_xx_'),
            "list_query.txt: '0000/0000_001_xx_0303morning_0008_0.jpg' has no camera number",
        ),
        ('msmt17', edit('list_query.txt', '_01_', '_00_'), 'has no camera number'),
        (
            'msmt17',
            edit('list_query.txt', '.jpg 0', '.jpg zero'),
            "list_query.txt:1: label 'zero' is not a whole number",
        ),
        (
            'msmt17',
            edit('list_query.txt', '0000/', '../0000/'),
            'list_query.txt:1: path .* leads out',
        ),
        (
            'msmt17',
            drop('test/0000/0000_001_01_0303morning_0008_0.jpg'),
            (
                r'msmt17 query: 1 of 2 photos are missing in .*MSMT17\' '
                r'\(test/0000/0000_001_01_0303morning_0008_0.jpg\)'
            ),
        ),
        (
            'VehicleID',
            edit('train_test_split/test_list_800.txt', '0000100 101', '0000100.jpg 101'),
            (
                "test_list_800.txt:1: expected 'number identity', like 0346796 12345, got "
                "'0000100.jpg 101'"
            ),
        ),
        (
            'VehicleID',
            edit('train_test_split/train_list.txt', '0000001 31', '../1 31'),
            'train_list.txt:1: expected',
        ),
        (
            'VehicleID',
            edit('train_test_split/train_list.txt', '0000009 7', '\n0000002 40'),
            'train_list.txt:10: photo 0000002 has identity 40 here and 31 above',
        ),
        ('VehicleID', drop('image/0000100.jpg'), 'VehicleID test: 1 of 7 photos are missing'),
        (
            'VehicleID',
            write('train_test_split/test_list_800.txt', '0000100 101\n0000104 102\n'),
            'each of the 2 vehicles has only one photo',
        ),
        (
            'VehicleID',
            write('train_test_split/test_list_800.txt', '\n'),
            'test_list_800.txt: the list is empty',
        ),
        (
            'veri',
            lambda folder: drop('keypoint_train.txt')(official_sets.keypoints(folder)),
            'keypoint_train.txt: no such key-point list .*; put both .* or remove both',
        ),
        (
            'veri',
            lambda folder: edit('keypoint_test.txt', '34 5', '34 8')(
                official_sets.keypoints(folder)
            ),
            (
                r'keypoint_test.txt:1: expected 42 fields \(a path, 20 points x y, a view 0 … 7\), '
                r"got 42, the last '8'"
            ),
        ),
        (
            'veri',
            lambda folder: edit('keypoint_train.txt', '-1 ', '')(official_sets.keypoints(folder)),
            'keypoint_train.txt:1: expected 42 fields .* got 41',
        ),
        (
            'veri',
            lambda folder: edit('keypoint_test.txt', '34 5', '34 4')(
                official_sets.keypoints(folder)
            ),
            r'keypoint_test.txt:7: 0002_c002_00030600_0.jpg has view 5 here and 4 above',
        ),
        ('veri', other_names, 'name none of the query photos'),
    ],
)
def test_bad_sets(tmp_path, name, change, line):
    change(official_sets.SETS[name](tmp_path))
    with pytest.raises(InputError, match=line) as caught:
        sources.load_train(cfg_of(tmp_path, name))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('name', 'opts', 'line'),
    [
        (
            'market1501',
            ['DATASETS.PROTOCOL', 'tiger'],
            "DATASETS.PROTOCOL 'tiger' does not suit market1501; choose one of market, "
            "cross-camera, all, or '' for market",
        ),
        ('veri', ['DATASETS.PROTOCOL', 'cross-side'], "'cross-side' does not suit veri"),
        (
            'VehicleID',
            ['DATASETS.PROTOCOL', 'market'],
            "'market' does not suit VehicleID; choose one of vehicleid",
        ),
        (
            'VehicleID',
            ['MODEL.SIE_CAMERA', 'True'],
            'VehicleID has neither cameras nor views; set MODEL.SIE_CAMERA',
        ),
    ],
)
def test_keys_that_do_not_suit(tmp_path, name, opts, line):
    official_sets.SETS[name](tmp_path)
    for load in (sources.load_train, sources.load_test):
        with pytest.raises(InputError, match=line):
            load(cfg_of(tmp_path, name, *opts))


def test_protocols_of_the_test_leave_validation_as_it_is(tmp_path):
    official_sets.market1501(tmp_path)
    for name in ('cross-camera', 'all', 'market'):
        cfg = cfg_of(tmp_path, 'market1501', 'DATASETS.PROTOCOL', name)
        assert sources.load_test(cfg).protocol.name == name
        assert sources.load_train(cfg).validation.protocol.name == 'market'


def test_a_vehicle_that_is_listed_twice_counts_once(tmp_path, caplog):
    path = official_sets.vehicleid(tmp_path) / 'train_test_split/test_list_800.txt'
    before = sources.load_test(cfg_of(tmp_path, 'VehicleID'))
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + '\n')
    after = sources.load_test(cfg_of(tmp_path, 'VehicleID'))
    assert 'VehicleID test: 1 of 8 lines repeat an earlier line and are skipped' in caplog.text
    assert after.trials == before.trials


def test_missing_photos_can_be_left_out(tmp_path, caplog):
    folder = official_sets.msmt17(tmp_path)
    for photo in (folder / 'train/0002').iterdir():
        photo.unlink()
    photos = sources.load_train(cfg_of(tmp_path, 'msmt17', 'DATASETS.SKIP_MISSING', True))
    assert (len(photos.train), photos.num_classes) == (6, 3)
    assert '2 of 8 photos are missing' in caplog.text


@pytest.mark.parametrize(
    ('make', 'name', 'broken', 'train'),
    [
        (official_sets.market1501, 'market1501', 'bounding_box_train', True),
        (official_sets.market1501, 'market1501', 'bounding_box_test', False),
        (official_sets.vehicleid, 'VehicleID', 'image', False),
    ],
)
def test_broken_photos_can_be_skipped(tmp_path, caplog, make, name, broken, train):
    folder = make(tmp_path)
    load = sources.load_train if train else sources.load_test

    def paths(*opts):
        photos = load(cfg_of(tmp_path, name, *opts))
        return {
            record.path for record in (photos.train if train else photos.query + photos.gallery)
        }

    before = paths()
    first = sorted(path for path in before if broken in path)[0]
    Path(first).write_bytes(b'rubbish')
    assert paths() == before
    assert paths('DATASETS.SKIP_BROKEN', True) == before - {first}
    assert f'skipped: {first}: not a picture' in caplog.text and folder.name in first


def test_links_out_of_the_set_are_refused(tmp_path):
    folder = official_sets.market1501(tmp_path)
    (folder / 'query').rename(tmp_path / 'elsewhere')
    (folder / 'query').symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(InputError, match='DATASETS.ALLOW_OUTSIDE'):
        sources.load_test(cfg_of(tmp_path, 'market1501'))
    assert (
        len(sources.load_test(cfg_of(tmp_path, 'market1501', 'DATASETS.ALLOW_OUTSIDE', True)).query)
        == 2
    )


# -------------------------------------------------------------------------------------------- ymls

KINDS = ('cnn_base', 'vit_base', 'cnn_clipreid', 'vit_clipreid')
YMLS = [
    f'{folder}/{kind}'
    for folder in ('person', 'veri', 'VehicleID')
    for kind in KINDS + (('cnn_prom', 'vit_prom') if folder == 'veri' else ())
]


def test_there_are_no_other_ymls():
    assert {
        f'{folder}/{path.stem}'
        for folder in ('person', 'veri', 'VehicleID')
        for path in (ROOT / 'configs' / folder).iterdir()
    } == set(YMLS)


@pytest.mark.parametrize('yml', YMLS)
def test_published_values(yml):
    """Against spec 2, written out: what the species ymls share, and each difference."""
    ours = flatten(load_cfg(ROOT / f'configs/{yml}.yml'))
    (folder, name), cnn, base = yml.split('/'), 'cnn' in yml, 'base' in yml
    expected = flatten(load_cfg(ROOT / f'configs/tiger/{"cnn" if cnn else "vit"}_clipreid.yml')) | {
        'DATASETS.NAMES': 'market1501' if folder == 'person' else folder,
        'DATASETS.ROOT_DIR': '../data',
        'OUTPUT_DIR': f'./output/{yml}',
        'TEST.RERANK_K1': 50,
        'TEST.RERANK_K2': 15,
    }
    if cnn:
        expected |= {
            f'SOLVER.STAGE2.{key}': 120
            for key in ('MAX_EPOCHS', 'CHECKPOINT_PERIOD', 'EVAL_PERIOD')
        }
        expected['SOLVER.STAGE2.STEPS'] = (40, 70)
    if folder != 'person':
        expected |= {
            'INPUT.SIZE_TRAIN': [256, 256],
            'INPUT.SIZE_TEST': [256, 256],
            'SOLVER.STAGE1.MAX_EPOCHS': 60,
            'SOLVER.STAGE1.CHECKPOINT_PERIOD': 60,
        }
    if folder == 'VehicleID':
        expected['SOLVER.STAGE1.IMS_PER_BATCH'] = 256
        if not cnn:
            expected['SOLVER.STAGE2.BASE_LR'] = 5e-5
        if name != 'vit_clipreid':
            expected['MODEL.IF_LABELSMOOTH'] = 'off'
    if base:
        expected |= {
            'MODEL.I2T_LOSS_WEIGHT': 0.0,
            'MODEL.ID_LOSS_WEIGHT': 1.0,
            'SOLVER.STAGE1.MAX_EPOCHS': 0,
        }
    # of the tiger's, which these sets do not read
    for key in ('DATASETS.TEST_ROOT_DIR', 'DATASETS.DATA_DIR', 'DATASETS.SPECIES'):
        expected.pop(key), ours.pop(key)
    assert ours == expected


TOY_SIZES = [
    'MODEL.DEVICE',
    'cpu',
    'MODEL.PRETRAIN_CHOICE',
    'clip',
    'INPUT.SIZE_TRAIN',
    '[32, 32]',
    'INPUT.SIZE_TEST',
    '[32, 32]',
    'INPUT.PADDING',
    '2',
    'DATALOADER.NUM_WORKERS',
    '0',
    'DATALOADER.NUM_INSTANCE',
    '2',
    'SOLVER.STAGE1.IMS_PER_BATCH',
    '8',
    'SOLVER.STAGE2.IMS_PER_BATCH',
    '4',
    'SOLVER.STAGE2.MAX_EPOCHS',
    '1',
    'SOLVER.STAGE2.EVAL_PERIOD',
    '1',
    'SOLVER.STAGE2.CHECKPOINT_PERIOD',
    '1',
    'TEST.IMS_PER_BATCH',
    '8',
    'TEST.RERANK_K1',
    '3',
    'TEST.RERANK_K2',
    '2',
]
OVERLAP = (
    'MODEL.STRIDE_SIZE',
    '[12, 12]',
    'INPUT.SIZE_TRAIN',
    '[40, 28]',
    'INPUT.SIZE_TEST',
    '[40, 28]',
)  # 3 x 2 patches
CASES = [
    (yml, {'person': 'market1501'}.get(yml.split('/')[0], yml.split('/')[0]), ()) for yml in YMLS
] + [
    ('person/vit_clipreid', 'dukemtmc', ()),
    ('person/cnn_clipreid', 'occ_duke', ()),
    ('person/vit_base', 'msmt17', ()),
    ('person/vit_clipreid', 'msmt17', ('MODEL.SIE_CAMERA', 'True', *OVERLAP)),
    ('veri/vit_prom', 'veri', ('MODEL.SIE_CAMERA', 'True', 'MODEL.SIE_VIEW', 'True')),
    ('veri/vit_base', 'veri', ('MODEL.SIE_VIEW', 'True', *OVERLAP)),
]


@pytest.mark.parametrize(('yml', 'name', 'more'), CASES)
def test_an_epoch_and_a_test(tmp_path, toy_weights, yml, name, more, capsys):
    official_sets.SETS[name](tmp_path)
    if 'MODEL.SIE_VIEW' in more:
        official_sets.keypoints(tmp_path / 'VeRi')
    encoder = 'RN50' if 'cnn' in yml else 'ViT-B-16'
    args = [
        '--config_file',
        str(ROOT / f'configs/{yml}.yml'),
        'MODEL.PRETRAIN_PATH',
        toy_weights[encoder],
        'DATASETS.NAMES',
        name,
        'DATASETS.ROOT_DIR',
        str(tmp_path),
        'OUTPUT_DIR',
        str(tmp_path / 'output'),
        *TOY_SIZES,
        *more,
    ]
    stage1 = (
        []
        if 'base' in yml
        else ['SOLVER.STAGE1.MAX_EPOCHS', '1', 'SOLVER.STAGE1.CHECKPOINT_PERIOD', '1']
    )
    assert 0 < train_clipreid.main(args + stage1) <= 1
    log = (tmp_path / 'output/train_log.txt').read_text()
    assert ('Stage1 running time' in log) == ('base' not in yml)
    weight = tmp_path / f'output/{encoder}_1.pth'
    for script in (test_clipreid, test_rerank_clipreid):
        assert 0 < script.main([*args, 'TEST.WEIGHT', str(weight)])['mAP'] <= 1
    results = json.loads((tmp_path / 'output/results.json').read_text())
    assert (results['protocol'], results['trials']) == (
        ('vehicleid', 10) if name == 'VehicleID' else ('market', 1)
    )
    assert set(results['counts']) == {'query', 'gallery'}
    state = torch.load(weight, weights_only=True)
    assert any(key.startswith('prompt_learner.') for key in state) == ('base' not in yml)
    side = {
        ('msmt17', 'MODEL.SIE_CAMERA'): 15,
        ('veri', 'MODEL.SIE_CAMERA'): 20 * 8,
        ('veri', 'MODEL.SIE_VIEW'): 8,
    }
    if more:
        assert state['cv_embed'].shape == (side[name, more[0]], 64)
    if {'MODEL.SIE_CAMERA', 'MODEL.SIE_VIEW'} <= set(more):
        assert make_test_model(load_cfg(args[1], [*args[2:], 'TEST.WEIGHT', str(weight)])).side == (
            20,
            8,
        )
    if 'MODEL.STRIDE_SIZE' in more:
        assert len(state['image_encoder.positional_embedding']) == 1 + 3 * 2


PUBLISHED = json.loads((GOLDEN / 'configs.json').read_text())[
    'does_not_load'
]  # its DATASETS section is empty


@pytest.mark.parametrize('file', sorted(PUBLISHED))
def test_the_originals_values(file):
    """All that the original's yml says; a base yml's flat SOLVER tree stands in STAGE2 here."""
    published = PUBLISHED[file]['merged_without_the_empty_sections']
    ours = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in flatten(load_cfg(ROOT / file)).items()
    }
    said_here = {'DATASETS.NAMES', 'OUTPUT_DIR'}
    if file.endswith('base.yml'):
        said_here.add('MODEL.I2T_LOSS_WEIGHT')
        assert ours['MODEL.I2T_LOSS_WEIGHT'] == ours['SOLVER.STAGE1.MAX_EPOCHS'] == 0
        published = {
            key if key in ours else key.replace('SOLVER.', 'SOLVER.STAGE2.'): value
            for key, value in published.items()
        }
    published = {key: value for key, value in published.items() if key not in said_here}
    assert {key: ours[key] for key in published} == published
    assert ours['OUTPUT_DIR'] == f'./output/{file[len("configs/") : -len(".yml")]}'
