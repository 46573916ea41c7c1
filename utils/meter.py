"""What a loop counts, without waiting for the device in every iteration."""

import time

import torch


class Stopwatch:
    """Seconds since the start, and those of ``earlier``."""

    def __init__(self, earlier=0.0):
        self.start = time.monotonic() - earlier

    @property
    def seconds(self):
        return time.monotonic() - self.start


class Waiting:
    """Goes over ``iterable`` and counts the ``seconds`` that the loop waits for the next item."""

    def __init__(self, iterable):
        self.iterable, self.seconds = iterable, 0.0

    def __len__(self):
        return len(self.iterable)

    def __iter__(self):
        iterator, nothing = iter(self.iterable), object()
        while True:
            watch = Stopwatch()
            item = next(iterator, nothing)
            self.seconds += watch.seconds
            if item is nothing:
                return
            yield item
            del item  # a batch lives no longer than the loop holds it


class EpochMeter:
    """Numbers of an epoch's iterations. They stay on their device until :meth:`settle` fetches all
    there are at once: reading a number from a GPU waits until the GPU has come so far.

    last: name -> float, of the latest iteration that was settled. photos: how many were settled.
    constant: the names whose number was the same in every iteration, as long as there were three.
    """

    def __init__(self):
        self.last, self.photos = {}, 0
        self._pending, self._sums, self._range, self._iterations = [], {}, {}, 0

    def add(self, count, note, **numbers):
        """An iteration of ``count`` photos: name -> scalar tensor, and a ``note`` that
        :meth:`settle` hands back.
        """
        self._pending.append(
            (count, note, {name: number.detach() for name, number in numbers.items()})
        )

    def settle(self):
        """Fetch what was added since the last time; returns [(note, {name: float})] of it, oldest
        first.
        """
        if not self._pending:
            return []
        values = torch.stack(
            [
                torch.stack([number.float() for number in numbers.values()])
                for _, _, numbers in self._pending
            ]
        ).tolist()
        settled = []
        for (count, note, numbers), row in zip(self._pending, values, strict=True):
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

    def mean(self, name):
        """Mean over the photos settled so far, 0 before the first."""
        return self._sums[name] / self.photos if self.photos else 0.0

    def means(self):
        """name -> mean."""
        return {name: self.mean(name) for name in self._sums}

    @property
    def constant(self):
        return (
            [name for name, (low, high) in self._range.items() if low == high]
            if self._iterations >= 3
            else []
        )

    def state_dict(self):
        """All that was settled, for :meth:`load_state_dict`."""
        return {
            'last': self.last,
            'photos': self.photos,
            'sums': self._sums,
            'range': self._range,
            'iterations': self._iterations,
        }

    def load_state_dict(self, state):
        self.last, self.photos = dict(state['last']), state['photos']
        self._sums, self._range, self._iterations = (
            dict(state['sums']),
            dict(state['range']),
            state['iterations'],
        )
