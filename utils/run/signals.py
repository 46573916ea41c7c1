"""SIGTERM, Ctrl-C and a closed terminal end a run; a training run first saves its state."""

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

from utils.errors import Stopped

# A second Ctrl-C counts only after this many seconds: a terminal may send the first one twice.
REPEAT_SECONDS = 0.5


class StopRequest:
    """The signal that has asked the run to end, if any.

    Within :meth:`listening`, SIGTERM, SIGINT and SIGHUP raise ``Stopped``. Within :meth:`patiently`
    they only set ``asked``, which the training loop checks; only a second Ctrl-C raises.

    Attributes:
        asked: The number of the signal, or None.
        second_interrupt_ends: Whether a second Ctrl-C ends the run at once.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self.second_interrupt_ends = True
        self._patient = False
        self._since = 0.0

    @contextlib.contextmanager
    def listening(self) -> Iterator['StopRequest']:
        """Handle the signals within a ``with`` block, except those that are ignored (nohup).

        Python allows this in the main thread only; in other threads nothing changes.
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
        """Remember signals in ``asked`` within a ``with`` block instead of raising ``Stopped``."""
        self._patient = True
        try:
            yield
        finally:
            self._patient = False

    def check(self) -> None:
        """Raise ``Stopped`` if a signal has arrived."""
        if self.asked:
            raise Stopped(self.asked)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        repeated = self.asked and time.monotonic() - self._since > REPEAT_SECONDS
        if not self.asked:
            self.asked, self._since = number, time.monotonic()
        ends = repeated and self.second_interrupt_ends and number == signal.SIGINT
        if ends or not self._patient:
            raise Stopped(number)
