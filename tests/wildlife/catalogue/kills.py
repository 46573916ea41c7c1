"""Kills a process at any moment of a change, and checks what is left of the catalogue."""

import contextlib
import os
import shutil
import signal
import sys

from sqlalchemy import event

from tests.wildlife.catalogue.worlds import assert_clean, content
from wildlife.catalogue.store import open_catalogue

CALLS = {'fsync', 'write', 'truncate', 'seek', 'commit'}  # of C, that write files


class Moments:
    """Counts the moments of a change: around each statement, and before calls that write files.

    Args:
        last: The moment at which this process is killed; 0 = none.
    """

    def __init__(self, last=0):
        self.last, self.count = last, 0

    def __call__(self, *_):
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextlib.contextmanager
    def watched(self, catalogue):
        def traced(frame, what, argument):
            if what == 'c_call' and argument.__name__ in CALLS:
                self()

        for name in ('before_cursor_execute', 'after_cursor_execute', 'commit'):
            event.listen(catalogue.engine, name, self)
        sys.setprofile(traced)
        try:
            yield self
        finally:
            sys.setprofile(None)


def count_moments(folder, scratch, change):
    """The number of moments of ``change(catalogue)``, on a copy of the catalogue."""
    shutil.copytree(folder, scratch)
    catalogue = open_catalogue(scratch)
    with Moments().watched(catalogue) as moments:
        change(catalogue)
    return moments.count


def killed(folder, change, moment):
    """Run ``change(catalogue)`` in a process that is killed at a moment."""
    pid = os.fork()
    if pid == 0:
        try:
            catalogue = open_catalogue(folder)
            with Moments(moment).watched(catalogue):
                change(catalogue)
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def kill_often(folder, scratch, change, kills):
    """Kill a change at ``kills`` moments, evenly spread; return how often nothing was half there.

    After each kill the catalogue is as before or as after the whole change, and it can be changed.
    """
    catalogue = open_catalogue(folder)
    moments = count_moments(folder, scratch / 'counted', change)
    before, after = content(catalogue), content(open_catalogue(scratch / 'counted'))
    well = 0
    for number in range(kills):
        copy = scratch / str(number)
        shutil.copytree(folder, copy)
        moment = 1 + number * (moments - 1) // max(1, kills - 1)
        assert killed(copy, change, moment)
        left = open_catalogue(copy)
        assert_clean(left)
        found = content(left)
        assert timeless(found) in (timeless(before), timeless(after))
        if found == before:
            change(left)
            assert_clean(left)
            assert timeless(content(left)) == timeless(after)
        well += 1
    return well


def timeless(found):
    """The content without the times of decisions."""
    return {
        name: [tuple(value for value in row if not hasattr(value, 'tzinfo')) for row in rows]
        for name, rows in found.items()
    }
