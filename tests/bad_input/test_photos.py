"""Photos that are missing, elsewhere, broken or odd."""

import json
import shutil

import pytest
import torch
from PIL import Image

import test_clipreid
import train_clipreid
from tests.bad_input.inputs import (
    NO_STAGE1,
    ONE_EPOCH,
    break_photo,
    nothing_written,
    refused,
)


def test_missing_training_photos(world):
    gone = ['train/0/0.png', 'train/2/1.png', 'train/2/2.png', 'train/3/3.png']
    for name in gone:
        (world.folder / 'photos' / name).unlink()
    line = refused(
        train_clipreid.main,
        world.args(),
        '4 of 24 photos are missing',
        world.folder / 'photos',
        ', '.join(gone[:3]),
        'DATASETS.SKIP_MISSING True',
    )
    assert gone[3] not in line
    nothing_written(world)
    train_clipreid.main(
        world.args('DATASETS.SKIP_MISSING', 'True', 'SOLVER.STAGE2.MAX_EPOCHS', 0, *NO_STAGE1)
    )
    log = (world.output / 'train_log.txt').read_text()
    assert '4 of 24 photos are missing' in log and 'they are skipped' in log


def test_photos_of_one_individual_only(world):
    for individual in range(1, 6):
        shutil.rmtree(world.folder / 'photos' / 'train' / str(individual))
    args = world.args('DATASETS.SKIP_MISSING', 'True')
    refused(train_clipreid.main, args, 'train.txt', 'only one individual has photos')
    nothing_written(world)


def test_missing_test_photos(world, trained):
    (world.folder / 'test' / '6' / '1.png').unlink()
    args = world.args('TEST.WEIGHT', trained['RN50'])
    refused(
        test_clipreid.main,
        args,
        '1 of 12 photos are missing',
        world.folder / 'test',
        '6/1.png',
        'DATASETS.SKIP_MISSING',
    )
    nothing_written(world)
    test_clipreid.main([*args, 'DATASETS.SKIP_MISSING', 'True'])
    counts = json.loads((world.output / 'results.json').read_text())['counts']
    assert counts['gallery']['photos'] == 11
    assert '1 of 12 photos are missing' in (world.output / 'test_log.txt').read_text()


def test_photos_elsewhere(world, trained):
    """A link out of the folder is refused, unless the config allows it."""
    photo = world.folder / 'test' / '7' / '2.png'
    photo.rename(world.folder / 'elsewhere.png')
    photo.symlink_to(world.folder / 'elsewhere.png')
    args = world.args('TEST.WEIGHT', trained['RN50'])
    refused(
        test_clipreid.main,
        args,
        photo,
        f'resolves to {world.folder / "elsewhere.png"}',
        'DATASETS.ALLOW_OUTSIDE True',
    )
    nothing_written(world)
    test_clipreid.main([*args, 'DATASETS.ALLOW_OUTSIDE', 'True'])


def test_the_data_folder_may_be_a_link(world, trained):
    (world.folder / 'test').rename(world.folder / 'disk')
    (world.folder / 'test').symlink_to('disk')
    test_clipreid.main(world.args('TEST.WEIGHT', trained['RN50']))


@pytest.mark.parametrize('how', ['truncated', 'empty', 'no picture', 'long'])
def test_broken_photos(world, trained, how):
    photo = world.folder / 'photos' / 'train' / '2' / '1.png'
    break_photo(photo, how)
    refused(
        train_clipreid.main,
        world.args(),
        photo,
        'remove it from the list',
        'DATASETS.SKIP_BROKEN True',
    )
    photo = world.folder / 'test' / '7' / '2.png'
    break_photo(photo, how)
    refused(
        test_clipreid.main,
        world.args('TEST.WEIGHT', trained['RN50']),
        photo,
        'DATASETS.SKIP_BROKEN True',
    )
    nothing_written(world)


def test_broken_photos_are_skipped_where_that_is_asked_for(world, trained):
    broken = [
        world.folder / place
        for place in ('photos/train/2/1.png', 'photos/val/3/4.png', 'test/7/2.png')
    ]
    for photo, how in zip(broken, ('truncated', 'empty', 'long'), strict=True):
        break_photo(photo, how)
    train_clipreid.main(
        world.args('DATASETS.SKIP_BROKEN', 'True', 'SOLVER.STAGE2.MAX_EPOCHS', 0, *NO_STAGE1)
    )
    log = (world.output / 'train_log.txt').read_text()
    assert f'skipped: {broken[0]}: the photo cannot be decoded' in log
    assert f'skipped: {broken[1]}: the photo is an empty file' in log
    assert (
        'train.txt: 1 of 24 photos cannot be read; they are skipped, and 0 individuals have no '
        'photo left'
    ) in log
    assert 'val.txt: 1 of 6 photos cannot be read; they are skipped, and 1 individuals' in log
    data = json.loads((world.output / 'run.json').read_text())['data']
    assert (data['train']['photos'], data['val']['photos']) == (23, 5)

    test_clipreid.main(world.args('TEST.WEIGHT', trained['RN50'], 'DATASETS.SKIP_BROKEN', 'True'))
    results = json.loads((world.output / 'results.json').read_text())
    assert results['counts']['gallery']['photos'] == results['data']['gallery']['photos'] == 11
    assert (
        'gallery.txt: 1 of 12 photos cannot be read' in (world.output / 'test_log.txt').read_text()
    )


def test_turned_photos_are_reported_once(world, trained):
    exif = Image.Exif()
    exif[0x112] = 6
    for place in ('photos/train/2/1.png', 'photos/train/2/2.png', 'test/7/2.png'):
        with Image.open(world.folder / place) as image:
            image.save(world.folder / place, exif=exif)
    train_clipreid.main(world.args('SOLVER.STAGE2.MAX_EPOCHS', 0, *NO_STAGE1))
    test_clipreid.main(world.args('TEST.WEIGHT', trained['RN50']))
    for name, told in (
        ('train_log.txt', '3 of 46 photos are rotated'),
        ('test_log.txt', '1 of 16 photos are rotated'),
    ):
        log = (world.output / name).read_text()
        assert log.count('by EXIF only') == 1 and told in log and 'tools/make_lists.py' in log


def test_broken_photo_in_a_worker(world):
    photo = world.folder / 'photos' / 'train' / '2' / '1.png'
    break_photo(photo, 'truncated')
    line = refused(train_clipreid.main, world.args('DATALOADER.NUM_WORKERS', 1), photo)
    assert 'Traceback' not in line
    nothing_written(world)


def test_odd_images_simply_work(world):
    photos = sorted((world.folder / 'photos').rglob('*.png'))
    modes = ['L', 'P', 'CMYK', 'RGBA', 'I;16', 'LA', '1', 'I']
    for photo, mode in zip(photos, modes * len(photos)):
        with Image.open(photo) as image:
            grey = image.convert('L')
            if mode == 'I;16':
                odd = Image.fromarray(
                    (torch.tensor(list(grey.tobytes())).reshape(30, 40) * 257)
                    .numpy()
                    .astype('uint16')
                )
            elif mode == 'I':
                odd = grey.convert('I').point(lambda value: value * 256)
            else:
                odd = image.convert(mode)
        odd.save(photo, format='TIFF' if mode in ('CMYK', 'I') else 'PNG')
        with Image.open(photo) as image:
            assert image.mode == mode
    assert train_clipreid.main(world.args(*ONE_EPOCH)) > 0
    assert (world.output / 'RN50_1.pth').exists()
