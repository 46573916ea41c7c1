"""Memory of batches on the CPU, used again: the first touch of fresh pages costs more than all the
work on a batch.
"""

import math
import weakref

import numpy as np
import torch


class Buffers:
    """``empty(shape, dtype)`` is ``torch.empty``, in memory of a former tensor that nothing refers
    to any more.

    A tensor, and whatever shares its memory, is safe for as long as someone holds it. ``keep``: how
    much unused memory is held ready, in tensors.
    """

    def __init__(self, keep=2):
        self._free = []
        self._keep = keep

    def empty(self, shape, dtype):
        size = math.prod(shape) * dtype.itemsize
        free, self._free = (
            self._free,
            [],
        )  # taken at once: the collector may give one back at any moment
        fitting = [place for place, buffer in enumerate(free) if len(buffer) >= size]
        buffer = free.pop(fitting[-1]) if fitting else np.empty(size, np.uint8)
        self._free = [*free, *self._free][-self._keep :]
        lent = buffer[
            :size
        ]  # a view of our own, which the tensor's storage holds: it dies when the last tensor does
        weakref.finalize(lent, self._give_back, buffer).atexit = False
        return torch.from_numpy(lent).view(dtype).view(shape)

    def _give_back(self, buffer):
        self._free = [*self._free, buffer][-self._keep :]
