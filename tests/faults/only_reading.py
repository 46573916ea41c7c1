"""What a reader may do with an input: read it, and answer at once."""

import os
import signal
import sys
from contextlib import contextmanager

from utils.errors import InputError

SECONDS = 20  # for one input, on a busy machine


class Hang(BaseException):
    """No Exception, so that no reader takes it for a damaged file."""


class Touch(BaseException):
    """A reader writes, deletes, or starts a program."""


WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FORBIDDEN = {
    'os.system',
    'os.exec',
    'os.posix_spawn',
    'os.fork',
    'subprocess.Popen',
    'socket.connect',
    'shutil.rmtree',
    *(
        f'os.{name}'
        for name in ('mkdir', 'remove', 'rmdir', 'rename', 'link', 'symlink', 'chmod', 'truncate')
    ),
}
watching = False


def _watch(event, args):
    if watching and (
        event in FORBIDDEN or (event == 'open' and isinstance(args[2], int) and args[2] & WRITING)
    ):
        raise Touch(event, args)


sys.addaudithook(_watch)


@contextmanager
def only_reading():
    """Within, a file that is opened for writing, a program that is started or 20 seconds are an
    error.
    """
    global watching

    def hang(*_):
        raise Hang(f'no answer after {SECONDS} s')

    before = signal.signal(signal.SIGALRM, hang)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    watching = True
    try:
        yield
    finally:
        watching = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def told(reader, *args, error=InputError, **options):
    """(value, None) or (None, line): what the reader says; anything else fails."""
    try:
        with only_reading():
            return reader(*args, **options), None
    except error as caught:
        line = str(caught)
        assert 0 < len(line) < 1000
        assert not set(line) & set('\n\r\0\x1b\x85\u2028\u2029'), line
        return None, line
