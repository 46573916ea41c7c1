"""Weights: files of every kind, the cache and the download, and what does not fit."""

import math
import warnings

import pytest
import torch
from torch import nn
from yacs.config import CfgNode

from configs.defaults import RULES
from model.clip import weights
from model.clip.architecture import (
    ARCHITECTURES,
    architecture_of,
    find_architecture,
    resize_positions,
)
from model.clip.weights import load_clip
from model.make_model_clipreid import make_model, make_test_model
from tests.helpers import TOY, get_defaults, toy_clip_state, toy_config
from utils.checkpoint import load_state, save_state
from utils.errors import InputError


def refused(call, *words):
    with pytest.raises(InputError) as caught:
        call()
    line = str(caught.value)
    assert '\n' not in line
    for word in words:
        assert str(word) in line, line
    return line


@pytest.fixture
def config(tmp_path, toy_weights):
    """(name, PRETRAIN_PATH or default, overrides …) -> a config of the toy world."""

    def build(name='RN50', path=None, **model):
        cfg = get_defaults()
        cfg.merge_from_other_cfg(
            CfgNode(toy_config(tmp_path, name, str(path or toy_weights[name])))
        )
        cfg.MODEL.update(model)
        return cfg

    return build


def same(a, b):
    return a.keys() == b.keys() and all(
        a[n].dtype == b[n].dtype and torch.equal(a[n], b[n]) for n in a
    )


# ---------------------------------------------------------------------------------- kinds of files


class Holder(nn.Module):
    def forward(self, x):
        return x


def torchscript(state, path):
    """An archive as OpenAI publishes them: the tensors in a tree of modules, the numbers as
    buffers.
    """
    root = Holder()
    for name, tensor in state.items():
        *folders, last = name.split('.')
        module = root
        for folder in folders:
            if folder not in module._modules:
                module.add_module(folder, Holder())
            module = module._modules[folder]
        if tensor.is_floating_point():
            module.register_parameter(last, nn.Parameter(tensor))
        else:
            module.register_buffer(last, tensor)
    for name, number in (('input_resolution', 224), ('context_length', 77), ('vocab_size', 49408)):
        root.register_buffer(name, torch.tensor(number))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.jit.script(root).save(path)


def half(state):
    return {n: t.half() if t.is_floating_point() else t for n, t in state.items()}


@pytest.mark.parametrize('name', ['RN50', 'ViT-B-16'])
@pytest.mark.parametrize('save', [torchscript, torch.save])
def test_archives_and_state_dicts_in_both_precisions(name, save, tmp_path):
    state = toy_clip_state(name)
    save(state, tmp_path / 'a.pt')
    assert same(load_clip(name, tmp_path / 'a.pt')[0], state)
    save(half(state), tmp_path / 'b.pt')
    loaded = load_clip(name, tmp_path / 'b.pt')[0]
    assert same(
        loaded, {n: t.float() if t.is_floating_point() else t for n, t in half(state).items()}
    )
    assert architecture_of(loaded, 'b.pt') == TOY[name]


def test_a_model_from_an_archive(config, tmp_path):
    state = toy_clip_state('ViT-B-16', seed=3)
    torchscript(half(state), tmp_path / 'a.pt')
    model = make_model(config('ViT-B-16', tmp_path / 'a.pt'), 5).state_dict()
    for name in ('proj', 'conv1.weight', 'transformer.resblocks.1.mlp.c_fc.weight'):
        assert torch.equal(model[f'image_encoder.{name}'], state[f'visual.{name}'].half().float())
    assert torch.equal(
        model['text_encoder.text_projection'], state['text_projection'].half().float()
    )
    assert model['classifier.weight'].shape == (5, 64)


def test_old_files_lack_the_counters_of_batch_norms(config, tmp_path):
    state = {
        n: t for n, t in toy_clip_state('RN50').items() if not n.endswith('num_batches_tracked')
    }
    torch.save(state, tmp_path / 'old.pth')
    make_model(config('RN50', tmp_path / 'old.pth'), 3)


def test_prefix_of_data_parallel(config, tmp_path):
    model = make_model(config(), 4)
    torch.save({f'module.{n}': t for n, t in model.state_dict().items()}, tmp_path / 'parallel.pth')
    assert same(load_state(tmp_path / 'parallel.pth'), dict(model.state_dict()))
    other = make_model(config(), 4)
    assert not torch.equal(other.classifier.weight, model.classifier.weight)
    other.load_param(tmp_path / 'parallel.pth')
    assert same(dict(other.state_dict()), dict(model.state_dict()))


def test_names_of_openai():
    assert (
        find_architecture('ViT-B/16')[0] == 'ViT-B-16'
        and find_architecture('ViT-L/14@336px')[0] == 'ViT-L-14-336px'
    )
    names = RULES['MODEL.NAME'].choices
    assert {find_architecture(name)[0] for name in names} == set(ARCHITECTURES) <= set(names)
    assert set(weights.OFFICIAL) == set(ARCHITECTURES)
    assert all(len(sha256) == 64 for sha256 in weights.OFFICIAL.values())


# ------------------------------------------------------------------------------- what does not fit


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


def test_any_truncation_and_damage_of_an_old_file_is_told(tmp_path):
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


# --------------------------------------------------------------------------------------- positions


def bilinear(square, rows, columns):
    """By hand: half-pixel centres, the border repeated. square: nested lists [side][side] of
    vectors.
    """
    side = len(square)

    def neighbours(i, count):
        place = max((i + 0.5) * side / count - 0.5, 0)
        low = math.floor(place)
        return low, min(low + 1, side - 1), place - low

    result = []
    for row in range(rows):
        top, bottom, down = neighbours(row, rows)
        for column in range(columns):
            left, right, across = neighbours(column, columns)
            result.append(
                [
                    (a * (1 - across) + b * across) * (1 - down)
                    + (c * (1 - across) + d * across) * down
                    for a, b, c, d in zip(
                        square[top][left],
                        square[top][right],
                        square[bottom][left],
                        square[bottom][right],
                    )
                ]
            )
    return result


@pytest.mark.parametrize(
    'side, grid', [(3, (5, 4)), (7, (16, 8)), (7, (3, 9)), (2, (2, 1)), (4, (4, 4))]
)
def test_positions_are_interpolated(side, grid):
    embedding = torch.randn(
        1 + side * side, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    resized = resize_positions(embedding, grid)
    expected = bilinear(embedding[1:].reshape(side, side, 3).tolist(), *grid)
    assert resized.shape == (1 + grid[0] * grid[1], 3)
    assert torch.equal(resized[0], embedding[0])
    assert torch.allclose(resized[1:], torch.tensor(expected, dtype=torch.float64), atol=1e-12)


def test_positions_for_other_photos(config, toy_weights):
    cfg = config('ViT-B-16')
    cfg.INPUT.SIZE_TRAIN = cfg.INPUT.SIZE_TEST = [64, 32]
    model = make_model(cfg, 3)
    embedding = load_state(toy_weights['ViT-B-16'])['visual.positional_embedding']
    assert torch.equal(
        model.image_encoder.positional_embedding, resize_positions(embedding, (4, 2))
    )
