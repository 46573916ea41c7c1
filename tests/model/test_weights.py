"""Weights: files of every kind."""

import pytest
import torch

from configs.defaults import RULES
from model.clip import weights
from model.clip.architecture import (
    ARCHITECTURES,
    architecture_of,
    find_architecture,
)
from model.clip.weights import load_clip
from model.make_model_clipreid import make_model
from tests.helpers import TOY, toy_clip_state
from tests.model.weight_files import same, torchscript
from utils.checkpoint import load_state


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
