"""What a loop counts, without waiting for the device in every iteration."""
import torch


class Tally:
    """Numbers of an epoch's iterations. They stay on their device until :meth:`settle` fetches all there are at once:
    reading a number from a GPU waits until the GPU has come so far.

    ``last``: name -> float, of the latest iteration that was settled.
    """

    def __init__(self):
        self.last = {}
        self._pending, self._sums, self._count = [], {}, 0

    def add(self, count, note, **numbers):
        """An iteration of ``count`` photos: name -> scalar tensor, and a ``note`` that :meth:`settle` hands back."""
        self._pending.append((count, note, {name: number.detach() for name, number in numbers.items()}))

    def settle(self):
        """Fetch what was added since the last time; returns [(note, {name: float})] of it, oldest first."""
        if not self._pending:
            return []
        values = torch.stack([torch.stack([number.float() for number in numbers.values()])
                              for _, _, numbers in self._pending]).tolist()
        settled = []
        for (count, note, numbers), row in zip(self._pending, values, strict=True):
            self.last = dict(zip(numbers, row, strict=True))
            self._count += count
            for name, value in self.last.items():
                self._sums[name] = self._sums.get(name, 0.0) + count * value
            settled.append((note, self.last))
        self._pending = []
        return settled

    def mean(self, name):
        """Mean over the photos settled so far, 0 before the first."""
        return self._sums[name] / self._count if self._count else 0.0
