"""The log that people read and grep, the same facts as JSON lines, and progress bars."""

import contextlib
import json
import logging
import logging.handlers
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from utils.errors import escape_output
from utils.files import keep_earlier, writing

logger = logging.getLogger('transreid')

GONE = (OSError, ValueError, AttributeError)  # broken pipe, full disk; closed; there was none
FORMAT = '%(asctime)s %(name)s %(levelname)s: %(message)s'


class _Screen(logging.Handler):
    """Lines to stdout, above a progress bar if one is being drawn.

    A stdout that is gone, as after `| tee`, ends no training: the log continues in its file.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            tqdm.write(self.format(record), file=sys.stdout)
            sys.stdout.flush()
        except GONE:
            self.setLevel(logging.CRITICAL + 1)
            with contextlib.suppress(*GONE):  # its buffer would fail again at the end
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _LogFile(logging.FileHandler):
    """A log that cannot be written any more ends the run in one line.

    Logging itself would print a traceback for each line.
    """

    def handleError(self, record: logging.LogRecord) -> None:
        logger.removeHandler(self)  # this goes to the screen alone
        with writing(self.baseFilename):
            raise


def setup_logger(quiet: bool = False) -> logging.Logger:
    """Logger 'transreid' (and its children) to stdout; remembers lines for :func:`log_to_file`.

    Args:
        quiet: no line and no progress bar, for all but the first of several processes.
    """
    close_logger()
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1 if quiet else logging.INFO)
    escape_output()
    screen = _Screen()
    screen.setFormatter(logging.Formatter(FORMAT))
    logger.addHandler(screen)
    logger.addHandler(
        logging.handlers.MemoryHandler(capacity=10_000, flushLevel=logging.CRITICAL + 1)
    )
    return logger


def log_to_file(folder: str | Path, filename: str, append: bool = False) -> None:
    """From now on, and all lines since :func:`setup_logger`, to ``folder/filename`` as well.

    Called once everything is checked, so that a failed start leaves the files of an earlier run
    alone. A log of an earlier run is kept beside it under a number.

    Args:
        folder: OUTPUT_DIR.
        filename: of the log.
        append: the log there is this run's own, and continues.
    """
    path = Path(folder) / filename
    kept = None if append else keep_earlier(path)
    with writing(path):
        file = _LogFile(path, encoding='utf-8', errors='backslashreplace')  # names may be no UTF-8
    file.setFormatter(logging.Formatter(FORMAT))
    memory = next(h for h in logger.handlers if isinstance(h, logging.handlers.MemoryHandler))
    memory.setTarget(file)
    memory.close()  # writes its lines
    logger.removeHandler(memory)
    logger.addHandler(file)
    if kept:
        logger.info('%s already holds a run; its log is kept as %s', folder, kept.name)


def close_logger() -> None:
    """Give the log file back and let the loggers behave as if never set up."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        with contextlib.suppress(OSError):  # what a full disk did not take
            handler.close()
    logger.propagate = True


class MetricsFile(contextlib.AbstractContextManager):
    """``metrics.jsonl``: one JSON object a line, written at once, so a killed run keeps them.

    Args:
        folder: OUTPUT_DIR.
        length: bytes of the file when the resumed run was at the same place; what follows is cut
            off, as it will be written again. None: a new run, and the file of an earlier one is
            kept under a number.
    """

    def __init__(self, folder: str | Path, length: int | None = None) -> None:
        self.path = Path(folder) / 'metrics.jsonl'
        if length is None:
            keep_earlier(self.path)
        with writing(self.path):
            if length is not None and self.path.exists():
                # cut by hand, a half line may be the last
                os.truncate(self.path, self.path.read_bytes()[:length].rfind(b'\n') + 1)
            self._file = open(self.path, 'ab')  # noqa: SIM115 closed by __exit__

    def sync(self) -> int:
        """Put all on the disk, for a state that counts on it; the bytes so far."""
        with writing(self.path):
            os.fsync(self._file.fileno())
        return self._file.tell()

    def write(self, event: str, **facts: Any) -> None:
        """Write a line; ``event`` names its kind: 'stage1', 'stage2', 'epoch', 'validation' …"""
        line = json.dumps({'event': event, 'time': round(time.time(), 3), **facts}) + '\n'
        with writing(self.path):
            self._file.write(line.encode())
            self._file.flush()

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # what a full disk did not take
            self._file.close()


def progress(iterable: Iterable | None, text: str, total: int | None = None) -> tqdm:
    """A progress bar on a terminal, nothing elsewhere."""
    return tqdm(
        iterable,
        desc=text,
        total=total,
        leave=False,
        disable=not sys.stderr.isatty() or not logger.isEnabledFor(logging.CRITICAL),
        dynamic_ncols=True,
    )
