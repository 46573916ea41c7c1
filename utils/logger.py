"""The log that people read and grep, the same facts as JSON lines, and progress bars."""
import json
import logging
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


def setup_logger(folder, filename):
    """Logger 'transreid' (and its children .train, .test) to stdout and ``folder/filename``.

    A log of an earlier run is kept beside it under a number. Calling again closes the files of the last call.
    """
    logger = logging.getLogger('transreid')
    close_logger()
    path = Path(folder) / filename
    kept = keep_earlier(path)
    try:
        handlers = [_Screen(), logging.FileHandler(path, encoding='utf-8')]
    except OSError as error:
        raise InputError(f'cannot write the log {path}: {error.strerror}') from None
    for handler in handlers:
        handler.setFormatter(logging.Formatter(FORMAT))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if kept:
        logger.info('%s already holds a run; its log is kept as %s', folder, kept.name)
    return logger


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
        self._file = open(path, 'a', encoding='utf-8')  # noqa: SIM115 closed by close()

    def write(self, event, **facts):
        """``event`` names the kind of line: 'stage1', 'stage2', 'epoch', 'validation'…"""
        self._file.write(json.dumps({'event': event, 'time': round(time.time(), 3), **facts}) + '\n')
        self._file.flush()

    def close(self):
        self._file.close()


def progress(iterable, text, total=None):
    """A progress bar on a terminal, nothing elsewhere."""
    return tqdm(iterable, desc=text, total=total, leave=False, disable=not sys.stderr.isatty(), dynamic_ncols=True)
