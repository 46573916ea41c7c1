"""VeRi and VehicleID in their official layouts."""

import logging

import pytest
import torch

from datasets import sources
from datasets.make_dataloader_clipreid import make_dataloader, make_test_dataloader
from processor import inference
from tests import official_sets
from tests.datasets.official_records import cfg_of, rows, short
from utils.device import make_runtime
from utils.errors import InputError


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


def test_a_vehicle_that_is_listed_twice_counts_once(tmp_path, caplog):
    path = official_sets.vehicleid(tmp_path) / 'train_test_split/test_list_800.txt'
    before = sources.load_test(cfg_of(tmp_path, 'VehicleID'))
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + '\n')
    after = sources.load_test(cfg_of(tmp_path, 'VehicleID'))
    assert 'VehicleID test: 1 of 8 lines repeat an earlier line and are skipped' in caplog.text
    assert after.trials == before.trials
