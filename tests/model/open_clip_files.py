"""Weights and configs as open_clip writes them."""

import json

import torch
from safetensors.torch import save_file
from yacs.config import CfgNode

from model.clip.open_clip import CONFIG
from tests.helpers import get_defaults, toy_config

VIT = 'ViT-B-16'
MODEL_CFG = {
    'embed_dim': 64,
    'vision_cfg': {'image_size': 32, 'layers': 2, 'width': 64, 'patch_size': 16},
    'text_cfg': {'context_length': 77, 'vocab_size': 49408, 'width': 64, 'heads': 1, 'layers': 2},
}


def as_safetensors(state, path):
    save_file(
        {name: tensor.contiguous() for name, tensor in state.items()},
        path,
        metadata={'format': 'pt'},
    )


def as_training_checkpoint(state, path):
    torch.save(
        {
            'epoch': 32,
            'name': 'run',
            'state_dict': {f'module.{name}': tensor for name, tensor in state.items()},
            'optimizer': {'state': {}, 'param_groups': [{'lr': 1e-3}]},
        },
        path,
    )


def write_config(folder, **model_cfg):
    (folder / CONFIG).write_text(
        json.dumps({'model_cfg': MODEL_CFG | model_cfg, 'preprocess_cfg': {'mean': [0.5] * 3}})
    )


def config(path, name=VIT, **model):
    cfg = get_defaults()
    cfg.merge_from_other_cfg(CfgNode(toy_config(path.parent, name, str(path))))
    cfg.MODEL.update(model)
    return cfg
