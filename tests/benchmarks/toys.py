"""A clock and cases for the tests of the benchmark."""

import contextlib

from benchmarks.core import Case, Ways


class Clock:
    """Time that only passes when a way says so."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def way(self, name, seconds, result):
        """A way that takes the next of ``seconds`` at every call."""
        seconds = iter(seconds)

        def call():
            self.calls.append(name)
            self.now += next(seconds)
            return result

        return call


def toy(name='toy', plain=1.0, ours=1.0, **facts):
    """A case whose ways return these numbers."""

    @contextlib.contextmanager
    def ways():
        yield Ways(ours=lambda: ours, plain=(lambda: plain) if plain is not None else None)

    return Case(name, f'the {name}', ways, **facts)
