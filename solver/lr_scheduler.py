"""Learning rates of both stages: functions of the epoch, and a thin object that sets them."""

import math
from collections.abc import Callable, Sequence
from functools import partial

from torch.optim import Optimizer
from yacs.config import CfgNode


def stage1_lr(
    epoch: int,
    base_lr: float,
    *,
    max_epochs: int,
    warmup_epochs: int,
    warmup_lr_init: float,
    lr_min: float,
) -> float:
    """Return the rate of a linear warm-up and a cosine (SGDR without restarts).

    Loshchilov & Hutter, 2017, equation 5. The warm-up is counted inside the cosine, which takes
    over at epoch ``warmup_epochs`` where it is by then.

    Args:
        epoch: from 1.
        base_lr: the cosine's highest rate.
        max_epochs: epochs; from then on the rate is ``lr_min``.
        warmup_epochs: epochs.
        warmup_lr_init: the rate of epoch 0.
        lr_min: the rate at the end.
    """
    if epoch < warmup_epochs:
        return warmup_lr_init + epoch * (base_lr - warmup_lr_init) / warmup_epochs
    if epoch >= max_epochs:
        return lr_min
    return lr_min + 0.5 * (base_lr - lr_min) * (1 + math.cos(math.pi * epoch / max_epochs))


def warmup_factor(epoch: int, *, factor: float, iters: int, method: str = 'linear') -> float:
    """Return what stage 2's rates of ``epoch`` are multiplied by at the start of its schedule.

    Args:
        epoch: from 1.
        factor: what they are multiplied by at epoch 0.
        iters: epochs that the warm-up lasts, in spite of the name.
        method: 'linear' = a line from ``factor`` to 1; 'constant' = ``factor`` until the end.
    """
    if epoch >= iters:
        return 1.0
    progress = epoch / iters if method == 'linear' else 0.0
    return factor * (1 - progress) + progress


def stage2_lr(
    epoch: int,
    base_lr: float,
    *,
    steps: Sequence[int],
    gamma: float,
    warmup: Callable[[int], float],
) -> float:
    """Return ``base_lr`` times ``gamma`` for every step that is reached, times the warm-up.

    Args:
        epoch: from 1.
        base_lr: the rate before the first step.
        steps: epochs.
        gamma: factor of a step.
        warmup: function of the epoch to its factor, see :func:`warmup_factor`.
    """
    return base_lr * gamma ** sum(step <= epoch for step in steps) * warmup(epoch)


class EpochScheduler:
    """Sets every group's rate at the start of an epoch.

    It has no state: the epoch decides alone, also when a run resumes.

    Args:
        optimizer: each group's rate at this moment is its base ('initial_lr', unless that is set).
        lr: function of (epoch, base rate) to the rate.
    """

    def __init__(self, optimizer: Optimizer, lr: Callable[[int, float], float]):
        self.optimizer, self.lr = optimizer, lr
        for group in optimizer.param_groups:
            group.setdefault('initial_lr', group['lr'])

    def step(self, epoch: int) -> None:
        """Set the rates of ``epoch``, counted from 1."""
        for group in self.optimizer.param_groups:
            group['lr'] = self.lr(epoch, group['initial_lr'])


def make_scheduler_1stage(cfg: CfgNode, optimizer: Optimizer) -> EpochScheduler:
    """Return the schedule of the prompts, from SOLVER.STAGE1."""
    solver = cfg.SOLVER.STAGE1
    lr = partial(
        stage1_lr,
        max_epochs=solver.MAX_EPOCHS,
        warmup_epochs=solver.WARMUP_EPOCHS,
        warmup_lr_init=solver.WARMUP_LR_INIT,
        lr_min=solver.LR_MIN,
    )
    return EpochScheduler(optimizer, lr)


def make_scheduler_2stage(cfg: CfgNode, optimizer: Optimizer) -> EpochScheduler:
    """Return the schedule of the image encoder, from SOLVER.STAGE2."""
    solver = cfg.SOLVER.STAGE2
    warmup = partial(
        warmup_factor,
        factor=solver.WARMUP_FACTOR,
        iters=solver.WARMUP_ITERS,
        method=solver.WARMUP_METHOD,
    )
    lr = partial(stage2_lr, steps=solver.STEPS, gamma=solver.GAMMA, warmup=warmup)
    return EpochScheduler(optimizer, lr)
