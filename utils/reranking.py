"""k-reciprocal re-ranking.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017.

All photos form one list of N = Q + G, the queries first. The steps are those of the paper: distance
-> nearest neighbours -> k-reciprocal sets -> Gaussian encoding V -> query expansion -> Jaccard
distance. Distances are computed and used one block of rows at a time, so no N x N matrix is ever in
memory; sets are lists of pairs (i, j), and their encodings are sparse. All computations run on the
device of the tensors.
"""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from utils import blockwise
from utils.errors import InputError
from utils.neighbours import nearest, partial_sort, reciprocal_sets
from utils.photo_distances import FeatureDistances, MatrixDistances, Metric


@dataclass(frozen=True)
class ReRanking:
    """Settings of k-reciprocal re-ranking.

    Attributes:
        k1: The size of the neighbourhoods, 1 … N - 1.
        k2: The number of neighbours averaged in query expansion, 1 … N; 1 = no expansion.
        lambda_value: The weight of the original distance in the result, 0 … 1.
        ties: The order of equal distances: by index ('index'), or as the original's partial sort
            leaves them ('reference': np.argpartition on the CPU, which orders ties differently with
            other versions of NumPy and other processors).
    """

    k1: int = 20
    k2: int = 6
    lambda_value: float = 0.3
    ties: Literal['index', 'reference'] = 'index'


PUBLISHED = ReRanking()


def re_ranking(
    q_g: npt.ArrayLike,
    q_q: npt.ArrayLike,
    g_g: npt.ArrayLike,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
) -> np.ndarray:
    """Call :func:`re_rank_matrices` with settings as in the published code."""
    return re_rank_matrices(q_g, q_q, g_g, ReRanking(k1, k2, lambda_value))


def re_rank_matrices(
    q_g: npt.ArrayLike,
    q_q: npt.ArrayLike,
    g_g: npt.ArrayLike,
    settings: ReRanking = PUBLISHED,
) -> np.ndarray:
    """Re-rank from the cosine similarities of all photos, each -1 … 1.

    The original distance is (2 - 2 * similarity)², the square of the squared Euclidean distance, as
    in the published numbers.

    Args:
        q_g: (Q, G), array or tensor.
        q_q: (Q, Q).
        g_g: (G, G).
        settings: Sizes and weights.

    Returns:
        Re-ranked distances (Q, G) float32.

    Raises:
        ValueError: The shapes do not match.
        InputError: There are too few photos, or a similarity is not finite.
    """
    return _re_rank(MatrixDistances(q_g, q_q, g_g), settings)


def re_rank_features(
    features: npt.ArrayLike,
    query_index: npt.ArrayLike,
    gallery_index: npt.ArrayLike,
    settings: ReRanking = PUBLISHED,
    metric: Metric = 'cosine',
) -> np.ndarray:
    """Re-rank from features, without an N x N matrix; otherwise as :func:`re_rank_matrices`.

    A photo may be both query and gallery. Then the list contains it twice, both entries have
    exactly the same distances, and the query's entry comes first.

    Args:
        features: (U, D) of unique photos, array or tensor on any device.
        query_index: (Q,) integers 0 … U - 1.
        gallery_index: (G,) integers 0 … U - 1.
        settings: Sizes and weights.
        metric: 'cosine' for L2-normalised features, or 'euclidean' for any features. With
            'euclidean' the original distance is the squared Euclidean one, which is not squared
            again. (The published code then rounds V and the Jaccard distance to float16; here they
            are float32.)
    """
    return _re_rank(FeatureDistances(features, query_index, gallery_index, metric), settings)


@torch.no_grad()
def _re_rank(photos: MatrixDistances | FeatureDistances, settings: ReRanking) -> np.ndarray:
    k = max(settings.k1 + 1, settings.k2)  # number of nearest photos that are needed
    if k > photos.count:
        raise InputError(
            f're-ranking: k1 = {settings.k1} and k2 = {settings.k2} need {k} photos in query and '
            f'gallery together, but there are {photos.count}; lower TEST.RERANK_K1 or '
            'TEST.RERANK_K2'
        )
    result, neighbours, largest = _scan(photos, settings, k)
    i, j = reciprocal_sets(neighbours, settings.k1)
    # V of the paper, equation 7: exp(-distance) over the sets, rows of sum 1
    weight = torch.exp(-photos.pairs(i, j) / largest[i])
    weight /= blockwise.sums(i, weight, photos.count)[i]
    encoding = _sparse(i, j, weight, photos.count).coalesce()
    if settings.k2 > 1:
        encoding = _expand(encoding, neighbours[:, : settings.k2])
    _blend_jaccard(result, encoding, settings.lambda_value)
    return result.cpu().numpy()


def _scan(
    photos: MatrixDistances | FeatureDistances, settings: ReRanking, k: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute the distances once and keep what the later steps need.

    Returns:
        Distances (Q, G) from query to gallery; the nearest photos (N, k) of each photo, in order;
        and the largest distance (N,) of each photo, which its distances have been divided by.
    """
    q, photo = photos.num_query, photos.photo
    total = int(photo.max()) + 1
    result = torch.empty(q, photos.count - q, device=photo.device)
    neighbours = torch.empty(photos.count, k, dtype=torch.long, device=photo.device)
    largest = torch.empty(photos.count, device=photo.device)
    step = min(total, blockwise.rows_at_a_time(photos.count, photo))
    buffer = torch.empty(step, photos.count, device=photo.device)
    for start in range(0, total, step):
        stop = min(start + step, total)
        distance = photos.rows(start, stop, buffer[: stop - start])
        top = distance.amax(1)
        if not (top.isfinite() & distance.amin(1).isfinite()).all():
            raise InputError(
                're-ranking: distances are not finite: the features contain NaN or infinity; '
                'check the weights'
            )
        top.clamp_(min=torch.finfo(top.dtype).tiny)
        distance /= top[:, None]
        by_index = settings.ties == 'index'
        order = nearest(distance, k) if by_index else partial_sort(distance, settings.k1, k)
        # positions in the list, which may contain a photo twice
        in_list = ((photo >= start) & (photo < stop)).nonzero().squeeze(1)
        row = photo[in_list] - start
        neighbours[in_list], largest[in_list] = order[row], top[row]
        query = in_list < q
        result.index_copy_(0, in_list[query], distance[:, q:].index_select(0, row[query]))
    return result, neighbours, largest


def _expand(encoding: torch.Tensor, neighbours: torch.Tensor) -> torch.Tensor:
    """Return the mean of V over each photo's neighbours (N, k2)."""
    if not blockwise.on_cpu(neighbours):
        return _expand_in_blocks(encoding, neighbours)
    count, k2 = neighbours.shape
    row = torch.arange(count, device=neighbours.device).repeat_interleave(k2)
    share = encoding.values().new_full(row.shape, 1 / k2)
    mean = _sparse(row, neighbours.flatten(), share, count).coalesce()
    with warnings.catch_warnings():
        # torch's product of sparse matrices uses CSR internally
        warnings.filterwarnings('ignore', message='Sparse CSR tensor support is in beta')
        return torch.sparse.mm(mean, encoding).coalesce()


def _expand_in_blocks(encoding: torch.Tensor, neighbours: torch.Tensor) -> torch.Tensor:
    """Return the same on accelerators, without a product of sparse matrices.

    CUDA's product adds in an undefined order, and fails with many photos.
    """
    count, k2 = neighbours.shape
    (row, column), weight = encoding.indices(), encoding.values() / k2
    size = torch.bincount(row, minlength=count)
    first = size.cumsum(0) - size
    keys, values = [], []
    for start, stop in blockwise.blocks(size[neighbours].sum(1) + count):
        near = neighbours[start:stop].flatten()
        neighbour, entry = blockwise.runs(first[near], size[near])
        target = neighbour // k2 * count + column.index_select(0, entry)
        total = blockwise.sums(target, weight.index_select(0, entry), (stop - start) * count)
        key = total.nonzero().squeeze(1)
        keys.append(start * count + key)
        values.append(total[key])
    key = torch.cat(keys)
    return _sparse(key // count, key % count, torch.cat(values), count, is_coalesced=True)


def _sparse(
    row: torch.Tensor,
    column: torch.Tensor,
    value: torch.Tensor,
    count: int,
    is_coalesced: bool | None = None,
) -> torch.Tensor:
    """Return a sparse matrix (count, count)."""
    return torch.sparse_coo_tensor(
        torch.stack([row, column]),
        value,
        (count, count),
        check_invariants=False,
        is_coalesced=is_coalesced,
    )


def _blend_jaccard(result: torch.Tensor, encoding: torch.Tensor, lambda_value: float) -> None:
    """Blend the Jaccard distances into ``result`` (Q, G) in place: λ · result + (1 - λ) · Jaccard.

    The Jaccard distance of two encodings is 1 - Σ min / Σ max (equation 10). Each encoding sums to
    1, so Σ max = 2 - Σ min. For Σ min, each entry of a query visits only those gallery photos that
    have an entry in the same column.
    """
    q, g = result.shape
    (row, column), weight = encoding.indices(), encoding.values()
    split = int((row < q).sum())  # the queries' entries come first
    order = column[split:].argsort(stable=True)  # the gallery's, by column: photo and weight
    holder, held = row[split:][order] - q, weight[split:][order]
    size = torch.bincount(column[split:], minlength=encoding.shape[1])
    first = size.cumsum(0) - size

    row, column, weight = row[:split], column[:split], weight[:split]
    first, size = first[column], size[column]
    end = torch.bincount(row, minlength=q).cumsum(0)
    done = 0
    for start, stop in blockwise.blocks(torch.zeros_like(end).index_add_(0, row, size) + g):
        part = slice(done, int(end[stop - 1]))
        # for each pair of entries: the query's entry and the gallery's
        pair, entry = blockwise.runs(first[part], size[part])
        smaller = torch.minimum(weight[part].index_select(0, pair), held.index_select(0, entry))
        target = ((row[part] - start) * g).index_select(0, pair) + holder.index_select(0, entry)
        common = blockwise.sums(target, smaller, (stop - start) * g).view(-1, g)
        jaccard = 1 - common / (2 - common)
        result[start:stop].mul_(lambda_value).add_(jaccard, alpha=1 - lambda_value)
        done = part.stop
