"""Weights: files that are damaged or do not fit the model."""

import warnings

import pytest
import torch

from model.clip.weights import load_clip
from model.make_model_clipreid import make_model, make_test_model
from tests.helpers import toy_clip_state
from tests.model.weight_files import refused, same, torchscript
from utils.checkpoint import load_state, save_state


def test_truncated_archive_and_state_dict(tmp_path):
    for save in (torchscript, torch.save):
        save({'visual.proj': torch.ones(300, 30)}, tmp_path / 'whole.pt')
        data = (tmp_path / 'whole.pt').read_bytes()
        for size in (0, 10, len(data) // 2, len(data) - 5):
            (tmp_path / 'cut.pt').write_bytes(data[:size])
            refused(lambda: load_clip('RN50', tmp_path / 'cut.pt'), 'MODEL.PRETRAIN_PATH', 'cut.pt')


@pytest.mark.parametrize(
    'data',
    [
        b'',
        b'a letter',
        b'[1, 2]',
        b'PK\x03\x04 and no more',
        b'\x80\x02',
        bytes(100),
        b'a\n' * 50,
        b'e0',
        b'\x80\x02]q\x00(K\x01K\x02e.',
    ],
)
def test_files_that_are_no_weights(tmp_path, data):
    (tmp_path / 'odd.pt').write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # a warning would be a second line
        refused(lambda: load_state(tmp_path / 'odd.pt', 'SOME.KEY'), 'SOME.KEY', 'odd.pt')


def test_any_truncation_and_damage_of_an_old_file_is_reported(tmp_path):
    torch.save(
        {'a.weight': torch.ones(40, 3)}, tmp_path / 'old.pth', _use_new_zipfile_serialization=False
    )
    data = (tmp_path / 'old.pth').read_bytes()
    for size in range(0, len(data) - 1, 7):
        (tmp_path / 'cut.pth').write_bytes(data[:size])
        refused(lambda: load_state(tmp_path / 'cut.pth'), 'TEST.WEIGHT', 'cut.pth')


@pytest.mark.parametrize(
    'content',
    [
        {},
        [],
        3,
        torch.ones(2),
        {'state_dict': {}},
        {'state_dict': {'a': 3}},
        {1: torch.ones(2)},
        {1: {'a': torch.ones(2)}},
        {'a': 3},
    ],
)
def test_no_plain_state_dict(tmp_path, content):
    torch.save(content, tmp_path / 'odd.pth')
    refused(
        lambda: load_state(tmp_path / 'odd.pth'), 'TEST.WEIGHT', 'odd.pth', 'not a plain state dict'
    )


def test_another_architecture(config, toy_weights):
    refused(
        lambda: make_model(config('RN50', toy_weights['ViT-B-16']), 3),
        'MODEL.NAME is RN50',
        'a ResNet',
        'a ViT with patches of 16 pixels',
        toy_weights['ViT-B-16'],
    )
    refused(
        lambda: make_model(config('ViT-B-16', toy_weights['RN50']), 3),
        'MODEL.NAME is ViT-B-16',
        toy_weights['RN50'],
    )


@pytest.mark.parametrize(
    'change, words',
    [
        (
            {'visual.layer2.0.conv1.weight': None},
            ('missing (image_encoder.layer2.0.conv1.weight)',),
        ),
        (
            {'visual.layer2.0.conv1.weight': torch.zeros(3, 3)},
            ('image_encoder.layer2.0.conv1.weight (3, 3) instead of',),
        ),
        ({'visual.surplus': torch.zeros(3)}, ('unknown (image_encoder.surplus)',)),
        ({'visual.attnpool.positional_embedding': torch.zeros(7, 512)}, ('7', 'positional')),
        (
            {'visual.attnpool.positional_embedding': torch.zeros(512)},
            ('visual.attnpool.positional_embedding',),
        ),
        ({'text_projection': None}, ('text_projection',)),
        ({'positional_embedding': torch.zeros(3)}, ('positional_embedding',)),
        ({'visual.layer1.0.conv1.weight': None}, ('image_encoder.layer1.0.conv1.weight',)),
        ({'token_embedding.weight': None}, ('token_embedding.weight',)),
        ({'token_embedding.weight': torch.zeros(100, 64)}, ('token_embedding.weight',)),
        ({'token_embedding.weight': torch.zeros(49408, 32)}, ('(77, 64) instead of (77, 32)',)),
        ({'positional_embedding': torch.zeros(50, 64)}, ('positional_embedding',)),
    ],
)
def test_missing_keys_and_other_shapes_are_named(config, tmp_path, change, words):
    state = {**toy_clip_state('RN50'), **change}
    torch.save({n: t for n, t in state.items() if t is not None}, tmp_path / 'odd.pth')
    refused(
        lambda: make_model(config('RN50', tmp_path / 'odd.pth'), 3), 'MODEL.PRETRAIN_PATH', *words
    )


def test_a_trained_model_that_does_not_fit(config, tmp_path):
    state = dict(make_model(config(), 4).state_dict())
    for name, value in (
        ('image_encoder.layer1.0.conv1.weight', torch.zeros(16)),
        ('classifier_proj.weight', torch.zeros(9, 64)),
        ('text_encoder.text_projection', torch.zeros(64)),
        ('prompt_learner.token_prefix', torch.zeros(5, 64)),
        ('classifier.weight', torch.tensor(1.0)),
    ):
        torch.save({**state, name: value}, tmp_path / 'odd.pth')
        cfg = config()
        cfg.TEST.WEIGHT = str(tmp_path / 'odd.pth')
        refused(lambda cfg=cfg: make_test_model(cfg), 'odd.pth')


def test_load_param_checks_whole_before_it_copies(config, tmp_path):
    model, other = make_model(config(), 4), make_model(config(), 4)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    state = {n: t + 1 for n, t in other.state_dict().items()}
    last = list(state)[-1]
    for change, words in (
        ({last: None}, '1 missing'),
        ({last: torch.zeros(1, 2, 3)}, '(1, 2, 3) instead of'),
        ({'surplus': torch.zeros(1)}, '1 unknown (surplus)'),
    ):
        changed = {n: t for n, t in {**state, **change}.items() if t is not None}
        save_state(changed, tmp_path / 'odd.pth')
        refused(lambda: model.load_param(tmp_path / 'odd.pth'), 'odd.pth', words)
        assert same(dict(model.state_dict()), before)
    save_state(state, tmp_path / 'right.pth')
    model.load_param(tmp_path / 'right.pth')
    assert same(dict(model.state_dict()), state)
