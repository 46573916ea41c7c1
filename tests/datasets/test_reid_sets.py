"""Every official set: its loaders, its size, its photos."""

import logging
from pathlib import Path

import pytest
import torch

from datasets import sources
from datasets.make_dataloader_clipreid import make_dataloader, make_test_dataloader
from tests import official_sets
from tests.datasets.official_records import cfg_of
from utils.errors import InputError


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


def test_protocols_of_the_test_leave_validation_as_it_is(tmp_path):
    official_sets.market1501(tmp_path)
    for name in ('cross-camera', 'all', 'market'):
        cfg = cfg_of(tmp_path, 'market1501', 'DATASETS.PROTOCOL', name)
        assert sources.load_test(cfg).protocol.name == name
        assert sources.load_train(cfg).validation.protocol.name == 'market'


def test_missing_photos_can_be_skipped(tmp_path, caplog):
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


def test_links_out_of_the_set_are_rejected(tmp_path):
    folder = official_sets.market1501(tmp_path)
    (folder / 'query').rename(tmp_path / 'elsewhere')
    (folder / 'query').symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(InputError, match='DATASETS.ALLOW_OUTSIDE'):
        sources.load_test(cfg_of(tmp_path, 'market1501'))
    assert (
        len(sources.load_test(cfg_of(tmp_path, 'market1501', 'DATASETS.ALLOW_OUTSIDE', True)).query)
        == 2
    )
