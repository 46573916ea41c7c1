"""Frozen stems and batch norms: what a training step changes, and what it does not."""

import copy

import pytest
import torch
from torch import nn

from configs import load_cfg
from model.make_model_clipreid import make_model
from model.timm_names import resolve_inputs
from solver.make_optimizer_prompt import make_optimizer_2stage
from tests.timm_worlds import BYOB, NO_TEXT, VIT
from utils.errors import InputError

KEYS = ('MODEL.FREEZE_STEM', 'MODEL.FREEZE_NORMS')
SIZE = ('INPUT.SIZE_TRAIN', '[32, 32]', 'INPUT.SIZE_TEST', '[32, 32]')
# by the source of timm and of model/clip: names of the tensors before the first block
STEMS = {
    BYOB: ('network.stem.',),
    VIT: ('network.cls_token', 'network.reg_token', 'network.pos_embed', 'network.patch_embed.'),
    'RN50': ('conv1.', 'bn1.', 'conv2.', 'bn2.', 'conv3.', 'bn3.'),
    'ViT-B-16': ('class_embedding', 'positional_embedding', 'conv1.', 'ln_pre.'),
}


def model_of(name, weights, *frozen):
    start = ('MODEL.NAME', f'timm:{name}', 'MODEL.PRETRAIN_CHOICE', 'random')
    if name in weights:
        start = ('MODEL.NAME', name, 'MODEL.PRETRAIN_PATH', str(weights[name]))
    opts = [part for key in frozen for part in (key, 'True')]
    cfg = resolve_inputs(load_cfg('', [*start, *map(str, NO_TEXT), *SIZE, *opts]))
    torch.manual_seed(0)
    return cfg, make_model(cfg, 4)


def changed_by_a_step(cfg, model):
    """Return the names of the image encoder's tensors that a training step changes."""
    before = copy.deepcopy(model.image_encoder.state_dict())
    optimizer = make_optimizer_2stage(cfg, model)
    model.eval().train()
    size = cfg.INPUT.SIZE_TRAIN
    scores, features, _ = model(torch.rand(4, 3, *size))
    (sum(f.square().mean() for f in features) + sum(s.mean() for s in scores)).backward()
    optimizer.step()
    state = model.image_encoder.state_dict()
    return {name for name in before if not torch.equal(before[name], state[name])}


def norm_tensors(model):
    return {
        f'{path}.{name}'
        for path, module in model.image_encoder.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for name in module.state_dict()
    }


@pytest.mark.parametrize('name', list(STEMS))
def test_a_frozen_stem(name, toy_weights):
    cfg, model = model_of(name, toy_weights)
    free = changed_by_a_step(cfg, model)
    frozen = changed_by_a_step(*model_of(name, toy_weights, KEYS[0]))
    of_stem = {tensor for tensor in free if tensor.startswith(STEMS[name])}
    assert of_stem and frozen == free - of_stem


@pytest.mark.parametrize('name', [BYOB, 'RN50'])
def test_frozen_batch_norms(name, toy_weights):
    """Weights and statistics stay, and photos do not influence each other."""
    cfg, model = model_of(name, toy_weights, KEYS[1])
    of_norms = norm_tensors(model)
    free = changed_by_a_step(*model_of(name, toy_weights))
    assert len(of_norms & free) > 10
    assert changed_by_a_step(cfg, model) == free - of_norms
    assert model.training and model.bottleneck.training
    photos = torch.rand(4, 3, *cfg.INPUT.SIZE_TRAIN)
    with torch.no_grad():
        whole, (alone, *_) = model.image_encoder(photos)[0], model.image_encoder(photos[:1])
    assert torch.allclose(whole[:1], alone, atol=1e-5)


def test_the_frozen_parts_are_logged(toy_weights, caplog):
    caplog.set_level('INFO', 'transreid')
    _, model = model_of('RN50', toy_weights, *KEYS)
    norms = [m for m in model.image_encoder.modules() if isinstance(m, nn.BatchNorm2d)]
    assert 'Frozen: the stem of the image encoder (9 weights)' in caplog.text
    assert f'Frozen: the {len(norms)} batch norms of the image encoder' in caplog.text


@pytest.mark.parametrize('name', [VIT, 'ViT-B-16'])
def test_an_encoder_without_batch_norms_is_rejected(name, toy_weights):
    with pytest.raises(InputError, match=r'FREEZE_NORMS is True, but MODEL.NAME .* no batch norms'):
        model_of(name, toy_weights, KEYS[1])


def test_a_network_whose_stem_is_not_known_is_rejected(monkeypatch):
    network = 'timm.models.byobnet.ByobNet.group_matcher'
    for groups in ({}, {'stem': '^nothing'}):
        monkeypatch.setattr(network, lambda self, groups=groups: groups)
        with pytest.raises(InputError, match='FREEZE_STEM is True, but MODEL.NAME timm:.* no stem'):
            model_of(BYOB, {}, KEYS[0])
