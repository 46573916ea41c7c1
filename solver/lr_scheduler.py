"""Learning rates of both stages: pure functions of the epoch, and a thin object that sets them."""

import math


def stage1_lr(epoch, *, base_lr, max_epochs, warmup_epochs, warmup_lr_init, lr_min):
    """Linear warm-up from ``warmup_lr_init``, then a cosine (SGDR without restarts) to ``lr_min``
    at ``max_epochs``.

    The warm-up is counted inside the cosine: it takes over at epoch ``warmup_epochs`` where the
    cosine is by then.
    epoch: from 1; max_epochs, warmup_epochs: in epochs. Returns the learning rate of that epoch.
    """
    if epoch < warmup_epochs:
        return warmup_lr_init + epoch * (base_lr - warmup_lr_init) / warmup_epochs
    if epoch >= max_epochs:
        return lr_min
    return lr_min + 0.5 * (base_lr - lr_min) * (1 + math.cos(math.pi * epoch / max_epochs))


def stage2_lr(epoch, *, base_lr, steps, gamma, warmup_factor, warmup_iters, warmup_method='linear'):
    """``base_lr`` times ``gamma`` for every step that is reached, times the warm-up.

    The warm-up goes in a line from ``warmup_factor`` at epoch 0 to 1 at ``warmup_iters`` ('linear')
    or stays at ``warmup_factor`` until then ('constant'). epoch: from 1; steps, warmup_iters: in
    epochs, in spite of the name. Returns the learning rate of that epoch.
    """
    warmup = 1.0
    if epoch < warmup_iters:
        alpha = epoch / warmup_iters if warmup_method == 'linear' else 0.0
        warmup = warmup_factor * (1 - alpha) + alpha
    return base_lr * gamma ** sum(step <= epoch for step in steps) * warmup


class EpochScheduler:
    """Sets every group's rate at the start of an epoch. It has no state: the epoch says all, also
    when a run resumes.

    optimizer: torch optimizer; each group's rate at this moment is its base ('initial_lr', unless
    that is there).
    lr: function of (epoch, base_lr) to the learning rate.
    """

    def __init__(self, optimizer, lr):
        self.optimizer, self.lr = optimizer, lr
        for group in optimizer.param_groups:
            group.setdefault('initial_lr', group['lr'])

    def step(self, epoch):
        """Set the rates of ``epoch``, counted from 1. Raises ``ValueError`` for epochs before."""
        if epoch < 1:
            raise ValueError(f'epochs are counted from 1, got {epoch}')
        for group in self.optimizer.param_groups:
            group['lr'] = self.lr(epoch, group['initial_lr'])


def make_scheduler_1stage(cfg, optimizer):
    """The schedule of the prompts from SOLVER.STAGE1."""
    solver = cfg.SOLVER.STAGE1

    def lr(epoch, base_lr):
        return stage1_lr(
            epoch,
            base_lr=base_lr,
            max_epochs=solver.MAX_EPOCHS,
            warmup_epochs=solver.WARMUP_EPOCHS,
            warmup_lr_init=solver.WARMUP_LR_INIT,
            lr_min=solver.LR_MIN,
        )

    return EpochScheduler(optimizer, lr)


def make_scheduler_2stage(cfg, optimizer):
    """The schedule of the image encoder from SOLVER.STAGE2."""
    solver = cfg.SOLVER.STAGE2

    def lr(epoch, base_lr):
        return stage2_lr(
            epoch,
            base_lr=base_lr,
            steps=solver.STEPS,
            gamma=solver.GAMMA,
            warmup_factor=solver.WARMUP_FACTOR,
            warmup_iters=solver.WARMUP_ITERS,
            warmup_method=solver.WARMUP_METHOD,
        )

    return EpochScheduler(optimizer, lr)
