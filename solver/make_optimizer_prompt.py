"""Optimizers of both stages from the config: which parameters, at which rate, with which decay."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from yacs.config import CfgNode


def make_optimizer_1stage(cfg: CfgNode, model: nn.Module) -> Optimizer:
    """Return the optimizer of stage 1: the prompts (``prompt_learner.*``) and nothing else."""
    solver = cfg.SOLVER.STAGE1
    prompts = [
        parameter
        for name, parameter in model.named_parameters()
        if name.startswith('prompt_learner.') and parameter.requires_grad
    ]
    return _make_optimizer(solver, {(solver.BASE_LR, solver.WEIGHT_DECAY): prompts})


def make_optimizer_2stage(cfg: CfgNode, model: nn.Module) -> Optimizer:
    """Return the optimizer of stage 2: all that is trained but the prompts and the text encoder.

    Names with "bias" have the rate times BIAS_LR_FACTOR and WEIGHT_DECAY_BIAS; LARGE_FC_LR puts the
    classifiers at 2 · BASE_LR. The first group, whose rate the log shows, is that of the model's
    first weight.
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
    """Return SGD at STAGE2.CENTER_LR over the centres of ``criterion``, None without centres."""
    centers = list(criterion.parameters())  # a loss has no others
    return torch.optim.SGD(centers, lr=cfg.SOLVER.STAGE2.CENTER_LR) if centers else None


def _make_optimizer(
    solver: CfgNode, groups: Mapping[tuple[float, float], list[nn.Parameter]]
) -> Optimizer:
    """The optimizer OPTIMIZER_NAME of the parameters by (rate, weight decay).

    They share a group where both are the same: what is done to a group at once need not be done to
    each of its parameters.
    """
    # SGD is not fused: torch's then fails on a parameter whose first gradient comes late
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
