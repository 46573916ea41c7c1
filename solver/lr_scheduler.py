"""Learning rates of both stages: functions of the epoch, and an object that sets them."""

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
    """Return the rate of a linear warm-up followed by a cosine (SGDR without restarts).

    Loshchilov & Hutter, 2017, equation 5. The cosine begins at epoch 0; at ``warmup_epochs`` the
    rate jumps from the warm-up to its current value.

    Args:
        epoch: The epoch, from 1.
        base_lr: The highest rate of the cosine.
        max_epochs: The length of the cosine in epochs; afterwards the rate is ``lr_min``.
        warmup_epochs: The length of the warm-up in epochs.
        warmup_lr_init: The rate of epoch 0.
        lr_min: The rate at the end.
    """
    if epoch < warmup_epochs:
        return warmup_lr_init + epoch * (base_lr - warmup_lr_init) / warmup_epochs
    if epoch >= max_epochs:
        return lr_min
    return lr_min + 0.5 * (base_lr - lr_min) * (1 + math.cos(math.pi * epoch / max_epochs))


def warmup_factor(epoch: int, *, factor: float, iters: int, method: str = 'linear') -> float:
    """Return the warm-up factor of stage 2's rates in ``epoch``; it is 1 after the warm-up.

    Args:
        epoch: The epoch, from 1.
        factor: The factor at epoch 0.
        iters: The length of the warm-up in epochs, despite its name.
        method: 'linear' rises from ``factor`` to 1; 'constant' stays at ``factor``.
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
    """Return ``base_lr``, times ``gamma`` for every step reached, times the warm-up factor.

    Args:
        epoch: The epoch, from 1.
        base_lr: The rate before the first step.
        steps: The epochs of the steps.
        gamma: The factor of each step.
        warmup: Epoch -> warm-up factor, see :func:`warmup_factor`.
    """
    return base_lr * gamma ** sum(step <= epoch for step in steps) * warmup(epoch)


class EpochScheduler:
    """Sets every group's rate at the start of an epoch.

    It has no state: even in a resumed run, the rates depend on the epoch only.

    Args:
        optimizer: The current rate of each group becomes its base rate, 'initial_lr', unless that
            is set already.
        lr: (epoch, base rate) -> rate.
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
