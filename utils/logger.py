"""The log for people, the metrics as JSON lines, and progress bars."""

import contextlib
import json
import logging
import logging.handlers
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from tqdm import tqdm

from utils.errors import escape_output
from utils.files import keep_earlier, writing

logger = logging.getLogger('transreid')

# broken pipe or full disk; closed; none at all
STDOUT_ERRORS = (OSError, ValueError, AttributeError)
Shown = Callable[[logging.LogRecord], bool]

FILE_ONLY = {'file_only': True}  # value of ``extra`` for lines that are too long for the screen
FORMAT = '%(asctime)s %(name)s %(levelname)s: %(message)s'


def is_for_screen(record: logging.LogRecord) -> bool:
    """Return whether a line goes to the screen too, as all do that are logged without FILE_ONLY."""
    return not getattr(record, 'file_only', False)


class _Screen(logging.Handler):
    """Prints lines to stdout, above a progress bar if there is one.

    If stdout is closed, as after `| tee`, the training continues and logs to its file only.
    """

    shown: ClassVar[list[Shown]] = [is_for_screen]  # the last one counts

    def filter(self, record: logging.LogRecord) -> bool:
        return self.shown[-1](record)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            tqdm.write(self.format(record), file=sys.stdout)
            sys.stdout.flush()
        except STDOUT_ERRORS:
            self.setLevel(logging.CRITICAL + 1)
            with contextlib.suppress(*STDOUT_ERRORS):  # else its buffer would fail again at exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _LogFile(logging.FileHandler):
    """Ends the run with a one-line error if the log cannot be written.

    The logging module would print a traceback for each line instead.
    """

    def handleError(self, record: logging.LogRecord) -> None:
        logger.removeHandler(self)  # so this error goes to the screen only
        with writing(self.baseFilename):
            raise


def setup_logger(quiet: bool = False) -> logging.Logger:
    """Print the logger 'transreid' to stdout and keep its lines for :func:`log_to_file`.

    Args:
        quiet: Print nothing and show no progress bar; for all but the first of several processes.
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


@contextlib.contextmanager
def quiet_screen(shown: Shown) -> Iterator[None]:
    """Show only some lines on the screen within this block; log files still get all of them.

    Args:
        shown: Whether a line is shown.
    """
    _Screen.shown.append(shown)
    try:
        yield
    finally:
        _Screen.shown.pop()


def log_to_file(folder: str | Path, filename: str, append: bool = False) -> None:
    """Write all lines since :func:`setup_logger`, and those to come, to ``folder/filename`` too.

    Call it once everything has been checked, so that a failed start leaves the files of an earlier
    run alone. The log of an earlier run is kept under a numbered name.

    Args:
        folder: OUTPUT_DIR.
        filename: File name of the log.
        append: Whether to continue the existing log, because it belongs to this run.
    """
    path = Path(folder) / filename
    kept = None if append else keep_earlier(path)
    with writing(path):
        file = _LogFile(path, encoding='utf-8', errors='backslashreplace')
    file.setFormatter(logging.Formatter(FORMAT))
    memory = next(h for h in logger.handlers if isinstance(h, logging.handlers.MemoryHandler))
    memory.setTarget(file)
    memory.close()  # writes its lines
    logger.removeHandler(memory)
    logger.addHandler(file)
    if kept:
        logger.info('%s already holds a run; its log is kept as %s', folder, kept.name)


def close_logger() -> None:
    """Close the log file and undo :func:`setup_logger`."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        with contextlib.suppress(OSError):  # the disk may be full
            handler.close()
    logger.propagate = True


class MetricsFile(contextlib.AbstractContextManager):
    """``metrics.jsonl``: one JSON object per line, written at once, so a killed run keeps them.

    Args:
        folder: OUTPUT_DIR.
        length: The size of the file in bytes when the state was saved that the run resumes from.
            Later lines are cut off, as they will be written again. None starts a new file; an
            earlier one is kept under a numbered name.
    """

    def __init__(self, folder: str | Path, length: int | None = None) -> None:
        self.path = Path(folder) / 'metrics.jsonl'
        if length is None:
            keep_earlier(self.path)
        with writing(self.path):
            if length is not None and self.path.exists():
                # the last line may be incomplete if someone has cut the file
                os.truncate(self.path, self.path.read_bytes()[:length].rfind(b'\n') + 1)
            self._file = open(self.path, 'ab')  # noqa: SIM115 closed by __exit__

    def sync(self) -> int:
        """Force all lines to the disk before a state refers to them; return the file's size."""
        with writing(self.path):
            os.fsync(self._file.fileno())
        return self._file.tell()

    def write(self, event: str, **facts: Any) -> None:
        """Write a line; ``event`` is its kind: 'stage1', 'stage2', 'validation' …"""
        line = json.dumps({'event': event, 'time': round(time.time(), 3), **facts}) + '\n'
        with writing(self.path):
            self._file.write(line.encode())
            self._file.flush()

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # the disk may be full
            self._file.close()


def progress(iterable: Iterable | None, text: str, total: int | None = None) -> tqdm:
    """Show a progress bar on a terminal, and nothing elsewhere."""
    return tqdm(
        iterable,
        desc=text,
        total=total,
        leave=False,
        disable=not sys.stderr.isatty() or not logger.isEnabledFor(logging.CRITICAL),
        dynamic_ncols=True,
    )
