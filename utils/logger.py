"""The log that people read and grep, the same facts as JSON lines, and progress bars."""

import contextlib
import json
import logging
import logging.handlers
import os
import sys
import time
from pathlib import Path

from tqdm import tqdm

from utils.errors import escape_output
from utils.files import keep_earlier, writing

FORMAT = '%(asctime)s %(name)s %(levelname)s: %(message)s'


class _Screen(logging.Handler):
    """Lines to stdout, above a progress bar if one is being drawn. A stdout that is gone, as after
    `| tee`, ends no training: the log goes on in its file.
    """

    gone = False

    def emit(self, record):
        if self.gone:
            return
        try:
            tqdm.write(self.format(record), file=sys.stdout)
            sys.stdout.flush()
        except (
            OSError,
            ValueError,
            AttributeError,
        ):  # broken pipe, full disk; closed; there was none
            self.gone = True
            with contextlib.suppress(
                OSError, ValueError, AttributeError
            ):  # its buffer would fail again at the end
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _LogFile(logging.FileHandler):
    """A log that cannot be written any more ends the run in one line; logging itself would print a
    traceback a line.
    """

    def handleError(self, record):
        logging.getLogger('transreid').removeHandler(
            self
        )  # what is said about this goes to the screen alone
        with writing(self.baseFilename):
            raise sys.exc_info()[1]


def setup_logger(quiet=False):
    """Logger 'transreid' (and its children .train, .test) to stdout; lines are remembered for
    :func:`log_to_file`.

    quiet: no line and no progress bar, for all but the first of several processes.
    """
    logger = logging.getLogger('transreid')
    close_logger()
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1 if quiet else logging.INFO)
    if quiet:
        return logger
    escape_output()
    screen = _Screen()
    screen.setFormatter(logging.Formatter(FORMAT))
    logger.addHandler(screen)
    logger.addHandler(
        logging.handlers.MemoryHandler(capacity=10_000, flushLevel=logging.CRITICAL + 1)
    )
    return logger


def log_to_file(folder, filename, append=False):
    """From now on, and all lines since :func:`setup_logger`, to ``folder/filename`` as well.

    Called once everything is checked, so that a failed start leaves the files of an earlier run
    alone. A log of an earlier run is kept beside it under a number; ``append`` = it is this run's
    own, and goes on.
    """
    logger = logging.getLogger('transreid')
    path = Path(folder) / filename
    kept = None if append else keep_earlier(path)
    with writing(path):
        file = _LogFile(path, encoding='utf-8', errors='backslashreplace')  # names may be no UTF-8
    file.setFormatter(logging.Formatter(FORMAT))
    for memory in [h for h in logger.handlers if isinstance(h, logging.handlers.MemoryHandler)]:
        memory.setTarget(file)
        memory.flush()
        memory.setTarget(None)
        logger.removeHandler(memory)
    logger.addHandler(file)
    if kept:
        logger.info('%s already holds a run; its log is kept as %s', folder, kept.name)


def close_logger():
    """Give the log file back and let the loggers behave as if never set up."""
    logger = logging.getLogger('transreid')
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        with contextlib.suppress(OSError):  # what a full disk did not take
            handler.close()
    logger.propagate = True


class MetricsFile:
    """``metrics.jsonl``: one JSON object a line, written at once, so that a killed run keeps what
    it had.

    length: of the file, in bytes, when the run that goes on here was at the same place; what
    follows is cut off, as it will be written again. None: a new run, and the file of an earlier one
    is kept under a number.
    """

    def __init__(self, folder, length=None, filename='metrics.jsonl'):
        self.path = Path(folder) / filename
        if length is None:
            keep_earlier(self.path)
        with writing(self.path):
            if length is not None and self.path.exists():
                whole = self.path.read_bytes()[:length].rpartition(
                    b'\n'
                )  # cut by hand, a half line may be the last
                os.truncate(self.path, len(whole[0] + whole[1]))
            self._file = open(self.path, 'ab')  # noqa: SIM115 closed by __exit__

    def sync(self):
        """Put all on the disk, for a state that counts on it; returns the bytes so far."""
        with writing(self.path):
            os.fsync(self._file.fileno())
        return self._file.tell()

    def write(self, event, **facts):
        """``event`` names the kind of line: 'stage1', 'stage2', 'epoch', 'validation'…"""
        line = json.dumps({'event': event, 'time': round(time.time(), 3), **facts}) + '\n'
        with writing(self.path):
            self._file.write(line.encode())
            self._file.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):  # what a full disk did not take
            self._file.close()


def progress(iterable, text, total=None):
    """A progress bar on a terminal, nothing elsewhere."""
    quiet = logging.getLogger('transreid').level > logging.CRITICAL
    return tqdm(
        iterable,
        desc=text,
        total=total,
        leave=False,
        disable=quiet or not sys.stderr.isatty(),
        dynamic_ncols=True,
    )
