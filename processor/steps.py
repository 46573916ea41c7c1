"""What both training loops do in the same way, in each iteration and after each epoch."""

import logging
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce

import torch

from datasets.workers import ImageLoader
from model.reid_model import ReIDModel
from solver.lr_scheduler import EpochScheduler
from utils.device import Runtime, memory_in_use
from utils.errors import InputError
from utils.meter import EpochMeter, Stopwatch
from utils.run.journal import Journal, Stateful

logger = logging.getLogger('transreid.train')

LINE_SECONDS = 30  # from one estimate in the log to the next
WAITING = 0.5  # share of an epoch spent waiting for photos that is warned of
SHORT = 2.0  # seconds of waiting that are not worth a warning


@dataclass(frozen=True)
class TrainingSetup:
    """What a stage trains, and how."""

    stage: int  # 1 or 2
    model: ReIDModel
    loader: ImageLoader
    optimizers: dict[str, torch.optim.Optimizer]
    parts: Mapping[str, Stateful]  # what a resumed run must restore besides the model
    scheduler: EpochScheduler
    epochs: int
    log_period: int  # iterations
    checkpoint_period: int  # epochs; the last one is always saved


def is_due(epoch: int, period: int, epochs: int) -> bool:
    """Whether something is done after ``epoch``: every ``period`` epochs and after the last."""
    return epoch % period == 0 or epoch == epochs


class Heartbeat:
    """Reports on one stage.

    Args:
        stage: 1 or 2.
        epochs: How many the stage has.
        runtime: Whose memory is reported.
        journal: Of the run.
        unused: Terms of the loss that are constant because the config says so.
    """

    def __init__(
        self,
        stage: int,
        epochs: int,
        runtime: Runtime,
        journal: Journal,
        unused: Iterable[str] = (),
    ):
        self.stage, self.epochs, self.runtime, self.journal = stage, epochs, runtime, journal
        self._warned = {'loss', 'acc', *unused}  # of these no (further) warning
        self._watch = Stopwatch()
        self._last_estimate: Stopwatch | None = None
        self._first: int | None = None  # epoch that this process has done

    def text(self, epoch: int) -> str:
        """For the progress bar of ``epoch``."""
        left = self._time_left(epoch - 1)
        return f'stage {self.stage}, epoch {epoch}/{self.epochs}{f", ETA {left}" if left else ""}'

    def beat(self, epoch: int, meter: EpochMeter, lr: float, waited: float) -> None:
        """Report an epoch that is done: a line of metrics.jsonl, the time left, warnings.

        Args:
            epoch: From 1.
            meter: Of this epoch, settled.
            lr: Learning rate of the first group.
            waited: Seconds of waiting for photos since the epoch began or was resumed.
        """
        self._first = self._first or epoch
        share = min(1.0, waited / self.journal.epoch_watch.seconds)
        self._write(epoch, meter, lr, share)
        self._log_time_left(epoch)
        # the first epoch decodes the photos for the others
        if epoch > self._first and share > WAITING and waited > SHORT:
            self._warn_once(
                'loader',
                'the loader is the bottleneck: %.0f %% of epoch %d was spent waiting for photos; '
                'raise DATALOADER.NUM_WORKERS (this machine has %d cores) or DATALOADER.CACHE_GB, '
                'or make the photos smaller',
                100 * share,
                epoch,
                os.cpu_count(),
            )
        for term in meter.constant:
            self._warn_once(
                term,
                'the %s term of the loss was %.6g in every iteration of epoch %d: it teaches '
                'nothing; look at its weight, the learning rate and the data',
                term,
                meter.last[term],
                epoch,
            )

    def _write(self, epoch: int, meter: EpochMeter, lr: float, waiting: float) -> None:
        seconds = self.journal.epoch_watch.seconds
        means = {
            name if name in ('loss', 'acc') else f'{name}_loss': mean
            for name, mean in meter.means().items()
        }
        self.journal.write(
            f'stage{self.stage}_epoch',
            epoch=epoch,
            **means,
            lr=lr,
            seconds=seconds,
            photos_per_second=meter.photos / seconds,
            data_wait_share=waiting,
            **memory_in_use(self.runtime.device),
        )

    def _log_time_left(self, epoch: int) -> None:
        left = self._time_left(epoch)
        if left and (self._last_estimate is None or self._last_estimate.seconds >= LINE_SECONDS):
            self._last_estimate = Stopwatch()
            logger.info(
                'ETA %s: stage %d, %d of %d epochs done', left, self.stage, epoch, self.epochs
            )

    def _time_left(self, epoch: int) -> timedelta | None:
        """How long the rest of the stage will take; None before one epoch has been timed."""
        if self._first is None or epoch >= self.epochs:
            return None
        seconds_per_epoch = self._watch.seconds / (epoch - self._first + 1)
        return timedelta(seconds=round(seconds_per_epoch * (self.epochs - epoch)))

    def _warn_once(self, subject: str, text: str, *values: object) -> None:
        if subject not in self._warned:
            self._warned.add(subject)
            logger.warning(text, *values)


class TrainingSteps:
    """The steps of one stage.

    Args:
        setup: What the stage trains.
        iterations: Of an epoch.
        runtime: Device, precision and processes.
        journal: Of the run.
        unused: Terms of the loss that are constant because the config says so.
        own_gradients: Parameters outside a wrapped model: of several processes their gradients are
            averaged here.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        iterations: int,
        runtime: Runtime,
        journal: Journal,
        unused: Iterable[str] = (),
        own_gradients: Sequence[torch.nn.Parameter] = (),
    ):
        self.setup, self.iterations = setup, iterations
        self.runtime, self.journal = runtime, journal
        self.own_gradients = own_gradients
        self.heartbeat = Heartbeat(setup.stage, setup.epochs, runtime, journal, unused)
        self.check_period = runtime.fetch_period(setup.log_period)
        self.first_group = setup.optimizers['optimizer'].param_groups[0]  # its rate is logged

    def step(
        self,
        iteration: int,
        indices: torch.Tensor,
        photos: int,
        terms: dict[str, torch.Tensor],
        **others: torch.Tensor,
    ) -> None:
        """Update the weights; check, log and save where it is time to.

        Args:
            iteration: Of the epoch, from 1.
            indices: Of the photos of this process.
            photos: How many photos all processes have together.
            terms: Weighted terms of the loss, scalars.
            others: Further numbers to be logged, scalars.
        """
        loss = reduce(torch.add, terms.values())
        self.journal.meter.add(photos, (iteration, indices), loss=loss, **others, **terms)
        if iteration % self.check_period == 0:
            self.check_loss()
        optimizers, scaler = self.setup.optimizers.values(), self.runtime.scaler
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        self.runtime.processes.average_gradients(self.own_gradients)
        for optimizer in optimizers:
            scaler.step(optimizer)
        scaler.update()
        if iteration % self.setup.log_period == 0:
            self._log(iteration)
        if self.journal.wants_state(iteration):
            self.check_loss()
            self.journal.save()

    def check_loss(self) -> None:
        """Fetch the losses since the last check, before anything of them is saved.

        Raises:
            InputError: One of them is NaN or infinite; the message holds what helps to find why.
        """
        stage, records = self.setup.stage, self.setup.loader.dataset.records
        for (iteration, indices), numbers in self.journal.meter.fetch():
            if math.isfinite(numbers['loss']):
                continue
            values = ', '.join(f'{name} {value:.4g}' for name, value in numbers.items())
            paths = ', '.join(records[int(index)].path for index in indices)
            raise InputError(
                f'stage {stage}, epoch {self.journal.epoch}, iteration {iteration}: the loss '
                f'is not finite ({values}); lower SOLVER.STAGE{stage}.BASE_LR, set SOLVER.AMP '
                f'off, or look at the photos of this batch: {paths}'
            )

    def _log(self, iteration: int) -> None:
        epoch, meter, stage = self.journal.epoch, self.journal.meter, self.setup.stage
        means = {name: mean for name, mean in meter.means().items() if name in ('loss', 'acc')}
        accuracy = f'Acc: {means["acc"]:.3f}, ' if 'acc' in means else ''
        logger.info(
            'Epoch[%d] Iteration[%d/%d] Loss: %.3f, %sBase Lr: %.2e',
            epoch,
            iteration,
            self.iterations,
            means['loss'],
            accuracy,
            self.first_group['lr'],
        )
        suffix = '_loss' if stage == 2 else ''
        terms = {f'{name}{suffix}': last for name, last in meter.last.items() if name not in means}
        facts = means | {'lr': self.first_group['lr']} | terms
        self.journal.write(f'stage{stage}', epoch=epoch, iteration=iteration, **facts)

    def end_epoch(self, epoch: int, waited: float = 0.0, validates: bool = False) -> None:
        """All iterations of ``epoch`` are done: report it; save what is due.

        Args:
            epoch: From 1.
            waited: Seconds of waiting for photos since the epoch began or was resumed.
            validates: Whether a validation follows.
        """
        self.check_loss()
        if validates or is_due(epoch, self.journal.policy.period, self.setup.epochs):
            self.journal.save()  # what follows may be interrupted, and is then done again
        self.heartbeat.beat(epoch, self.journal.meter, self.first_group['lr'], waited)
        if is_due(epoch, self.setup.checkpoint_period, self.setup.epochs):
            self.journal.save_checkpoint(f'stage1_{epoch}' if self.setup.stage == 1 else f'{epoch}')
