"""Lists, labels and ground truths that do not fit."""

import json
import os

import pytest

import test_clipreid
import train_clipreid
from tests.bad_input.inputs import (
    nothing_written,
    refused,
)


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
    ('a/0.png zebra\n', (':1: ', "'zebra'", 'not a whole number')),
    ('a/0.png 1.5\n', (':1: ', "'1.5'", 'not a whole number')),
    ('a/0.png 0\na/1.png -2\n', (':2: ', "'-2'", 'not a whole number')),
    (
        'a/0.png 0\n../secret/1.png 1\n',
        (':2: ', "'../secret/1.png'", 'DATASETS.ALLOW_OUTSIDE True'),
    ),
    ('/etc/passwd.png 0\n', (':1: ', "'/etc/passwd.png'", 'DATASETS.ALLOW_OUTSIDE True')),
    ('a\\0.png 0\n', (':1: ', "separate folders with '/'")),
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
