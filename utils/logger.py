"""The log that people read and grep, the same facts as JSON lines, and progress bars."""
import json
import logging
import logging.handlers
import sys
import time
from pathlib import Path

from tqdm import tqdm

from utils.errors import InputError
from utils.files import keep_earlier

FORMAT = '%(asctime)s %(name)s %(levelname)s: %(message)s'


class _Screen(logging.Handler):
    """Lines to stdout, above a progress bar if one is being drawn."""

    def emit(self, record):
        tqdm.write(self.format(record), file=sys.stdout)
        sys.stdout.flush()


def setup_logger():
    """Logger 'transreid' (and its children .train, .test) to stdout; lines are remembered for :func:`log_to_file`."""
    logger = logging.getLogger('transreid')
    close_logger()
    screen = _Screen()
    screen.setFormatter(logging.Formatter(FORMAT))
    logger.addHandler(screen)
    logger.addHandler(logging.handlers.MemoryHandler(capacity=10_000, flushLevel=logging.CRITICAL + 1))
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger


def log_to_file(folder, filename):
    """From now on, and all lines since :func:`setup_logger`, to ``folder/filename`` as well.

    Called once everything is checked, so that a failed start leaves the files of an earlier run alone. A log of an
    earlier run is kept beside it under a number.
    """
    logger = logging.getLogger('transreid')
    path = Path(folder) / filename
    kept = keep_earlier(path)
    try:
        file = logging.FileHandler(path, encoding='utf-8')
    except OSError as error:
        raise InputError(f'cannot write the log {path}: {error.strerror}') from None
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
        handler.close()
    logger.propagate = True


class MetricsFile:
    """``metrics.jsonl``: one JSON object a line, written at once, so that a killed run keeps what it had."""

    def __init__(self, folder, filename='metrics.jsonl'):
        path = Path(folder) / filename
        keep_earlier(path)
        self._file = open(path, 'a', encoding='utf-8')  # noqa: SIM115 closed by __exit__

    def write(self, event, **facts):
        """``event`` names the kind of line: 'stage1', 'stage2', 'epoch', 'validation'…"""
        self._file.write(json.dumps({'event': event, 'time': round(time.time(), 3), **facts}) + '\n')
        self._file.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()


def progress(iterable, text, total=None):
    """A progress bar on a terminal, nothing elsewhere."""
    return tqdm(iterable, desc=text, total=total, leave=False, disable=not sys.stderr.isatty(), dynamic_ncols=True)
