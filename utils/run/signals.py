"""SIGTERM, Ctrl-C and a closed terminal end a run, where work would be lost at a good moment."""

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

from utils.errors import Stopped

# Seconds after which a second Ctrl-C is meant as one: a terminal may send the first twice.
REPEAT_SECONDS = 0.5


class StopRequest:
    """Which signal has asked the run to end, if any.

    Within :meth:`listening` SIGTERM, SIGINT and SIGHUP raise ``Stopped``; within :meth:`patiently`
    they are remembered, for the loop to look at ``asked``, and only a second Ctrl-C raises.

    Attributes:
        asked: Number of the signal, or None.
        second_interrupt_ends: Whether a second Ctrl-C does not wait.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self.second_interrupt_ends = True
        self._patient = False
        self._since = 0.0

    @contextlib.contextmanager
    def listening(self) -> Iterator['StopRequest']:
        """Take the signals over, but for those that are ignored (nohup).

        Only the main thread can; elsewhere they stay.
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
    def patiently(self) -> Iterator[None]:
        """Signals wait for :meth:`check`, or for who looks at ``asked``."""
        self._patient = True
        try:
            yield
        finally:
            self._patient = False

    def check(self) -> None:
        """Raise ``Stopped`` if a signal has come."""
        if self.asked:
            raise Stopped(self.asked)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        repeated = self.asked and time.monotonic() - self._since > REPEAT_SECONDS
        if not self.asked:
            self.asked, self._since = number, time.monotonic()
        ends = repeated and self.second_interrupt_ends and number == signal.SIGINT
        if ends or not self._patient:
            raise Stopped(number)
