"""The steps that both training loops share: each iteration, and the end of each epoch."""

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

LINE_SECONDS = 30  # seconds between two estimates of the time left in the log
WAITING = 0.5  # a warning is logged if a larger share of an epoch was spent waiting for photos
SHORT = 2.0  # no warning is logged below so many seconds of waiting


@dataclass(frozen=True)
class TrainingSetup:
    """Settings of one stage, and the objects it trains with."""

    stage: int  # 1 or 2
    model: ReIDModel
    loader: ImageLoader
    optimizers: dict[str, torch.optim.Optimizer]
    parts: Mapping[str, Stateful]  # saved and restored in addition to the model
    scheduler: EpochScheduler
    epochs: int
    log_period: int  # iterations
    checkpoint_period: int  # epochs; the last epoch is always saved


def is_due(epoch: int, period: int, epochs: int) -> bool:
    """Return whether ``epoch`` is a multiple of ``period``, or the last of ``epochs``."""
    return epoch % period == 0 or epoch == epochs


class Heartbeat:
    """Reports on one stage: time left, numbers of each epoch, warnings.

    Args:
        stage: 1 or 2.
        epochs: The number of epochs of the stage.
        runtime: The device, whose memory is reported.
        journal: The journal of the run.
        unused: Loss terms whose weight is 0; being constant is no reason to warn about them.
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
        self._warned = {'loss', 'acc', *unused}  # no (further) warning about these
        self._watch = Stopwatch()
        self._last_estimate: Stopwatch | None = None
        self._first: int | None = None  # first epoch that this process has finished

    def text(self, epoch: int) -> str:
        """Return the text of the progress bar of ``epoch``."""
        left = self._time_left(epoch - 1)
        return f'stage {self.stage}, epoch {epoch}/{self.epochs}{f", ETA {left}" if left else ""}'

    def beat(self, epoch: int, meter: EpochMeter, lr: float, waited: float) -> None:
        """Report a finished epoch: a line of metrics.jsonl, the time left, warnings.

        Args:
            epoch: The epoch, counted from 1.
            meter: The numbers of this epoch, all of them fetched.
            lr: The learning rate of the first parameter group.
            waited: Seconds spent waiting for photos since the epoch started or was resumed.
        """
        self._first = self._first or epoch
        share = min(1.0, waited / self.journal.epoch_watch.seconds)
        self._write(epoch, meter, lr, share)
        self._log_time_left(epoch)
        # not in the first epoch, which decodes the photos for the others
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
                'the %s term of the loss was %.6g in every iteration of epoch %d: nothing is '
                'learned from it; check its weight, the learning rate and the data',
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
        """Estimate the time left in the stage; None before one epoch has been timed."""
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
        setup: The settings of the stage.
        iterations: The number of iterations of an epoch.
        runtime: The device, precision and processes.
        journal: The journal of the run.
        unused: Loss terms whose weight is 0.
        own_gradients: Parameters outside a wrapped model. If there are several processes, their
            gradients are averaged here.
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
        # the learning rate of this group is logged
        self.first_group = setup.optimizers['optimizer'].param_groups[0]

    def step(
        self,
        iteration: int,
        indices: torch.Tensor,
        photos: int,
        terms: dict[str, torch.Tensor],
        **others: torch.Tensor,
    ) -> None:
        """Update the weights; check, log and save when due.

        Args:
            iteration: The iteration of the epoch, counted from 1.
            indices: The indices of this process's photos.
            photos: The number of photos of all processes together.
            terms: Weighted terms of the loss, scalars.
            others: Further numbers to log, scalars.
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
        """Check the losses since the last check; always called before something is saved.

        Raises:
            InputError: One of them is NaN or infinite; the message helps to find the cause.
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
                f'off, or check the photos of this batch: {paths}'
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
        """End an epoch whose iterations are all done: save the state, report, save a checkpoint.

        Args:
            epoch: The epoch, counted from 1.
            waited: Seconds spent waiting for photos since the epoch started or was resumed.
            validates: Whether a validation follows.
        """
        self.check_loss()
        if validates or is_due(epoch, self.journal.policy.period, self.setup.epochs):
            self.journal.save()  # if the rest is interrupted, a resumed run repeats it
        self.heartbeat.beat(epoch, self.journal.meter, self.first_group['lr'], waited)
        if is_due(epoch, self.setup.checkpoint_period, self.setup.epochs):
            self.journal.save_checkpoint(f'stage1_{epoch}' if self.setup.stage == 1 else f'{epoch}')
