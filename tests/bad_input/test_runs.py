"""Folders that cannot be written, devices that are missing, numbers that are not finite."""

import json

import pytest
import torch

import test_clipreid
import test_rerank_clipreid
import train_clipreid
from tests.bad_input.inputs import (
    NO_STAGE1,
    ONE_EPOCH,
    nothing_written,
    refused,
)
from utils.checkpoint import load_state, load_tree
from utils.device import Runtime


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
