"""Golden schedules and optimizer groups, and their configs."""

import json
from types import SimpleNamespace

import torch
from torch import nn

from tests.helpers import GOLDEN

SOLVER = json.loads((GOLDEN / 'solver.json').read_text())
CONFIGS = json.loads((GOLDEN / 'configs.json').read_text())


def namespace(tree):
    """Nested dicts as attributes, like a config node."""
    return SimpleNamespace(
        **{
            key: namespace(value) if isinstance(value, dict) else value
            for key, value in tree.items()
        }
    )


def golden_config(name):
    tree = {}
    for key, value in CONFIGS['loads'][name].items():  # 'SOLVER.STAGE1.BASE_LR': 0.00035
        *path, last = key.split('.')
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return namespace(tree)


def config(**stage):
    """A config in which both stages have the same settings."""
    defaults = {
        'OPTIMIZER_NAME': 'SGD',
        'BASE_LR': 0.1,
        'MOMENTUM': 0.7,
        'WEIGHT_DECAY': 0.01,
        'WEIGHT_DECAY_BIAS': 0.02,
        'BIAS_LR_FACTOR': 2,
        'LARGE_FC_LR': False,
        'CENTER_LR': 0.5,
        'CENTER_LOSS_WEIGHT': 5e-4,
        'STEPS': (2, 4),
        'GAMMA': 0.1,
        'WARMUP_FACTOR': 0.01,
        'WARMUP_ITERS': 0,
        'WARMUP_METHOD': 'linear',
        'MAX_EPOCHS': 10,
        'WARMUP_EPOCHS': 0,
        'WARMUP_LR_INIT': 0.0,
        'LR_MIN': 0.0,
    }
    return namespace({'SOLVER': {'STAGE1': defaults | stage, 'STAGE2': defaults | stage}})


class Toy(nn.Module):
    """A small model with the parameter names of the real one."""

    def __init__(self):
        super().__init__()
        self.classifier = nn.Linear(2, 3)
        self.bottleneck = nn.BatchNorm1d(2)
        self.bottleneck.bias.requires_grad_(False)
        self.image_encoder = nn.Linear(2, 2)
        self.prompt_learner = nn.Module()
        self.prompt_learner.cls_ctx = nn.Parameter(torch.zeros(3, 4, 2))
        self.prompt_learner.fixed = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.text_encoder = nn.Linear(2, 2)
