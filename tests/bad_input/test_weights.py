"""Weights that hold code, are cut short, or belong to another model."""

import pickle

import pytest
import torch

import test_clipreid
import train_clipreid
from model.clip import weights
from tests.bad_input.inputs import Evil, nothing_written, refused, write_evil
from utils.checkpoint import load_state


@pytest.mark.parametrize('how', ['pickle', 'zip', 'legacy', 'torchscript'])
def test_a_pickle_that_holds_code_is_rejected_and_not_run(world, how):
    weight, victim = world.folder / 'evil.pth', world.folder / 'victim'
    write_evil(weight, how, victim)
    told = ('evil.pth',) if how == 'torchscript' else ('evil.pth', 'rejected and not run')
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
            script.main, world.args(key, weight), key, weight, 'truncated, copy or save it again'
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


def test_resuming_with_other_individuals(world, trained):
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
        f'copy it to {cache / "RN50.pt"}',
    )
    assert [path.name for path in cache.iterdir()] == ['RN50.pt.lock']
    nothing_written(world)
