"""Optimizers of both stages from the config: which parameters, at which rate, with which decay."""

import inspect
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from yacs.config import CfgNode

Settings = tuple[nn.Parameter, float, float]  # a parameter, its rate and weight decay


def make_optimizer_1stage(cfg: CfgNode, model: nn.Module) -> Optimizer:
    """Return the optimizer of stage 1: the prompts (``prompt_learner.*``) and nothing else.

    Raises:
        ValueError: there are no prompts to train.
    """
    solver = cfg.SOLVER.STAGE1
    settings = [
        (parameter, solver.BASE_LR, solver.WEIGHT_DECAY)
        for name, parameter in model.named_parameters()
        if name.startswith('prompt_learner.') and parameter.requires_grad
    ]
    return _make_optimizer(solver, settings)


def make_optimizer_2stage(cfg: CfgNode, model: nn.Module) -> Optimizer:
    """Return the optimizer of stage 2: all that is trained but the prompts and the text encoder.

    Names with "bias" have the rate times BIAS_LR_FACTOR and WEIGHT_DECAY_BIAS; LARGE_FC_LR puts the
    classifiers at 2 · BASE_LR. The first group, whose rate the log shows, is that of the model's
    first weight.

    Raises:
        ValueError: there is nothing to train.
    """
    solver = cfg.SOLVER.STAGE2
    settings = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or name.startswith(('text_encoder', 'prompt_learner')):
            continue
        lr, weight_decay = solver.BASE_LR, solver.WEIGHT_DECAY
        if 'bias' in name:
            lr, weight_decay = solver.BASE_LR * solver.BIAS_LR_FACTOR, solver.WEIGHT_DECAY_BIAS
        if solver.LARGE_FC_LR and 'classifier' in name:
            lr = 2 * solver.BASE_LR
        settings.append((parameter, lr, weight_decay))
    return _make_optimizer(solver, settings)


def make_optimizer_center(cfg: CfgNode, criterion: nn.Module) -> Optimizer | None:
    """Return SGD at STAGE2.CENTER_LR over the centres of ``criterion``, None without centres."""
    centers = list(criterion.parameters())  # a loss has no others
    return torch.optim.SGD(centers, lr=cfg.SOLVER.STAGE2.CENTER_LR) if centers else None


def _takes(optimizer_class: type[Optimizer], argument: str) -> bool:
    return argument in inspect.signature(optimizer_class).parameters


def _make_optimizer(solver: CfgNode, settings: list[Settings]) -> Optimizer:
    """The optimizer OPTIMIZER_NAME; MOMENTUM goes to the classes that have one.

    Parameters of one rate and weight decay share a group, in the order of their first: what is done
    to a group at once need not be done to each of its parameters.
    """
    if not settings:
        raise ValueError('there is no parameter to train in this stage')
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for parameter, lr, weight_decay in settings:
        new = {'params': [], 'lr': lr, 'weight_decay': weight_decay}
        groups.setdefault((lr, weight_decay), new)['params'].append(parameter)
    optimizer_class = getattr(torch.optim, solver.OPTIMIZER_NAME)
    options = {}
    if _takes(optimizer_class, 'momentum'):
        # not fused: torch's SGD then fails on a parameter whose first gradient comes late
        options['momentum'] = solver.MOMENTUM
    elif _fuses(optimizer_class, settings[0][0].device):
        options['fused'] = True
    return optimizer_class(list(groups.values()), lr=solver.BASE_LR, **options)


def _fuses(optimizer_class: type[Optimizer], device: torch.device) -> bool:
    """Whether the class can do a step in one kernel on this device.

    Tried on one number, as torch's own lists are private.
    """
    if not _takes(optimizer_class, 'fused'):
        return False
    number = torch.zeros(1, device=device, requires_grad=True)
    number.grad = torch.zeros_like(number)
    try:
        options: dict[str, Any] = {'lr': 0.1, 'fused': True}  # of the subclasses
        optimizer_class([number], **options).step()
    except (RuntimeError, NotImplementedError):
        return False
    return True
