"""A long run tells how it is: the time left, what each epoch was like, and what looks wrong."""

import logging
import os
from datetime import timedelta

from utils.device import memory_in_use
from utils.meter import Stopwatch

logger = logging.getLogger('transreid.train')

LINE_SECONDS = 30  # from one estimate in the log to the next
WAITING = 0.5  # share of an epoch spent waiting for photos that is warned of
SHORT = 2.0  # seconds of waiting that are nothing to warn of


class Heartbeat:
    """Of one stage with ``epochs`` epochs. unused: names of terms that are constant because the
    config says so.
    """

    def __init__(self, stage, epochs, runtime, journal, unused=()):
        self.stage, self.epochs, self.runtime, self.journal = stage, epochs, runtime, journal
        self._told = set(unused)  # of what a warning was given, or is not to be given
        self._watch, self._line, self._first = Stopwatch(), None, None

    def text(self, epoch):
        """For the progress bar of ``epoch``."""
        left = self._left(epoch - 1)
        return f'stage {self.stage}, epoch {epoch}/{self.epochs}{f", ETA {left}" if left else ""}'

    def beat(self, epoch, tally, lr, waited):
        """At an epoch's end: a line of metrics.jsonl, the time left, and warnings.

        tally: settled, of this epoch. lr: learning rate of the first group. waited: seconds of
        waiting for photos since the epoch began, or went on.
        """
        self._first = self._first or epoch
        seconds = self.journal.epoch_seconds
        share = min(1.0, waited / seconds)
        means = tally.means()
        facts = {
            'epoch': epoch,
            'loss': means.pop('loss', 0.0),
            **({'acc': means.pop('acc')} if 'acc' in means else {}),
            **{f'{term}_loss': value for term, value in means.items()},
            'lr': lr,
            'seconds': seconds,
            'photos_per_second': tally.photos / seconds,
            'data_wait_share': share,
            **memory_in_use(self.runtime.device),
        }
        self.journal.write(f'stage{self.stage}_epoch', **facts)
        left = self._left(epoch)
        if left and (self._line is None or self._line.seconds >= LINE_SECONDS):
            self._line = Stopwatch()
            logger.info(
                'ETA %s: stage %d, %d of %d epochs done', left, self.stage, epoch, self.epochs
            )
        if (
            epoch > self._first and share > WAITING and waited > SHORT
        ):  # the first epoch decodes for the others
            self._warn_once(
                'loader',
                'the loader is the bottleneck: %.0f %% of epoch %d was spent waiting for photos; '
                'raise '
                'DATALOADER.NUM_WORKERS (this machine has %d cores) or DATALOADER.CACHE_GB, or '
                'make the photos '
                'smaller',
                100 * share,
                epoch,
                os.cpu_count(),
            )
        for term in tally.constant:
            if term not in ('loss', 'acc'):
                self._warn_once(
                    term,
                    'the %s term of the loss was %.6g in every iteration of epoch %d: it teaches '
                    'nothing; '
                    'look at its weight, the learning rate and the data',
                    term,
                    tally.last[term],
                    epoch,
                )

    def _left(self, epoch):
        """Time that the rest of the stage will take, as text; None before the first epoch has been
        timed.
        """
        if self._first is None or epoch >= self.epochs:
            return None
        rate = self._watch.seconds / (epoch - self._first + 1)
        return timedelta(seconds=round(rate * (self.epochs - epoch)))

    def _warn_once(self, what, text, *values):
        if what not in self._told:
            self._told.add(what)
            logger.warning(text, *values)
