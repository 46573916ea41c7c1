"""Optimizers of both stages: which parameters, at which learning rate and weight decay."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from yacs.config import CfgNode


def make_optimizer_1stage(cfg: CfgNode, model: nn.Module) -> Optimizer:
    """Return the optimizer of stage 1, for the prompts (``prompt_learner.*``) only."""
    solver = cfg.SOLVER.STAGE1
    prompts = [
        parameter
        for name, parameter in model.named_parameters()
        if name.startswith('prompt_learner.') and parameter.requires_grad
    ]
    return _make_optimizer(solver, {(solver.BASE_LR, solver.WEIGHT_DECAY): prompts})


def make_optimizer_2stage(cfg: CfgNode, model: nn.Module) -> Optimizer:
    """Return the optimizer of stage 2, for everything but the prompts and the text encoder.

    Parameters with "bias" in their name get BASE_LR · BIAS_LR_FACTOR and WEIGHT_DECAY_BIAS. With
    LARGE_FC_LR the classifiers get 2 · BASE_LR. The log shows the rate of the first group, which
    holds the model's first weight.
    """
    solver = cfg.SOLVER.STAGE2
    groups = defaultdict(list)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or name.startswith(('text_encoder', 'prompt_learner')):
            continue
        lr, weight_decay = solver.BASE_LR, solver.WEIGHT_DECAY
        if 'bias' in name:
            lr, weight_decay = solver.BASE_LR * solver.BIAS_LR_FACTOR, solver.WEIGHT_DECAY_BIAS
        if solver.LARGE_FC_LR and 'classifier' in name:
            lr = 2 * solver.BASE_LR
        groups[lr, weight_decay].append(parameter)
    return _make_optimizer(solver, groups)


def make_optimizer_center(cfg: CfgNode, criterion: nn.Module) -> Optimizer | None:
    """Return SGD at STAGE2.CENTER_LR for the centres of ``criterion``; None without centres."""
    centers = list(criterion.parameters())  # it has no other parameters
    return torch.optim.SGD(centers, lr=cfg.SOLVER.STAGE2.CENTER_LR) if centers else None


def _make_optimizer(
    solver: CfgNode, groups: Mapping[tuple[float, float], list[nn.Parameter]]
) -> Optimizer:
    """Make the optimizer OPTIMIZER_NAME from the parameters by (rate, weight decay).

    Parameters with the same rate and weight decay share a group, which the optimizer updates at
    once.
    """
    # torch's fused SGD fails on a parameter whose first gradient comes late
    options: dict[str, Any] = {
        'SGD': {'momentum': solver.MOMENTUM},
        'RMSprop': {'momentum': solver.MOMENTUM},
        'Adam': {'fused': True},
        'AdamW': {'fused': True},
    }.get(solver.OPTIMIZER_NAME, {})
    param_groups = [
        {'params': parameters, 'lr': lr, 'weight_decay': weight_decay}
        for (lr, weight_decay), parameters in groups.items()
    ]
    return getattr(torch.optim, solver.OPTIMIZER_NAME)(param_groups, lr=solver.BASE_LR, **options)
