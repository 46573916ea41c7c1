"""What a loop counts, without waiting for the device in every iteration."""

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader


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

    def __init__(self, loader: DataLoader) -> None:
        self.loader, self.seconds = loader, 0.0

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator:
        watch = Stopwatch()
        for item in self.loader:
            self.seconds += watch.seconds
            yield item
            del item  # a batch lives no longer than the loop holds it
            watch = Stopwatch()
        self.seconds += watch.seconds


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
        self.iterations = 0
        self.sums: dict[str, float] = {}
        self.range: dict[str, list[float]] = {}
        self._pending: list[tuple[int, Any, list[str], torch.Tensor]] = []

    def add(self, count: int, note: Any, **numbers: torch.Tensor) -> None:
        """Take in an iteration.

        Args:
            count: its photos.
            note: anything, which :meth:`settle` hands back.
            numbers: scalar tensors.
        """
        values = torch.stack([number.detach().float() for number in numbers.values()])
        self._pending.append((count, note, list(numbers), values))

    def settle(self) -> list[tuple[Any, dict[str, float]]]:
        """Fetch what was added since the last time: (note, numbers) of it, oldest first."""
        if not self._pending:
            return []
        settled = []
        rows = torch.stack([values for *_, values in self._pending]).tolist()
        for (count, note, names, _), row in zip(self._pending, rows):
            self.last = dict(zip(names, row))
            self.photos += count
            self.iterations += 1
            for name, value in self.last.items():
                self.sums[name] = self.sums.get(name, 0.0) + count * value
                low, high = self.range.get(name, (value, value))
                self.range[name] = [min(low, value), max(high, value)]
            settled.append((note, self.last))
        self._pending = []
        return settled

    def means(self) -> dict[str, float]:
        """Means of all numbers over the photos settled so far."""
        return {name: total / self.photos for name, total in self.sums.items()}

    @property
    def constant(self) -> list[str]:
        """The numbers that were the same in all iterations, as long as there were three."""
        alike = [name for name, (low, high) in self.range.items() if low == high]
        return alike if self.iterations >= 3 else []

    def state_dict(self) -> dict[str, Any]:
        """All that was settled, for :meth:`load_state_dict`."""
        return {name: value for name, value in vars(self).items() if name != '_pending'}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned."""
        for name in self.state_dict():
            setattr(self, name, state[name])
