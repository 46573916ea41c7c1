"""Long lists of numbers in blocks: how many are handled at a time, and sums that repeat."""

from collections.abc import Iterator
from itertools import pairwise

import torch

BLOCK = 2**21  # entries of a matrix that are handled at a time on the CPU
PAIRS = 2**19  # pairs of entries that are compared at a time on the CPU
# times that elsewhere: small blocks suit the CPU's cache, an accelerator would wait between them
ACCELERATOR = 64
UNITS = 2.0**40  # in 1: what an accelerator's sums are counted in


def on_cpu(tensor: torch.Tensor) -> bool:
    """Whether the tensor is in main memory."""
    return tensor.device.type == 'cpu'


def rows_at_a_time(entries: int, tensor: torch.Tensor) -> int:
    """Rows of so many entries that make a block on the tensor's device, at least one."""
    return max(1, _scaled(BLOCK, tensor) // entries)


def blocks(cost: torch.Tensor) -> Iterator[tuple[int, int]]:
    """(start, stop) of consecutive rows that have about as many pairs as are handled at a time.

    Args:
        cost: (N,) pairs of each row.
    """
    block = cost.cumsum(0) // _scaled(PAIRS, cost)
    rows = block.unique_consecutive(return_counts=True)[1]
    return pairwise([0, *rows.cumsum(0).tolist()])


def runs(first: torch.Tensor, size: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Runs of consecutive numbers, one after another.

    Args:
        first: (n,) where each run starts.
        size: (n,) its length.

    Returns:
        (M,) for each number which run it belongs to, and (M,) the number.
    """
    run = torch.repeat_interleave(size)
    before = size.cumsum(0) - size
    return run, torch.arange(len(run), device=run.device) + (first - before).index_select(0, run)


def sums(index: torch.Tensor, value: torch.Tensor, count: int) -> torch.Tensor:
    """What the values add up to at each index, the same bits each time.

    On the CPU in the order of the list. An accelerator adds in any order, so there in units of
    2⁻⁴⁰: sums of whole numbers do not depend on the order.

    Args:
        index: (M,) 0 … count - 1.
        value: (M,) 0 … 1.
        count: how many sums there are.

    Returns:
        (count,) sums.
    """
    if on_cpu(value):
        return value.new_zeros(count).scatter_add_(0, index, value)
    units = value.new_zeros(count, dtype=torch.long).scatter_add_(0, index, (value * UNITS).long())
    return units.float() / UNITS


def _scaled(entries: int, tensor: torch.Tensor) -> int:
    return entries if on_cpu(tensor) else ACCELERATOR * entries
