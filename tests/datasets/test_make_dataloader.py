"""From a config to loaders: which photos they give, and warnings at the start."""

import logging
from pathlib import Path

import pytest
import torch

from datasets import make_dataloader_clipreid as doors
from datasets.animal import load_test, load_train
from tests.datasets.animal_lists import GALLERY, QUERY, TRAIN, VAL, make_photos, rows_of, write_list
from utils.errors import InputError


def listed(records, folder):
    return [
        (str(Path(record.path).relative_to(folder)), record.pid, record.viewid)
        for record in records
    ]


def test_animals(cfg, tmp_path):
    animals = load_train(cfg)
    assert listed(animals.train, tmp_path / 'photos/seg') == TRAIN
    assert listed(animals.query, tmp_path / 'photos/seg') == VAL
    assert animals.gallery is animals.train
    assert animals.num_classes == 4
    assert animals.root == animals.validation.root == str(tmp_path / 'photos/seg')


def test_training_loaders(cfg, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger='transreid')
    loaders = doors.make_dataloader(cfg)
    assert loaders._fields == (
        'train_loader_stage2',
        'train_loader_stage1',
        'val_loader',
        'num_query',
        'num_classes',
        'camera_num',
        'view_num',
        'validation',
        'fingerprints',
        'cache_bytes',
    )
    assert loaders[3:7] == (2, 4, 1, 2)
    rows = [line.split() for line in caplog.text.splitlines()[1:]]
    assert ['train', '7', '4', '1', '1.5', '3'] in rows
    assert ['val', 'query', '2', '2', '1', '1', '1'] in rows

    batches = list(loaders.train_loader_stage1)
    assert [len(batch[0]) for batch in batches] == [3, 3, 1]
    images, pids, camids, viewids, indices = (
        torch.cat(column) for column in zip(*batches, strict=True)
    )
    assert images.shape == (7, 3, 16, 8) and images.dtype == torch.float32
    assert pids.tolist() == [pid for _, pid, _ in TRAIN]
    assert camids.tolist() == [0] * 7
    assert viewids.tolist() == [side for *_, side in TRAIN]
    assert indices.tolist() == list(range(7))
    for images, pids, *_, indices in loaders.train_loader_stage2:
        assert images.shape == (4, 3, 16, 8)
        assert pids[0] == pids[1] != pids[2] == pids[3]
        assert [TRAIN[index][1] for index in indices] == pids.tolist()

    assert loaders.validation.protocol.name == 'market_one_camera'
    batches = list(loaders.val_loader)
    assert [len(batch[0]) for batch in batches] == [4, 4, 1]
    assert batches[0][0].shape == (4, 3, 12, 6)
    assert torch.cat([batch[1] for batch in batches]).tolist() == [pid for _, pid, _ in VAL + TRAIN]
    assert [record.pid for record in loaders.val_loader.dataset.records] == [
        pid for _, pid, _ in VAL + TRAIN
    ]
    validation = loaders.validation
    assert validation.loader is loaders.val_loader
    assert listed(validation.query, tmp_path / 'photos/seg') == VAL
    assert listed(validation.gallery, tmp_path / 'photos/seg') == TRAIN
    assert rows_of(validation) == ([0, 1], list(range(2, 9)))


def test_the_validation_list_may_be_the_train_list(cfg):
    cfg.DATASETS.VAL_LIST = 'train.txt'
    animals = load_train(cfg)
    assert animals.query == animals.train and len(animals.train) == len(TRAIN)


def test_distractors_are_for_the_gallery_alone(cfg):
    folder = Path(cfg.DATASETS.LIST_DIR)
    write_list(folder / 'gallery.txt', [*GALLERY, ('000000.jpg', -1)])
    assert [record.pid for record in load_test(cfg).gallery] == [9, 5, -1]
    for name in ('train', 'val', 'query'):
        with pytest.raises(InputError, match=rf"{name}.txt:\d: label '-1' is not a whole number"):
            rows = {'train': TRAIN, 'val': VAL, 'query': QUERY}[name]
            write_list(folder / f'{name}.txt', [*rows, ('000000.jpg', -1)])
            load_test(cfg) if name == 'query' else load_train(cfg)
        write_list(folder / f'{name}.txt', rows)
    cfg.DATASETS.QUERY_LIST, cfg.DATASETS.GALLERY_LIST = 'gallery.txt', ''
    with pytest.raises(
        InputError,
        match="gallery.txt:3: label '-1' is not a whole number .*only a separate gallery list",
    ):
        load_test(cfg)


def test_training_warns_of_epochs_that_show_few_photos(cfg, caplog):
    more = [(f'train/0/more{number}.jpg', 0) for number in range(60)]
    make_photos(Path(cfg.DATASETS.ROOT_DIR) / 'seg', more)
    write_list(Path(cfg.DATASETS.LIST_DIR) / 'train.txt', [*TRAIN, *more])
    cfg.SOLVER.STAGE2.IMS_PER_BATCH = 8
    doors.make_dataloader(cfg)
    assert 'an epoch of stage 2 ends after step 1 and shows 6 of 67 train photos' in caplog.text
    caplog.clear()
    cfg.DATALOADER.SAMPLER = 'softmax'
    doors.make_dataloader(cfg)
    assert 'an epoch' not in caplog.text


def test_no_validation_list(cfg, caplog):
    cfg.DATASETS.VAL_LIST = ''
    loaders = doors.make_dataloader(cfg)
    assert loaders.val_loader is None
    assert loaders.num_query == 0
    assert 'no validation' in caplog.text


def test_validation_with_unknown_individuals_warns(cfg, caplog):
    write_list(Path(cfg.DATASETS.LIST_DIR) / 'val.txt', [('val/0/7.jpg', 0), ('val/2/8.jpg', 44)])
    load_train(cfg)
    assert '1 individuals are not in the train list (44)' in caplog.text
