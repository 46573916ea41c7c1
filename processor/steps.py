"""What both training loops do in the same way: the update, the check of the loss, what is due."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from datasets.records import Record
from utils.device import Runtime
from utils.errors import InputError
from utils.run.journal import Journal


def update(
    loss: torch.Tensor,
    optimizers: Sequence[torch.optim.Optimizer],
    runtime: Runtime,
    own_gradients: Iterable[torch.nn.Parameter] = (),
) -> None:
    """One step of the optimizers, with gradient scaling where the precision needs it.

    Args:
        loss: Scalar.
        optimizers: All that step on this loss.
        runtime: Device, precision and processes.
        own_gradients: Parameters outside a wrapped model: of several processes their gradients are
            averaged here.
    """
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    runtime.scaler.scale(loss).backward()
    runtime.processes.average_gradients(own_gradients)
    for optimizer in optimizers:
        runtime.scaler.step(optimizer)
    runtime.scaler.update()


def is_due(epoch: int, period: int, epochs: int) -> bool:
    """Whether something is done after ``epoch``: every ``period`` epochs and after the last."""
    return epoch % period == 0 or epoch == epochs


@dataclass(frozen=True)
class LossCheck:
    """Ends a run whose loss is not finite, before anything is saved."""

    stage: int
    records: Sequence[Record]
    journal: Journal

    def __call__(self) -> None:
        """Fetch the losses since the last check.

        Raises:
            InputError: One of them is NaN or infinite; the message holds what helps to find why.
        """
        for (iteration, indices), numbers in self.journal.meter.settle():
            if math.isfinite(numbers['loss']):
                continue
            terms = {name: value for name, value in numbers.items() if name not in ('loss', 'acc')}
            values = ', '.join(f'{name} {value:.4g}' for name, value in terms.items())
            paths = ', '.join(self.records[int(index)].path for index in indices)
            raise InputError(
                f'stage {self.stage}, epoch {self.journal.epoch}, iteration {iteration}: the loss '
                f'is not finite ({values}); lower SOLVER.STAGE{self.stage}.BASE_LR, set SOLVER.AMP '
                f'off, or look at the photos of this batch: {paths}'
            )
