"""A long run reports how it is: the time left, each epoch's numbers, and what looks wrong."""

import logging
import os
from collections.abc import Iterable
from datetime import timedelta

from utils.device import Runtime, memory_in_use
from utils.meter import EpochMeter, Stopwatch
from utils.run.journal import Journal

logger = logging.getLogger('transreid.train')

LINE_SECONDS = 30  # from one estimate in the log to the next
WAITING = 0.5  # share of an epoch spent waiting for photos that is warned of
SHORT = 2.0  # seconds of waiting that are not worth a warning


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
        share = min(1.0, waited / self.journal.epoch_seconds)
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
        seconds, means = self.journal.epoch_seconds, meter.means()
        facts = {'epoch': epoch, 'loss': means.pop('loss', 0.0)}
        if 'acc' in means:
            facts['acc'] = means.pop('acc')
        self.journal.write(
            f'stage{self.stage}_epoch',
            **facts,
            **{f'{term}_loss': value for term, value in means.items()},
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
        rate = self._watch.seconds / (epoch - self._first + 1)
        return timedelta(seconds=round(rate * (self.epochs - epoch)))

    def _warn_once(self, subject: str, text: str, *values: object) -> None:
        if subject not in self._warned:
            self._warned.add(subject)
            logger.warning(text, *values)
