"""Writing files beside the work: a gigabyte takes seconds."""

import threading
from collections.abc import Callable
from typing import Any


class Writer:
    """Writes one file after another in a thread. An error is raised by the next call."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, write: Callable[..., Any], *arguments: Any) -> None:
        """Call ``write(*arguments)`` in a thread, once the previous one is done."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(write, arguments), name='writer')
        self._thread.start()

    def _run(self, write: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            write(*arguments)
        except BaseException as error:
            self._error = error

    def wait(self, quiet: bool = False) -> None:
        """Wait until nothing is being written.

        Args:
            quiet: Do not raise what went wrong: another error is on its way.
        """
        if self._thread:
            self._thread.join()
        error, self._thread, self._error = self._error, None, None
        if error and not quiet:
            raise error
