"""SIGTERM, Ctrl-C and a closed terminal: a run ends at once, or, where work would be lost, at the
next good place.
"""

import contextlib
import signal
import time

from utils.errors import Stopped

AGAIN = (
    0.5  # seconds after which a second Ctrl-C is meant as one: a terminal may send the first twice
)


class StopRequest:
    """Which signal has asked the run to end, if any.

    Within :meth:`listening` SIGTERM, SIGINT and SIGHUP raise ``Stopped``; within :meth:`patiently`
    they are remembered, for the loop to look at ``asked``. A second Ctrl-C is not patient any more,
    unless ``impatient`` is False (of several processes, one that leaves alone makes the others
    fail).
    """

    def __init__(self):
        self.asked = None  # number of the signal
        self.impatient = True
        self._patient = False
        self._since = 0.0

    @contextlib.contextmanager
    def listening(self):
        """Takes the signals over, but for those that are ignored (nohup). Only the main thread can;
        elsewhere they stay.
        """
        earlier = {}
        try:
            for name in ('SIGTERM', 'SIGINT', 'SIGHUP'):
                number = getattr(signal, name, None)  # Windows has no SIGHUP
                if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                    with contextlib.suppress(ValueError):
                        earlier[number] = signal.signal(number, self._receive)
            yield self
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def patiently(self):
        """Signals wait for :meth:`check`, or for who looks at ``asked``."""
        self._patient = True
        try:
            yield
        finally:
            self._patient = False

    def check(self):
        """Raise ``Stopped`` if a signal has come."""
        if self.asked:
            raise Stopped(self.asked)

    def _receive(self, number, frame):
        again = self.asked and time.monotonic() - self._since > AGAIN
        if not self.asked:
            self.asked, self._since = number, time.monotonic()
        if not self._patient or (again and self.impatient and number == signal.SIGINT):
            raise Stopped(number)
