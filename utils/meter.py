"""Counts time and losses in a loop, without waiting for the device in every iteration."""

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader


class Stopwatch:
    """Measures the seconds since its creation, plus ``earlier``."""

    def __init__(self, earlier: float = 0.0) -> None:
        self.start = time.monotonic() - earlier

    @property
    def seconds(self) -> float:
        """Seconds until now."""
        return time.monotonic() - self.start


class TimedLoader:
    """Iterates over ``loader`` and adds up the ``seconds`` that the loop waits for items."""

    def __init__(self, loader: DataLoader) -> None:
        self.loader, self.seconds = loader, 0.0

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator:
        watch = Stopwatch()
        for item in self.loader:
            self.seconds += watch.seconds
            yield item
            del item  # frees a batch as soon as the loop does
            watch = Stopwatch()
        self.seconds += watch.seconds


class EpochMeter:
    """Collects the numbers of an epoch's iterations.

    They stay on their device until :meth:`fetch` reads all of them at once, because reading a
    number from a GPU waits until the GPU has computed it.

    Attributes:
        last: The numbers of the latest fetched iteration.
        photos: The number of photos in the fetched iterations.
        iterations: The number of fetched iterations.
        sums: Name -> sum over the photos.
        range: Name -> smallest and largest value.
    """

    def __init__(self) -> None:
        self.last: dict[str, float] = {}
        self.photos = 0
        self.iterations = 0
        self.sums: dict[str, float] = {}
        self.range: dict[str, list[float]] = {}
        self._pending: list[tuple[int, Any, list[str], torch.Tensor]] = []

    def add(self, count: int, note: Any, **numbers: torch.Tensor) -> None:
        """Add an iteration.

        Args:
            count: The number of its photos.
            note: Anything; :meth:`fetch` returns it.
            numbers: Scalar tensors.
        """
        values = torch.stack([number.detach().float() for number in numbers.values()])
        self._pending.append((count, note, list(numbers), values))

    def fetch(self) -> list[tuple[Any, dict[str, float]]]:
        """Return (note, numbers) of the iterations added since the last call, oldest first."""
        if not self._pending:
            return []
        fetched = []
        rows = torch.stack([values for *_, values in self._pending]).tolist()
        for (count, note, names, _), row in zip(self._pending, rows):
            self.last = dict(zip(names, row))
            self.photos += count
            self.iterations += 1
            for name, value in self.last.items():
                self.sums[name] = self.sums.get(name, 0.0) + count * value
                low, high = self.range.get(name, (value, value))
                self.range[name] = [min(low, value), max(high, value)]
            fetched.append((note, self.last))
        self._pending = []
        return fetched

    def means(self) -> dict[str, float]:
        """Name -> mean over the photos fetched so far."""
        return {name: total / self.photos for name, total in self.sums.items()}

    @property
    def constant(self) -> list[str]:
        """Names of the numbers that never changed, once there were three iterations."""
        alike = [name for name, (low, high) in self.range.items() if low == high]
        return alike if self.iterations >= 3 else []

    def state_dict(self) -> dict[str, Any]:
        """Return everything fetched so far, for :meth:`load_state_dict`."""
        return {name: value for name, value in vars(self).items() if name != '_pending'}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned."""
        for name in self.state_dict():
            setattr(self, name, state[name])
