"""Bad input: one clear line, exit code 2, nothing half-written. Every item of the list, through the
scripts.
"""

import json
import os
import pickle
import subprocess
import sys
import textwrap
import zipfile

import pytest
import torch
from PIL import Image
from yacs.config import CfgNode

import test_clipreid
import test_rerank_clipreid
import train_clipreid
from configs import ConfigError, get_defaults, load_cfg
from model.clip import weights
from model.make_model_clipreid import make_model
from tests.helpers import ROOT, toy_config
from utils.checkpoint import load_state, load_tree, save_state
from utils.device import Runtime
from utils.errors import InputError

NO_STAGE1 = ('SOLVER.STAGE1.MAX_EPOCHS', 0)
ONE_EPOCH = (*NO_STAGE1, 'SOLVER.STAGE2.MAX_EPOCHS', 1)


def refused(main, args, *words):
    """Run a script that must refuse its input in one line holding ``words``; return the line."""
    with pytest.raises((InputError, ConfigError)) as caught:
        main(args)
    line = str(caught.value)
    assert '\n' not in line
    for word in words:
        assert str(word) in line, line
    return line


def nothing_written(world):
    """No checkpoint, no result, no unfinished file."""
    names = [
        p.name for p in world.folder.rglob('*') if p.suffix == '.pth' and p.parent == world.output
    ]
    names += [p.name for p in world.folder.rglob('.tmp-*')]
    names += [p.name for p in world.output.glob('results*.json')] + [
        p.name for p in world.output.glob('*.png')
    ]
    assert names == []


@pytest.fixture(scope='session')
def trained(toy_weights, tmp_path_factory):
    """{name: checkpoint of a model of 6 individuals}, as training would save it, untrained."""
    folder = tmp_path_factory.mktemp('trained')
    for name, path in toy_weights.items():
        cfg = get_defaults()
        cfg.merge_from_other_cfg(CfgNode(toy_config(folder, name, path)))
        save_state(make_model(cfg, 6).state_dict(), folder / f'{name}.pth')
    return {name: str(folder / f'{name}.pth') for name in toy_weights}


# ------------------------------------------------------------------------------------------ config


@pytest.mark.parametrize(
    'main', [train_clipreid.main, test_clipreid.main, test_rerank_clipreid.main]
)
def test_config_file_missing(main, tmp_path):
    refused(
        main,
        ['--config_file', str(tmp_path / 'nowhere.yml')],
        'config file',
        'nowhere.yml',
        'does not exist',
    )


@pytest.mark.parametrize(
    'opts, words',
    [
        (('MODEL.NANE', 'RN50'), ('MODEL.NANE', 'did you mean MODEL.NAME')),
        (('SOLVER.STAGE1.BASE_LRR', 1), ('SOLVER.STAGE1.BASE_LRR', 'SOLVER.STAGE1.BASE_LR')),
        (('SOLVER.STAGE1.BASE_LR', 'fast'), ('SOLVER.STAGE1.BASE_LR', 'a number', 'fast')),
        (('TEST.RE_RANKING', 'yes'), ('TEST.RE_RANKING', 'True or False', 'yes')),
        (('MODEL.NAME',), ('KEY VALUE', 'is odd, 1', 'MODEL.NAME')),
        (('MODEL.NAME', 'RN50', 'OUTPUT_DIR'), ('KEY VALUE', 'is odd, 3')),
        (('DATALOADER.SAMPLER', 'triplet'), ('DATALOADER.SAMPLER', "'triplet'", 'softmax_triplet')),
        (
            ('MODEL.METRIC_LOSS_TYPE', 'quadruplet'),
            ('MODEL.METRIC_LOSS_TYPE', 'quadruplet', 'triplet_center'),
        ),
        (('SOLVER.AMP', 'int8'), ('SOLVER.AMP', 'int8', 'auto', 'bf16')),
        (('MODEL.DEVICE', 'gpu'), ('MODEL.DEVICE', 'gpu', 'cuda', 'cpu')),
        (('MODEL.NAME', 'resnet50'), ('MODEL.NAME', 'resnet50', 'RN50', 'ViT-B-16')),
        (
            ('SOLVER.STAGE1.OPTIMIZER_NAME', 'Adamm'),
            ('SOLVER.STAGE1.OPTIMIZER_NAME', 'Adamm', 'AdamW', 'SGD'),
        ),
        (
            ('SOLVER.STAGE2.OPTIMIZER_NAME', 'LBFGS'),
            ('SOLVER.STAGE2.OPTIMIZER_NAME', 'LBFGS', 'AdamW', 'SGD'),
        ),
        (
            ('SOLVER.STAGE2.IMS_PER_BATCH', 9),
            ('SOLVER.STAGE2.IMS_PER_BATCH 9', 'DATALOADER.NUM_INSTANCE 2', 'multiple'),
        ),
        (
            ('MODEL.PRETRAIN_CHOICE', 'self', 'MODEL.PRETRAIN_PATH', ''),
            ('MODEL.PRETRAIN_CHOICE', 'MODEL.PRETRAIN_PATH'),
        ),
    ],
)
def test_config_is_refused_before_anything_is_made(world, opts, words):
    refused(train_clipreid.main, world.args(*opts), *words)
    assert not world.output.exists()


@pytest.mark.parametrize(
    'text, words',
    [
        (
            'MODEL: {NAME: RN50}\nTEST: {}\nMODEL: {NECK: bnneck}',
            ('MODEL is given twice', 'line 3'),
        ),
        ('MODEL:\n  NAME: RN50\n  NECK: bnneck\n  NAME: RN101', ('NAME is given twice', 'line 4')),
        (
            'MODEL: {NAME: !!python/object/apply:os.system [touch victim]}',
            ('python/object', 'line 1'),
        ),
        ('MODEL: {NAME: !!python/name:os.system }', ('python/name', 'line 1')),
        ('a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]', ('alias *a is not allowed', 'line 2')),
        ('MODEL: &m {NAME: &m2 [*m2]}', ('alias *m2', 'line 1')),
        ('[' * 50_000, ('nested too deep',)),
        ('{a: ' * 20_000, ('nested too deep',)),
        ('OUTPUT_DIR: ' + 'x' * 100_000, ('larger than 100000 bytes',)),
        ('OUTPUT_DIR: "a\\0b"', ('OUTPUT_DIR', 'without NUL', r"'a\x00b'")),
        ('OUTPUT_DIR: "\\ud800"', ('OUTPUT_DIR', 'UTF-8')),
        ('OUTPUT_DIR: a\0b', ('not a readable YAML file', 'x0000')),
        (b'OUTPUT_DIR: caf\xe9', ('not a readable YAML file', 'utf-8')),
        ('OUTPUT_DIR: !!binary aGVsbG8=', ('OUTPUT_DIR must be a text',)),
        ('OUTPUT_DIR: [[[[a]]]]', ('OUTPUT_DIR must be a text',)),
        (
            'SOLVER: {SEED: 0x' + 'f' * 5000 + '}',
            ('SOLVER.SEED must be a whole number', 'a huge int'),
        ),
        ('SOLVER: {MARGIN: ' + '9' * 400 + '}', ('SOLVER.MARGIN must be a number',)),
        ('SOLVER: {SEED: 1' + ':1' * 200 + '}', ('SOLVER.SEED must be a whole number',)),
        ('SOLVER: {SEED: 2001-13-45}', ('not a readable YAML file', 'month')),
        ('OUTPUT_DIR: !!int ', ('not a readable YAML file',)),
        ('OUTPUT_DIR: !!timestamp now', ('not a readable YAML file',)),
        ('? [a]\n: 1', ('not a readable YAML file', 'unhashable')),
        ('a: 1\n---\nb: 1', ('not a readable YAML file', 'single document')),
        ('- a', ('expected sections', 'list')),
        ('_BASE_: bad.yml', ('goes round in a circle',)),
        ('_BASE_: /dev/zero', ('/dev/zero is a folder, pipe or device',)),
        ('_BASE_: pipe.yml', ('pipe.yml is a folder, pipe or device',)),
        ('_BASE_: .', ('is a folder',)),
        ('_BASE_: gone.yml', ('gone.yml does not exist',)),
        ('_BASE_: ' + 'x' * 5000, ('does not exist',)),
        ('_BASE_: "a\\0b"', ('_BASE_ must be the path of a yml',)),
        ('_BASE_: [a.yml]', ('_BASE_ must be the path of a yml',)),
    ],
)
def test_config_files_made_to_hurt(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    os.mkfifo('pipe.yml')  # nobody writes to it
    (tmp_path / 'bad.yml').write_bytes(text if isinstance(text, bytes) else text.encode())
    line = refused(train_clipreid.main, ['--config_file', 'bad.yml'], *words)
    assert line.isprintable() and len(line) < 500
    assert sorted(os.listdir()) == ['bad.yml', 'pipe.yml']


def test_a_chain_of_bases_ends(tmp_path):
    for number in range(20):
        (tmp_path / f'{number}.yml').write_text(f'_BASE_: {number + 1}.yml')
    refused(
        train_clipreid.main,
        ['--config_file', str(tmp_path / '0.yml')],
        '11.yml',
        'more than 10 ymls',
    )


@pytest.mark.parametrize(
    'opts, words',
    [
        (('SOLVER.SEED', '0x' + 'f' * 5000), ('SOLVER.SEED', 'a whole number')),
        (('SOLVER.SEED', '9' * 5000), ('SOLVER.SEED', 'a whole number')),
        (('SOLVER.SEED', '(' * 5000), ('SOLVER.SEED', 'a whole number')),
        (('SOLVER.SEED', '-' * 5000 + '1'), ('SOLVER.SEED', 'a whole number')),
        (('SOLVER.SEED', '1+' * 5000 + '1'), ('SOLVER.SEED', 'a whole number')),
        (('INPUT.SIZE_TRAIN', '[' * 90 + ']' * 90), ('INPUT.SIZE_TRAIN', 'whole numbers')),
        (('INPUT.SIZE_TRAIN', '[1' + '0' * 400 + ', 1]'), ('INPUT.SIZE_TRAIN', 'whole numbers')),
        (('INPUT.PIXEL_STD', '[1e999, 1, 1]'), ('INPUT.PIXEL_STD', 'finite')),
        (('MODEL.' * 1000 + 'X', '1'), ('unknown key MODEL.MODEL',)),
        (('X' * 100_000, '1'), ('unknown key XXX',)),
        (('MODEL.NAME\n', '1'), (r'unknown key MODEL.NAME\n',)),
        (('', '1'), ('unknown key',)),
        (('OUTPUT_DIR', '\udce9'), ('OUTPUT_DIR', 'UTF-8')),
        (('MODEL.DEVICE', 'x' * 100_000), ('MODEL.DEVICE', "'cpu'")),
    ],
)
def test_overrides_made_to_hurt(tmp_path, monkeypatch, opts, words):
    monkeypatch.chdir(tmp_path)
    assert len(refused(train_clipreid.main, opts, *words)) < 1000
    assert os.listdir() == []


def test_a_text_is_not_a_program_to_anyone(tmp_path):
    """Values are read as literals at most."""
    victim = tmp_path / 'victim'
    for text in (
        f'__import__("pathlib").Path("{victim}").touch()',
        f'$(touch {victim})',
        f'; touch {victim}',
    ):
        assert load_cfg('', ['OUTPUT_DIR', text])['OUTPUT_DIR'] == text
        refused(train_clipreid.main, ['SOLVER.SEED', text], 'SOLVER.SEED', 'a whole number')
    assert not victim.exists()


# --------------------------------------------------------------------------------------- data sets


@pytest.mark.parametrize(
    'opts, words',
    [
        (
            ('DATASETS.SPECIES', 'lion', 'DATASETS.TRAIN_LIST', ''),
            ('DATASETS.SPECIES', 'lion', 'tiger', 'DATASETS.TRAIN_LIST'),
        ),
        (('DATASETS.NAMES', 'plants'), ('DATASETS.NAMES', 'plants', "'animals'")),
        (('DATASETS.ROOT_DIR', 'nowhere'), ('DATASETS.ROOT_DIR', 'nowhere/photos', 'no folder')),
        (('DATASETS.TRAIN_LIST', 'gone.txt'), ('gone.txt', 'no such list', 'DATASETS.LIST_DIR')),
        (('DATASETS.VAL_LIST', 'gone.txt'), ('gone.txt', 'no such list', 'DATASETS.LIST_DIR')),
        (
            ('SOLVER.STAGE2.IMS_PER_BATCH', 14),
            ('6 individuals', 'needs 7', 'SOLVER.STAGE2.IMS_PER_BATCH', '12 or less'),
        ),
        (('SOLVER.AMP', 'fp16'), ('SOLVER.AMP fp16', 'CUDA', 'auto')),
        (('MODEL.SIE_CAMERA', 'True'), ('MODEL.SIE_CAMERA', 'ViT', 'False')),
        (('MODEL.PROMPT', 'A photo of a tiger.'), ('MODEL.PROMPT', 'A photo of a tiger.', 'X')),
        (('INPUT.SIZE_TEST', '[64, 32]'), ('INPUT.SIZE_TRAIN', 'SIZE_TEST', '[64, 32]')),
        (
            ('INPUT.SIZE_TRAIN', '[8, 8]', 'INPUT.SIZE_TEST', '[8, 8]'),
            ('INPUT.SIZE_TRAIN', '[8, 8]'),
        ),
    ],
)
def test_training_data_and_model_choices(world, opts, words):
    refused(train_clipreid.main, world.args(*opts), *words)
    nothing_written(world)


@pytest.mark.parametrize(
    'opts, words',
    [
        (
            ('DATASETS.SPECIES', 'lion', 'DATASETS.QUERY_LIST', ''),
            ('DATASETS.SPECIES', 'lion', 'tiger', 'DATASETS.QUERY_LIST'),
        ),
        (('DATASETS.NAMES', 'plants'), ('DATASETS.NAMES', 'plants', "'animals'")),
        (
            ('DATASETS.PROTOCOL', 'bingo'),
            ('DATASETS.PROTOCOL', 'bingo', 'query_in_gallery', 'query_apart'),
        ),
        (('DATASETS.TEST_ROOT_DIR', 'nowhere'), ('DATASETS.TEST_ROOT_DIR', 'nowhere', 'no folder')),
        (('DATASETS.QUERY_LIST', 'gone.txt'), ('gone.txt', 'no such list')),
        (('DATASETS.GALLERY_LIST', 'gone.txt'), ('gone.txt', 'no such list')),
        (('TEST.RERANK_K1', 50, 'TEST.RE_RANKING', 'True'), ('k1 = 50', '16', 'TEST.RERANK_K1')),
    ],
)
def test_test_data(world, trained, opts, words):
    refused(test_clipreid.main, world.args('TEST.WEIGHT', trained['RN50'], *opts), *words)
    nothing_written(world)


BAD_LINES = [
    ('', ('the list is empty',)),
    ('\n \n', ('the list is empty',)),
    ('a/0.png 0\na/1.png\n', (':2: ', 'path label [side]')),
    ('a/0.png 0\n\na/1.png 1 0 7 8 9\n', (':3: ', 'path label [side]')),
    ('a/0.png zebra\n', (':1: ', "'zebra'", 'no integer')),
    ('a/0.png 1.5\n', (':1: ', "'1.5'", 'no integer')),
    ('a/0.png 0\na/1.png -2\n', (':2: ', "'-2'", 'negative')),
    (
        'a/0.png 0\n../secret/1.png 1\n',
        (':2: ', "'../secret/1.png'", 'DATASETS.ALLOW_OUTSIDE True'),
    ),
    ('/etc/passwd.png 0\n', (':1: ', "'/etc/passwd.png'", 'DATASETS.ALLOW_OUTSIDE True')),
    ('a\\0.png 0\n', (':1: ', "write folders with '/'")),
    ('a\0/0.png 0\n', (':1: ', 'control character')),
]


@pytest.mark.parametrize('key', ['TRAIN_LIST', 'VAL_LIST', 'QUERY_LIST', 'GALLERY_LIST'])
@pytest.mark.parametrize('text, words', BAD_LINES)
def test_malformed_lists(world, trained, key, text, words):
    path = world.folder / 'lists' / 'bad.txt'
    path.write_text(text)
    main = train_clipreid.main if key in ('TRAIN_LIST', 'VAL_LIST') else test_clipreid.main
    line = refused(
        main, world.args('TEST.WEIGHT', trained['RN50'], f'DATASETS.{key}', 'bad.txt'), *words
    )
    assert line.startswith(f'{path}:')
    nothing_written(world)


@pytest.mark.parametrize(
    'labels, words',
    [
        ((0, 1, 3), ('0 … n-1', '(2)', 'renumber')),
        ((1, 2, 3), ('0 … n-1', '(0)')),
        ((0, 0, 0), ('a single individual', 'two')),
    ],
)
def test_training_labels(world, labels, words):
    path = world.folder / 'lists' / 'train.txt'
    path.write_text(''.join(f'train/{i}/0.png {label}\n' for i, label in enumerate(labels)))
    refused(train_clipreid.main, world.args(), path, *words)
    nothing_written(world)


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
    assert '4 of 24 photos are missing' in log and 'going on without them' in log


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
        f'really is {world.folder / "elsewhere.png"}',
        'DATASETS.ALLOW_OUTSIDE True',
    )
    nothing_written(world)
    test_clipreid.main([*args, 'DATASETS.ALLOW_OUTSIDE', 'True'])


def test_the_data_folder_may_be_a_link(world, trained):
    (world.folder / 'test').rename(world.folder / 'disk')
    (world.folder / 'test').symlink_to('disk')
    test_clipreid.main(world.args('TEST.WEIGHT', trained['RN50']))


def break_photo(path, how):
    data = path.read_bytes()
    if how == 'long':
        return Image.new('L', (1, 1000)).save(path)
    path.write_bytes(
        {
            'truncated': data[: len(data) // 2],
            'empty': b'',
            'no picture': b'a letter, no picture' * 50,
        }[how]
    )


@pytest.mark.parametrize('how', ['truncated', 'empty', 'no picture', 'long'])
def test_broken_photos(world, trained, how):
    photo = world.folder / 'photos' / 'train' / '2' / '1.png'
    break_photo(photo, how)
    refused(
        train_clipreid.main,
        world.args(),
        photo,
        'take it out of the list',
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
        'train.txt: 1 of 24 photos cannot be read; going on without them, 0 individuals have no '
        'photo left'
    ) in log
    assert 'val.txt: 1 of 6 photos cannot be read; going on without them, 1 individuals' in log
    data = json.loads((world.output / 'run.json').read_text())['data']
    assert (data['train']['photos'], data['val']['photos']) == (23, 5)

    test_clipreid.main(world.args('TEST.WEIGHT', trained['RN50'], 'DATASETS.SKIP_BROKEN', 'True'))
    results = json.loads((world.output / 'results.json').read_text())
    assert results['counts']['gallery']['photos'] == results['data']['gallery']['photos'] == 11
    assert (
        'gallery.txt: 1 of 12 photos cannot be read' in (world.output / 'test_log.txt').read_text()
    )


def test_turned_photos_are_told_once(world, trained):
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


# -------------------------------------------------------------------------------------------- ATRW


def tiger_world(world, entries):
    """The toy test photos under ATRW's names: 12 photos of 3 tigers; returns the overrides."""
    lines = []
    for number in range(12):
        source = world.folder / 'test' / str(6 + number // 4) / f'{number % 4}.png'
        os.rename(source, world.folder / 'test' / f'{number:06d}.png')
        lines.append(f'{number:06d}.png {number // 4}\n')
    lists = world.folder / 'lists'
    (lists / 'mytest.txt').write_text(''.join(lines))
    if entries is not None:
        (lists / 'gt_test_plain.json').write_text(json.dumps(entries))
    return 'DATASETS.SPECIES', 'tiger', 'DATASETS.QUERY_LIST', '', 'DATASETS.GALLERY_LIST', ''


def atrw_entry(number, entity=None):
    return {
        'imgid': number,
        'entityid': number // 4 if entity is None else entity,
        'query': 'multi' if number % 2 else 'sing',
        'frame': [1 + number % 2, 1, 100 * number],
    }


def test_atrw_complete(world, trained):
    opts = tiger_world(world, [atrw_entry(n) for n in range(12)])
    metrics = test_clipreid.main(world.args('TEST.WEIGHT', trained['RN50'], *opts))
    assert {'mmAP', 'sing/mAP', 'multi/mAP'} <= set(metrics)


@pytest.mark.parametrize(
    'entries, words',
    [
        (
            [atrw_entry(n) for n in range(9)],
            ('3 of 12 photos', '000009.png, 000010.png, 000011.png', 'not in the ground truth'),
        ),
        (
            [atrw_entry(n, 1 if n == 2 else None) for n in range(12)],
            ('000002.png', 'entity 1', '0'),
        ),
        ([], ('should be a list of photos',)),
        ([{'imgid': 1}], ('entry 1', 'imgid', 'entityid')),
        (None, ('no such file', 'DATASETS.GROUND_TRUTH', 'DATASETS.PROTOCOL')),
    ],
)
def test_atrw_ground_truth_that_does_not_fit(world, trained, entries, words):
    opts = tiger_world(world, entries)
    refused(
        test_clipreid.main,
        world.args('TEST.WEIGHT', trained['RN50'], *opts),
        'gt_test_plain.json',
        *words,
    )
    nothing_written(world)


# ----------------------------------------------------------------------------------------- weights


class Evil:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, 'w')


def write_evil(path, how, victim):
    if how == 'pickle':
        path.write_bytes(pickle.dumps(Evil(victim)))
    else:
        torch.save(
            {'visual.proj': torch.zeros(2), 'evil': Evil(victim)},
            path,
            pickle_protocol=2,
            _use_new_zipfile_serialization=how != 'legacy',
        )
    if how == 'torchscript':  # what marks a TorchScript archive
        with zipfile.ZipFile(path, 'a') as archive:
            folder = archive.namelist()[0].split('/')[0]
            archive.writestr(f'{folder}/constants.pkl', pickle.dumps((), protocol=2))


@pytest.mark.parametrize('how', ['pickle', 'zip', 'legacy', 'torchscript'])
def test_a_pickle_that_holds_code_is_refused_and_not_run(world, how):
    weight, victim = world.folder / 'evil.pth', world.folder / 'victim'
    write_evil(weight, how, victim)
    told = ('evil.pth',) if how == 'torchscript' else ('evil.pth', 'refused and not run')
    refused(test_clipreid.main, world.args('TEST.WEIGHT', weight), 'TEST.WEIGHT', 'evil.pth')
    for choice in ('clip', 'self', 'finetune'):
        words = told if choice == 'clip' else ('evil.pth',)
        refused(
            train_clipreid.main,
            world.args('MODEL.PRETRAIN_CHOICE', choice, 'MODEL.PRETRAIN_PATH', weight),
            'MODEL.PRETRAIN_PATH',
            *words,
        )
    assert not victim.exists()
    nothing_written(world)


def test_the_evil_pickle_is_evil(tmp_path):
    pickle.loads(pickle.dumps(Evil(tmp_path / 'victim'))).close()
    assert (tmp_path / 'victim').exists()


def test_test_weight_empty_or_missing(world):
    refused(test_clipreid.main, world.args(), 'TEST.WEIGHT is empty', 'RN50_80.pth')
    refused(
        test_clipreid.main, world.args('TEST.WEIGHT', 'gone.pth'), 'TEST.WEIGHT', 'no file gone.pth'
    )
    refused(
        train_clipreid.main,
        world.args('MODEL.PRETRAIN_PATH', 'gone.pth'),
        'MODEL.PRETRAIN_PATH',
        'gone.pth',
    )
    nothing_written(world)


@pytest.mark.parametrize('share', [0, 0.3, 0.999])
def test_truncated_weights(world, trained, toy_weights, share):
    weight = world.folder / 'cut.pth'
    for script, key, source in (
        (test_clipreid, 'TEST.WEIGHT', trained),
        (train_clipreid, 'MODEL.PRETRAIN_PATH', toy_weights),
    ):
        with open(source['RN50'], 'rb') as file:
            data = file.read()
        weight.write_bytes(data[: int(len(data) * share)])
        refused(
            script.main, world.args(key, weight), key, weight, 'cut short', 'copy or write it again'
        )
    nothing_written(world)


def test_weights_of_another_architecture(world, trained, toy_weights):
    refused(
        train_clipreid.main,
        world.args('MODEL.PRETRAIN_PATH', toy_weights['ViT-B-16']),
        'MODEL.NAME is RN50',
        'ResNet',
        'ViT with patches of 16 pixels',
        toy_weights['ViT-B-16'],
    )
    refused(
        test_clipreid.main,
        world.args('TEST.WEIGHT', trained['RN50'], name='ViT-B-16'),
        'MODEL.NAME is ViT-B-16',
        'ResNet',
        trained['RN50'],
    )
    refused(
        test_clipreid.main,
        world.args('TEST.WEIGHT', toy_weights['RN50']),
        'TEST.WEIGHT',
        'MODEL.PRETRAIN_PATH',
    )
    refused(
        train_clipreid.main,
        world.args('MODEL.PRETRAIN_PATH', trained['RN50']),
        'MODEL.PRETRAIN_PATH',
        'finetune',
    )
    nothing_written(world)


def test_weights_with_missing_keys_and_other_shapes(world, trained):
    state = load_state(trained['RN50'])
    del state['bottleneck.weight']
    state['image_encoder.layer1.0.conv2.weight'] = torch.zeros(4, 4, 3, 3)
    state['surplus'] = torch.zeros(1)
    weight = world.folder / 'odd.pth'
    torch.save(state, weight)
    refused(
        test_clipreid.main,
        world.args('TEST.WEIGHT', weight),
        'TEST.WEIGHT',
        weight,
        '1 missing (bottleneck.weight)',
        '1 unknown (surplus)',
        'image_encoder.layer1.0.conv2.weight (4, 4, 3, 3) instead of (16, 16, 3, 3)',
    )
    nothing_written(world)


def test_going_on_with_other_individuals(world, trained):
    (world.folder / 'lists' / 'train.txt').write_text(
        ''.join(f'train/{i}/{n}.png {i}\n' for i in range(4) for n in range(4))
    )
    refused(
        train_clipreid.main,
        world.args('MODEL.PRETRAIN_CHOICE', 'self', 'MODEL.PRETRAIN_PATH', trained['RN50']),
        'knows 6 individuals',
        'has 4',
        'finetune',
    )
    nothing_written(world)


def test_cached_weights_with_another_sha(world, monkeypatch):
    cache = world.folder / 'cache'
    cache.mkdir()
    (cache / 'RN50.pt').write_bytes(b'not the file of OpenAI')
    monkeypatch.setenv('CLIP_CACHE', str(cache))
    refused(
        train_clipreid.main,
        world.args('MODEL.PRETRAIN_PATH', ''),
        cache / 'RN50.pt',
        'SHA-256',
        'delete it',
    )
    nothing_written(world)


def test_no_network(world, monkeypatch):
    cache = world.folder / 'cache'
    monkeypatch.setenv('CLIP_CACHE', str(cache))
    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.setattr(
        weights, 'URL', 'http://127.0.0.1:9/{sha256}/{file}'
    )  # the discard port: nobody listens
    refused(
        train_clipreid.main,
        world.args('MODEL.PRETRAIN_PATH', ''),
        'RN50.pt',
        f'put it at {cache / "RN50.pt"}',
    )
    assert [path.name for path in cache.iterdir()] == ['RN50.pt.lock']
    nothing_written(world)


# ------------------------------------------------------------------------- output, device, numbers


@pytest.mark.parametrize(
    'main', [train_clipreid.main, test_clipreid.main, test_rerank_clipreid.main]
)
def test_output_dir_cannot_be_written(world, main):
    (world.folder / 'file').write_text('')
    for folder in (world.folder / 'file' / 'output', world.folder / 'file'):
        refused(
            main, world.args('OUTPUT_DIR', folder), f'OUTPUT_DIR {folder}', 'choose another folder'
        )
    refused(main, world.args('OUTPUT_DIR', ''), 'OUTPUT_DIR is empty', 'OUTPUT_DIR ./output/mine')


def test_cuda_without_one_is_a_warning_and_the_cpu(world, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    train_clipreid.main(world.args('MODEL.DEVICE', 'cuda', *ONE_EPOCH))
    assert "WARNING: MODEL.DEVICE is 'cuda'" in (world.output / 'train_log.txt').read_text()
    assert json.loads((world.output / 'run.json').read_text())['device'].startswith('cpu')
    assert (world.output / 'RN50_1.pth').exists()


def test_nan_features(world, trained, toy_weights):
    weight = world.folder / 'nan.pth'
    state = load_state(trained['RN50'])
    state['image_encoder.layer1.0.conv1.weight'][0, 0] = float('nan')
    torch.save(state, weight)
    for script in (test_clipreid, test_rerank_clipreid):
        refused(
            script.main,
            world.args('TEST.WEIGHT', weight),
            world.folder / 'test' / '6' / '0.png',
            'NaN',
            'checkpoint',
        )
    state = load_state(toy_weights['RN50'])
    state['visual.conv1.weight'][0, 0] = float('inf')
    torch.save(state, weight)
    refused(
        train_clipreid.main,
        world.args('MODEL.PRETRAIN_PATH', weight),
        world.folder / 'photos' / 'train' / '0' / '0.png',
        'NaN',
        'weights',
    )
    nothing_written(world)


@pytest.fixture(params=['each iteration', 'log period'])
def looks(request, monkeypatch):
    """When the loops look at the loss: at once, as on the CPU, or every LOG_PERIOD, as on an
    accelerator.
    """
    if request.param == 'log period':
        monkeypatch.setattr(Runtime, 'fetch_period', lambda self, period: period)


def test_nan_loss_in_stage_1(world, looks):
    line = refused(
        train_clipreid.main,
        world.args('SOLVER.STAGE1.BASE_LR', 1e30, 'SOLVER.STAGE1.WARMUP_EPOCHS', 0),
        'stage 1, epoch 1, iteration 2',
        'not finite',
        'i2t nan',
        't2i nan',
        'SOLVER.STAGE1.BASE_LR',
    )
    assert line.count(str(world.folder / 'photos' / 'train')) == 8  # the photos of the batch
    nothing_written(world)


@pytest.mark.parametrize('log_period', [1, 2, 50])
def test_nan_loss_in_stage_2(world, looks, log_period):
    line = refused(
        train_clipreid.main,
        world.args(
            *NO_STAGE1, 'SOLVER.STAGE2.BASE_LR', 1e30, 'SOLVER.STAGE2.LOG_PERIOD', log_period
        ),
        'stage 2, epoch 1, iteration 2',
        'not finite',
        'id ',
        'triplet ',
        'i2t ',
        'nan',
        'SOLVER.STAGE2.BASE_LR',
    )
    assert line.count(str(world.folder / 'photos' / 'train')) == 8
    assert [p.name for p in world.output.glob('*.pth')] == ['resume.pth']  # of the moment before
    tensors = load_tree(world.output / 'resume.pth', 'SOLVER.RESUME')['tensors']
    assert tensors and all(tensor.isfinite().all() for tensor in tensors.values())


# ------------------------------------------------------------------------------------- as commands


def command(script, args):
    env = {**os.environ, 'OMP_NUM_THREADS': '1'}
    return subprocess.run(
        [sys.executable, script, *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
    )


def test_command_with_an_unknown_key(world):
    done = command('train_clipreid.py', world.args('MODEL.NANE', 'RN50'))
    assert done.returncode == 2 and done.stdout == ''
    assert done.stderr == 'error: command line: unknown key MODEL.NANE; did you mean MODEL.NAME?\n'


def test_command_with_a_broken_photo(world):
    photo = world.folder / 'photos' / 'train' / '2' / '1.png'
    break_photo(photo, 'truncated')
    done = command('train_clipreid.py', world.args('DATALOADER.NUM_WORKERS', 1))
    assert done.returncode == 2
    assert done.stderr.startswith(f'error: {photo}: ') and done.stderr.count('\n') == 1
    assert 'Traceback' not in done.stdout
    nothing_written(world)


def test_command_with_an_evil_pickle(world):
    weight, victim = world.folder / 'evil.pth', world.folder / 'victim'
    write_evil(weight, 'pickle', victim)
    done = command('test_clipreid.py', world.args('TEST.WEIGHT', weight))
    assert done.returncode == 2
    assert done.stderr.startswith('error: TEST.WEIGHT: ') and done.stderr.count('\n') == 1
    assert not victim.exists()
    nothing_written(world)


KILL = textwrap.dedent('''
    """Many times: save over a checkpoint in a child, kill it at a random moment, read the file."""
    import os, random, signal, sys, time
    import torch
    from utils.checkpoint import load_state, save_state
    path, tries = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    def state(number):
        return {f'layer{i}.weight': torch.full((200_000,), float(number)) for i in range(4)}
    save_state(state(0), path)
    unfinished = 0
    for attempt in range(tries):
        hang = attempt < 2  # these two are surely killed within a write
        child = os.fork()
        if child == 0:
            if hang:
                os.fsync = lambda handle: time.sleep(60)  # nothing is on the disk yet
            number = int(load_state(path)['layer0.weight'][0])
            while True:
                number += 1
                save_state(state(number), path)
        time.sleep(0.2 if hang else random.uniform(0.005, 0.06))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        loaded = load_state(path)  # whole, and of one moment
        values = {float(value) for tensor in loaded.values() for value in tensor.unique()}
        assert len(loaded) == 4 and len(values) == 1, values
        assert not hang or values == {0.0}, values
        unfinished += sum(name.startswith('.tmp-') for name in os.listdir(os.path.dirname(path)))
    print(unfinished)
''')


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='kills a forked process')
def test_kill_9_during_a_checkpoint_write_leaves_the_previous_one_readable(tmp_path):
    path = tmp_path / 'RN50_10.pth'
    done = command('-c', [KILL, str(path), '25'])
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 2  # unfinished files that the killed ones left
    assert len(load_state(path)) == 4


def test_a_reader_that_has_ended():
    """python tools/… | head: no traceback."""
    code = (
        'import sys; from utils.errors import exit_code; sys.exit(exit_code(lambda: '
        "[print('x' * 99) for _ in range(9999)]))"
    )
    program = subprocess.Popen(
        [sys.executable, '-c', code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    program.stdout.read(10)
    program.stdout.close()
    _, said = program.communicate(timeout=60)
    assert (said, program.returncode) == (b'', 141)
