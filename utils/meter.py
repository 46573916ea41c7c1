"""What a loop counts, without waiting for the device in every iteration."""

import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any

import torch


class Stopwatch:
    """Seconds since the start, and those of ``earlier``."""

    def __init__(self, earlier: float = 0.0) -> None:
        self.start = time.monotonic() - earlier

    @property
    def seconds(self) -> float:
        """Up to now."""
        return time.monotonic() - self.start


class Waiting:
    """Iterates over ``loader`` and counts the ``seconds`` that the loop waits for the next item."""

    def __init__(self, loader: Iterable) -> None:
        self.loader, self.seconds = loader, 0.0

    def __len__(self) -> int:
        assert isinstance(self.loader, Sized)
        return len(self.loader)

    def __iter__(self) -> Iterator:
        iterator, nothing = iter(self.loader), object()
        while True:
            watch = Stopwatch()
            item = next(iterator, nothing)
            self.seconds += watch.seconds
            if item is nothing:
                return
            yield item
            del item  # a batch lives no longer than the loop holds it


class EpochMeter:
    """Numbers of an epoch's iterations.

    They stay on their device until :meth:`settle` fetches all there are at once: reading a number
    from a GPU waits until the GPU has come so far.

    Attributes:
        last: the numbers of the latest iteration that was settled.
        photos: how many photos were settled.
    """

    def __init__(self) -> None:
        self.last: dict[str, float] = {}
        self.photos = 0
        self._pending: list[tuple[int, Any, dict[str, torch.Tensor]]] = []
        self._sums: dict[str, float] = {}
        self._range: dict[str, list[float]] = {}
        self._iterations = 0

    def add(self, count: int, note: Any, **numbers: torch.Tensor) -> None:
        """Take in an iteration.

        Args:
            count: its photos.
            note: anything, which :meth:`settle` hands back.
            numbers: scalar tensors.
        """
        detached = {name: number.detach() for name, number in numbers.items()}
        self._pending.append((count, note, detached))

    def settle(self) -> list[tuple[Any, dict[str, float]]]:
        """Fetch what was added since the last time: (note, numbers) of it, oldest first."""
        if not self._pending:
            return []
        rows = []
        for _, _, numbers in self._pending:
            rows.append(torch.stack([number.float() for number in numbers.values()]))
        settled = []
        for (count, note, numbers), row in zip(
            self._pending, torch.stack(rows).tolist(), strict=True
        ):
            self.last = dict(zip(numbers, row, strict=True))
            self.photos += count
            self._iterations += 1
            for name, value in self.last.items():
                self._sums[name] = self._sums.get(name, 0.0) + count * value
                low, high = self._range.get(name, (value, value))
                self._range[name] = [min(low, value), max(high, value)]
            settled.append((note, self.last))
        self._pending = []
        return settled

    def mean(self, name: str) -> float:
        """Mean over the photos settled so far, 0 before the first."""
        return self._sums[name] / self.photos if self.photos else 0.0

    def means(self) -> dict[str, float]:
        """The means of all numbers."""
        return {name: self.mean(name) for name in self._sums}

    @property
    def constant(self) -> list[str]:
        """The numbers that were the same in all iterations, as long as there were three."""
        if self._iterations < 3:
            return []
        return [name for name, (low, high) in self._range.items() if low == high]

    def state_dict(self) -> dict[str, Any]:
        """All that was settled, for :meth:`load_state_dict`."""
        return {
            'last': self.last,
            'photos': self.photos,
            'sums': self._sums,
            'range': self._range,
            'iterations': self._iterations,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned."""
        self.last, self.photos = dict(state['last']), state['photos']
        self._sums, self._range = dict(state['sums']), dict(state['range'])
        self._iterations = state['iterations']
