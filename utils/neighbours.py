"""Nearest neighbours and k-reciprocal sets, for re-ranking."""

import numpy as np
import torch

from utils import blockwise


def nearest(distance: torch.Tensor, k: int) -> torch.Tensor:
    """Return the indices (n, k) of each row's k smallest entries, in order; ties by index."""
    count = distance.shape[1]
    # The k-th smallest minimum of disjoint groups of columns is an upper bound of the k-th smallest
    # entry, and a close one for at least 4 k groups. Each group has every width-th column, which is
    # fast if the width is a multiple of a vector register.
    width = min(count, 32 * -(-4 * k // 32))
    groups = count // width
    least = distance[:, : groups * width].unflatten(1, (groups, width)).amin(1)
    bound = least.topk(k, largest=False, sorted=False).values.amax(1)
    entry = (distance <= bound[:, None]).flatten().nonzero().squeeze(1)
    row = entry // count
    found = torch.bincount(row, minlength=len(distance))
    first, most = found.cumsum(0) - found, int(found.max())
    slot = torch.arange(len(row), device=row.device) - first.take(row)
    near = distance.new_full((len(distance) * most,), torch.inf)
    near.scatter_(0, row * most + slot, distance.take(entry))  # put_ fails in deterministic mode
    order = near.view(-1, most).sort(dim=1, stable=True).indices[:, :k]
    return entry.take(first[:, None] + order) % count


def partial_sort(distance: torch.Tensor, k1: int, k: int) -> torch.Tensor:
    """Return the same by the original's partial sort, which leaves ties in no particular order."""
    order = np.argpartition(distance.cpu().numpy(), range(1, k1 + 1), axis=1)[:, :k]
    return torch.as_tensor(order, device=distance.device)


def reciprocal_sets(neighbours: torch.Tensor, k1: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return R* of the paper (equations 2 to 4): sorted pairs (i, j), each once, two long (M,).

    R(i, k) holds those j among the first k + 1 neighbours of i (including itself) whose own first
    k + 1 contain i. R*(i) is R(i, k1) together with each R(j, k1 / 2), for j in R(i, k1), that has
    more than two thirds of its members in R(i, k1).
    """
    count, device = len(neighbours), neighbours.device
    near = neighbours[:, : k1 + 1]
    half = neighbours[:, : round(k1 / 2) + 1]  # rounds half to even, as NumPy does
    mutual_near, mutual_half = _mutual(near), _mutual(half)
    size = mutual_half.sum(1)
    step = blockwise.rows_at_a_time(count + near.shape[1] * half.shape[1], near)
    keys = []
    for rows in torch.arange(count, device=device).split(step):
        n, j = len(rows), near[rows]
        flat = j.flatten()
        member = half.index_select(0, flat).view(n, -1)  # R(j, k1 / 2) of each j
        real = mutual_half.index_select(0, flat).view(*j.shape, -1)
        inside = torch.zeros(n, count, dtype=torch.bool, device=device)
        inside.scatter_(1, j, mutual_near[rows])
        common = (inside.gather(1, member).view_as(real) & real).sum(2)
        joins = mutual_near[rows] & (3 * common > 2 * size[j])
        key = rows[:, None] * count
        joined = (key + member)[(real & joins[:, :, None]).flatten(1)]
        keys.append(torch.cat([(key + j)[mutual_near[rows]], joined]).unique())
    key = torch.cat(keys)
    return key // count, key % count


def _mutual(neighbours: torch.Tensor) -> torch.Tensor:
    """Return (N, k) bool: whether i is among the neighbours of its neighbours (N, k)."""
    k = neighbours.shape[1]
    mutual = torch.empty_like(neighbours, dtype=torch.bool)
    neighbours = neighbours.int()  # halves the memory to read
    step = blockwise.rows_at_a_time(k**2, neighbours)
    for rows in torch.arange(len(neighbours), device=neighbours.device).split(step):
        second = neighbours.index_select(0, neighbours[rows].flatten()).view(len(rows), k, k)
        mutual[rows] = (second == rows[:, None, None]).any(2)
    return mutual
