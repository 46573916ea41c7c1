"""Configs and overrides that are wrong, or made to hurt."""

import os

import pytest

import test_clipreid
import test_rerank_clipreid
import train_clipreid
from configs import load_cfg
from tests.bad_input.inputs import refused


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
def test_config_is_rejected_before_anything_is_made(world, opts, words):
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
        ('[' * 50_000, ('not a readable YAML file', 'recursion')),
        ('{a: ' * 20_000, ('not a readable YAML file', 'recursion')),
        ('OUTPUT_DIR: ' + 'x' * 100_000, ('larger than 100000 bytes',)),
        ('OUTPUT_DIR: "a\\0b"', ('OUTPUT_DIR', 'without NUL', r"'a\x00b'")),
        ('OUTPUT_DIR: "\\ud800"', ('OUTPUT_DIR', 'UTF-8')),
        ('OUTPUT_DIR: a\0b', ('not a readable YAML file', 'x0000')),
        (b'OUTPUT_DIR: caf\xe9', ('not a readable YAML file', 'utf-8')),
        ('OUTPUT_DIR: !!binary aGVsbG8=', ('OUTPUT_DIR must be text',)),
        ('OUTPUT_DIR: [[[[a]]]]', ('OUTPUT_DIR must be text',)),
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
        ('_BASE_: bad.yml', ('leads back to this file',)),
        ('_BASE_: /dev/zero', ('/dev/zero does not exist or is not a regular file',)),
        ('_BASE_: pipe.yml', ('not a regular file',)),
        ('_BASE_: .', ('not a regular file',)),
        ('_BASE_: gone.yml', ('gone.yml does not exist',)),
        ('_BASE_: ' + 'x' * 5000, ('does not exist',)),
        ('_BASE_: "a\\0b"', ('_BASE_ must be text (UTF-8 without NUL)',)),
        ('_BASE_: [a.yml]', ('_BASE_ must be text',)),
    ],
)
def test_config_files_made_to_hurt(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    os.mkfifo('pipe.yml')  # nobody writes to it
    (tmp_path / 'bad.yml').write_bytes(text if isinstance(text, bytes) else text.encode())
    line = refused(train_clipreid.main, ['--config_file', 'bad.yml'], *words)
    assert line.isprintable() and len(line) < 500
    assert sorted(os.listdir()) == ['bad.yml', 'pipe.yml']


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
