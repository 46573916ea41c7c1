"""Batches: the same with any number of workers, cached or not."""

import random
from collections import Counter
from pathlib import Path

import pytest
import torch

from datasets import make_dataloader_clipreid as doors
from datasets import transforms
from datasets.cache import STAMP_BYTES
from tests.datasets.animal_lists import TRAIN, VAL, write_list
from tests.oracles.loader import plain_loader, plain_test_transform, plain_train_transform


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('cached', [False, True])
def test_all_batches_are_the_plain_loaders(cfg, workers, cached):
    """Over three epochs, with photos kept in the file and without, by this process or by
    workers.
    """
    cfg.DATALOADER.NUM_WORKERS, cfg.OUTPUT_DIR = workers, cfg.OUTPUT_DIR if cached else ''
    cfg.INPUT.SIZE_TEST = cfg.INPUT.SIZE_TRAIN
    loaders = doors.make_dataloader(cfg)
    settings = {
        'size': cfg.INPUT.SIZE_TRAIN,
        'mean': cfg.INPUT.PIXEL_MEAN,
        'std': cfg.INPUT.PIXEL_STD,
    }
    random = plain_train_transform(flip=0.5, padding=2, erase=0.5, **settings)
    for loader, transform in [
        (loaders.train_loader_stage1, plain_test_transform(**settings)),
        (loaders.train_loader_stage2, random),
        (loaders.val_loader, plain_test_transform(**settings)),
    ]:
        plain = plain_loader(loader.dataset.records, transform, batch_sampler=loader.batch_sampler)
        for epoch in (1, 2, 3):
            if hasattr(loader.batch_sampler, 'set_epoch'):
                loader.batch_sampler.set_epoch(epoch)
            expected, batches = list(plain), list(loader)
            assert len(batches) == len(expected) > 1
            for batch, other in zip(batches, expected, strict=True):
                assert len(batch) == len(other) == 5
                torch.testing.assert_close(
                    batch[0], other[0], rtol=0, atol=2e-6
                )  # 1/5000 of a grey level
                assert all(torch.equal(*pair) for pair in zip(batch[1:], other[1:], strict=True))


@pytest.mark.parametrize(('size_test', 'times'), [([16, 8], 2), ([12, 6], 3)])
def test_training_decodes_no_photo_twice(cfg, tmp_path, monkeypatch, size_test, times):
    """Once for each of the two filters: stage 1 and validation share. With another SIZE_TEST they
    cannot.
    """
    read = Counter()
    decode = transforms.Reading.__call__
    monkeypatch.setattr(
        transforms.Reading, '__call__', lambda self, path: read.update([path]) or decode(self, path)
    )
    cfg.DATALOADER.SAMPLER, cfg.INPUT.SIZE_TEST = 'softmax', size_test
    loaders = doors.make_dataloader(cfg)
    assert loaders.val_loader.dataset.cache._handle is None  # a refused run has taken no space
    for loader in (
        loaders.train_loader_stage1,
        *[loaders.train_loader_stage2, loaders.val_loader] * 3,
    ):
        assert sum(len(batch[1]) for batch in loader) == len(loader.dataset)
    folder = tmp_path / 'photos/seg'
    assert read == {str(folder / path): times for path, *_ in TRAIN} | {
        str(folder / path): 1 for path, *_ in VAL
    }


def test_a_photo_has_one_place_in_the_cache_whatever_its_spelling(cfg, tmp_path):
    cfg.INPUT.SIZE_TEST = cfg.INPUT.SIZE_TRAIN
    size = doors.make_dataloader(cfg).cache_bytes
    (tmp_path / 'photos/seg/link.jpg').symlink_to('train/1/2.jpg')
    write_list(
        Path(cfg.DATASETS.LIST_DIR) / 'val.txt', [*VAL, ('./train/0/1.jpg', 0), ('link.jpg', 1)]
    )
    loaders = doors.make_dataloader(cfg)
    assert loaders.cache_bytes == size and loaders.num_query == 4
    assert len(loaders.val_loader.dataset) == len(TRAIN) + len(VAL)


def test_a_full_cache_goes_to_stage_2_first(cfg, caplog):
    slot = STAMP_BYTES + 16 * 8 * 3
    cfg.INPUT.SIZE_TEST, cfg.DATALOADER.CACHE_GB = [16, 8], 9.5 * slot / 1e9
    loaders = doors.make_dataloader(cfg)
    assert loaders.train_loader_stage2.dataset.cache.nbytes == 7 * slot
    assert loaders.train_loader_stage1.dataset.cache.nbytes == 2 * slot
    assert '7 of 9 photos are decoded each time' in caplog.text
    cfg.DATALOADER.CACHE_GB = 0.0
    assert all(loader.dataset.cache is None for loader in doors.make_dataloader(cfg)[:3])


@pytest.mark.skipif(not torch.accelerator.is_available(), reason='needs an accelerator')
@pytest.mark.parametrize('workers', [0, 2])
def test_batches_are_the_same_on_an_accelerator(cfg, workers):
    """The same draws, and the same photos to rounding."""
    cfg.DATALOADER.NUM_WORKERS = workers
    device = torch.accelerator.current_accelerator()
    here, there = (
        doors.make_dataloader(cfg),
        doors.make_dataloader(cfg, pin_memory=True, device=device),
    )
    for mine, other in zip(here[:3], there[:3], strict=True):
        for batch, moved in zip(mine, other, strict=True):
            assert all(column.device.type == device.type for column in moved)
            torch.testing.assert_close(moved[0].cpu(), batch[0], rtol=0, atol=2e-6)
            assert all(
                torch.equal(column, again.cpu())
                for column, again in zip(batch[1:], moved[1:], strict=True)
            )


def drawn(cfg, workers, epochs=(1, 2)):
    cfg.DATALOADER.NUM_WORKERS = workers
    loader, batches = doors.make_dataloader(cfg).train_loader_stage2, []
    for epoch in epochs:
        loader.batch_sampler.set_epoch(epoch)
        batches += list(loader)
    return batches


@pytest.mark.parametrize('sampler', ['softmax', 'softmax_triplet'])
def test_batches_depend_neither_on_workers_nor_on_global_generators(cfg, sampler):
    cfg.DATALOADER.SAMPLER = sampler
    torch.manual_seed(0)
    expected = drawn(cfg, workers=0)
    assert torch.equal(torch.get_rng_state(), torch.manual_seed(0).get_state())  # left as it was
    random.seed(9)
    torch.manual_seed(9)
    repeated = drawn(cfg, workers=2)
    assert len(expected) == len(repeated) >= 2
    for batch, again in zip(expected, repeated, strict=True):
        assert all(torch.equal(*pair) for pair in zip(batch, again, strict=True))
    resumed = drawn(cfg, workers=0, epochs=(2,))
    assert torch.equal(resumed[-1][0], expected[-1][0])
    cfg.SOLVER.SEED = 12
    assert not torch.equal(drawn(cfg, workers=0)[0][0], expected[0][0])


def test_the_random_transform_varies(cfg):
    images = {}
    for batch in drawn(cfg, workers=0, epochs=range(4)):
        for image, *_, index in zip(*batch, strict=True):
            images.setdefault(index.item(), []).append(image)
    several = max(images.values(), key=len)
    assert len({image.numpy().tobytes() for image in several}) > 1


def test_a_single_photo_is_read_by_its_index(cfg):
    dataset = doors.make_dataloader(cfg).train_loader_stage2.dataset
    image, pid, camid, viewid, index = dataset[4]
    assert (pid, camid, viewid, index) == (1, 0, 1, 4)
    assert torch.equal(image, dataset[4][0])
    assert torch.equal(dataset[4, 77][0], dataset[4, 77][0])
