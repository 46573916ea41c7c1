"""Sizes of blocks, and reproducible sums, for long lists of numbers."""

from collections.abc import Iterator
from itertools import pairwise

import torch

BLOCK = 2**21  # number of entries of a matrix that are processed at once on the CPU
PAIRS = 2**19  # number of pairs of entries that are compared at once on the CPU
# Factor for other devices: small blocks suit the CPU's cache, but keep an accelerator waiting.
ACCELERATOR = 64
UNITS = 2.0**40  # an accelerator adds whole numbers of 1 / UNITS


def on_cpu(tensor: torch.Tensor) -> bool:
    """Return whether the tensor is on the CPU."""
    return tensor.device.type == 'cpu'


def rows_at_a_time(entries: int, tensor: torch.Tensor) -> int:
    """Return how many rows of length ``entries`` fit a block on the tensor's device, at least 1."""
    return max(1, _scaled(BLOCK, tensor) // entries)


def blocks(cost: torch.Tensor) -> Iterator[tuple[int, int]]:
    """Split rows into consecutive blocks (start, stop) of similar cost.

    Args:
        cost: (N,) number of pairs of each row.
    """
    block = cost.cumsum(0) // _scaled(PAIRS, cost)
    rows = block.unique_consecutive(return_counts=True)[1]
    return pairwise([0, *rows.cumsum(0).tolist()])


def runs(first: torch.Tensor, size: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Concatenate runs of consecutive numbers.

    Args:
        first: (n,) first number of each run.
        size: (n,) length of each run.

    Returns:
        The run (M,) that each number belongs to, and the numbers (M,).
    """
    run = torch.repeat_interleave(size)
    before = size.cumsum(0) - size
    return run, torch.arange(len(run), device=run.device) + (first - before).index_select(0, run)


def sums(index: torch.Tensor, value: torch.Tensor, count: int) -> torch.Tensor:
    """Sum the values of each index; the sums are bit-identical every time.

    The CPU adds in the order of the list. An accelerator adds in any order, so there the values are
    whole numbers of units of 2⁻⁴⁰, whose sum does not depend on the order.

    Args:
        index: (M,) 0 … count - 1.
        value: (M,) 0 … 1.
        count: The number of sums.

    Returns:
        (count,) sums.
    """
    if on_cpu(value):
        return value.new_zeros(count).scatter_add_(0, index, value)
    units = value.new_zeros(count, dtype=torch.long).scatter_add_(0, index, (value * UNITS).long())
    return units.float() / UNITS


def _scaled(entries: int, tensor: torch.Tensor) -> int:
    return entries if on_cpu(tensor) else ACCELERATOR * entries
