"""k-reciprocal re-ranking (Zhong et al., "Re-ranking Person Re-identification with k-reciprocal
Encoding", CVPR 2017).

All photos of query and gallery stand in one list of N = Q + G, the query first. The steps are those
of the paper: distance -> nearest neighbours -> k-reciprocal sets -> Gaussian encoding V -> query
expansion -> Jaccard distance. Distances are made and used up a block of rows at a time, so that no
N x N matrix is ever held; sets are lists of pairs (i, j), their encodings sparse. Everything is
computed where the tensors are.

Ties: of equal distances the lower index is the nearer ('index'), or the order is what the
original's partial sort leaves ('reference': np.argpartition on the CPU, whose order of ties depends
on the version of NumPy and on the processor).
"""

import warnings
from itertools import pairwise

import numpy as np
import torch

from utils.errors import InputError
from utils.linear import linear

BLOCK = 2**21  # distances that are handled at a time on the CPU
PAIRS = 2**19  # pairs of entries of the encodings that are compared at a time on the CPU
# times that elsewhere: small blocks suit the CPU's cache, an accelerator would wait between them
ACCELERATOR = 64
TILE = 256  # rows of a matrix that are transposed at a time: what the nearest cache holds
UNITS = 2.0**40  # in 1: what an accelerator's sums are counted in
TIES = ('index', 'reference')


def re_ranking(q_g, q_q, g_g, k1=20, k2=6, lambda_value=0.3, ties='index'):
    """Re-ranked distances from cosine similarities.

    q_g (Q, G), q_q (Q, Q), g_g (G, G): similarities of normalised features, -1 … 1, arrays or
    tensors. The original distance is (2 - 2 * similarity)², the square of the squared Euclidean
    distance, as in the published numbers.
    k1: size of the neighbourhoods, 1 … N - 1; k2: neighbours averaged in query expansion, 1 … N (1:
    none);
    lambda_value: weight of the original distance in the result, 0 … 1; ties: 'index' or
    'reference', see above.

    Returns (Q, G) float32 array. Raises ``ValueError`` for shapes and arguments that cannot be,
    ``InputError`` for too few photos and for similarities that are not finite.
    """
    return _re_rank(_Matrices(q_g, q_q, g_g, _squared_cosine), k1, k2, lambda_value, ties)


def re_ranking_euclidean(q_g, q_q, g_g, k1=50, k2=15, lambda_value=0.3, ties='index'):
    """The same from squared Euclidean distances, which are not squared again: for person and
    vehicle sets.

    q_g (Q, G), q_q (Q, Q), g_g (G, G): squared distances. The rest as in ``re_ranking``; the
    original rounds V and the Jaccard distance to float16, here they are float32.
    """
    return _re_rank(_Matrices(q_g, q_q, g_g, lambda distance: distance), k1, k2, lambda_value, ties)


def re_rank_features(
    features,
    query_index,
    gallery_index,
    k1=20,
    k2=6,
    lambda_value=0.3,
    ties='index',
    metric='cosine',
):
    """The same from features, without any N x N matrix.

    features (U, D): of unique photos, array or tensor on any device; query_index (Q,),
    gallery_index (G,): integers 0 … U - 1 into them. A photo may be both query and gallery: then it
    stands in the list twice, its copies tie exactly, and the query's comes first. metric: 'cosine',
    L2-normalised features as in ``re_ranking``, or 'euclidean', any features as in
    ``re_ranking_euclidean``. The rest, and what is returned and raised, as in ``re_ranking``.
    """
    return _re_rank(
        _Features(features, query_index, gallery_index, metric), k1, k2, lambda_value, ties
    )


def _squared_cosine(similarity):
    """In place."""
    return torch.sub(2, similarity, alpha=2, out=similarity).square_()


class _Matrices:
    """Distances of the photos of the list to each other, from three matrices.

    ``rows`` gives them by blocks, (rows, N), ``pairs`` for a list of pairs. photo (N,): the row of
    a photo of the list.
    The published code transposes its matrix: the distance of i to j is taken from row j.
    """

    def __init__(self, q_g, q_q, g_g, distance):
        self.q_g, self.q_q, self.g_g = blocks = [
            torch.as_tensor(block) for block in (q_g, q_q, g_g)
        ]
        self.distance = distance
        q, g = len(self.q_q), len(self.g_g)
        if [block.shape for block in blocks] != [(q, g), (q, q), (g, g)] or not q or not g:
            raise ValueError(
                'q_g (Q, G), q_q (Q, Q) and g_g (G, G) are needed, none empty; '
                f'got {", ".join(str(tuple(block.shape)) for block in blocks)}'
            )
        self.num_query, self.count = q, q + g
        self.photo = torch.arange(q + g, device=self.q_g.device)

    def rows(self, start, stop, out):
        q = self.num_query
        query, gallery = (
            slice(min(start, q), min(stop, q)),
            slice(max(start - q, 0), max(stop - q, 0)),
        )
        split = query.stop - query.start
        out[:split, q:] = self.q_g[query]
        for part, matrix, columns in (
            (out[:split, :q], self.q_q, query),
            (out[split:, :q], self.q_g, gallery),
            (out[split:, q:], self.g_g, gallery),
        ):
            for first in range(0, len(matrix), TILE):
                part[:, first : first + TILE] = matrix[first : first + TILE, columns].T
        return self.distance(out)

    def pairs(self, i, j):
        q = self.num_query
        low, high = torch.minimum(i, j), torch.maximum(i, j)
        both_query, both_gallery = high < q, low >= q
        apart = ~(both_query | both_gallery)
        value = torch.empty(len(i), device=i.device)
        value[both_query] = self.q_q[j[both_query], i[both_query]].float()
        value[both_gallery] = self.g_g[j[both_gallery] - q, i[both_gallery] - q].float()
        value[apart] = self.q_g[low[apart], high[apart] - q].float()
        return self.distance(value)


class _Features:
    """The same from features: rows are those of the unique photos, columns still all N of the
    list.
    """

    def __init__(self, features, query_index, gallery_index, metric):
        if metric not in ('cosine', 'euclidean'):
            raise ValueError(f"metric '{metric}' is neither 'cosine' nor 'euclidean'")
        features = torch.as_tensor(features).float()
        query, gallery = (
            torch.as_tensor(index, device=features.device) for index in (query_index, gallery_index)
        )
        if (
            features.ndim != 2
            or query.ndim != 1
            or gallery.ndim != 1
            or not all(map(torch.numel, (features, query, gallery)))
        ):
            raise ValueError(
                'features (U, D), query_index (Q,) and gallery_index (G,) are needed, none empty; '
                f'got {tuple(features.shape)}, {tuple(query.shape)}, {tuple(gallery.shape)}'
            )
        if (
            query.is_floating_point()
            or gallery.is_floating_point()
            or torch.bool in (query.dtype, gallery.dtype)
        ):
            raise ValueError(
                f'query_index and gallery_index must be integers, got {query.dtype} and '
                f'{gallery.dtype}'
            )
        index = torch.cat([query.long(), gallery.long()])
        if index.min() < 0 or index.max() >= len(features):
            raise ValueError(
                f'query_index and gallery_index must be integers of 0 … {len(features) - 1}'
            )
        used, self.photo = index.unique(return_inverse=True)
        self.features = features if len(used) == len(features) else features[used]
        self.squares = self.features.square().sum(1) if metric == 'euclidean' else None
        self.num_query, self.count = len(query), len(index)

    def rows(self, start, stop, out):
        block = linear(self.features[start:stop], self.features)
        return torch.index_select(
            self._distance(block, slice(start, stop), slice(None)), 1, self.photo, out=out
        )

    def pairs(self, i, j):
        i, j = self.photo[i], self.photo[j]
        key = torch.minimum(i, j) * len(self.features) + torch.maximum(i, j)  # each two photos once
        key, which = key.unique(return_inverse=True)
        value = torch.empty(len(key), device=key.device)
        step = max(1, _room(BLOCK, i) // self.features.shape[1])
        for start in range(0, len(key), step):
            part = key[start : start + step]
            a, b = part // len(self.features), part % len(self.features)
            product = torch.einsum(
                'ij,ij->i', self.features.index_select(0, a), self.features.index_select(0, b)
            )
            value[start : start + step] = self._distance(product, a, b)
        return value[which]

    def _distance(self, product, a, b):
        """In place, of inner products: (rows, U) of the slices a and b, or of pairs a and b."""
        if self.squares is None:
            return _squared_cosine(product)
        of_a = self.squares[a]
        return (
            product.mul_(-2)
            .add_(of_a[:, None] if product.ndim == 2 else of_a)
            .add_(self.squares[b])
            .clamp_(min=0)
        )


@torch.no_grad()
def _re_rank(photos, k1, k2, lambda_value, ties):
    _check(photos.count, k1, k2, lambda_value, ties)
    result, neighbours, largest = _scan(photos, k1, max(k1 + 1, k2), ties)
    encoding = _encode(*_reciprocal_sets(neighbours, k1), photos, largest)
    if k2 > 1:
        encoding = _expand(encoding, neighbours[:, :k2])
    _blend_jaccard(result, encoding, lambda_value)
    return result.cpu().numpy()


def _room(entries, tensor):
    return entries if _on_cpu(tensor) else ACCELERATOR * entries


def _check(photos, k1, k2, lambda_value, ties):
    if k1 < 1 or k2 < 1:
        raise ValueError(f're-ranking needs k1 >= 1 and k2 >= 1, got {k1} and {k2}')
    if not 0 <= lambda_value <= 1:
        raise ValueError(f're-ranking needs lambda within 0 … 1, got {lambda_value}')
    if ties not in TIES:
        raise ValueError(f"re-ranking: ties '{ties}' is none of {TIES}")
    if max(k1 + 1, k2) > photos:
        raise InputError(
            f're-ranking: k1 = {k1} and k2 = {k2} need {max(k1 + 1, k2)} photos in query and '
            'gallery '
            f'together, there are {photos}; lower TEST.RERANK_K1 or TEST.RERANK_K2'
        )


def _scan(photos, k1, k, ties):
    """What is taken from the distances, in one pass: query to gallery (Q, G), the k nearest (N, k)
    in order, and the largest distance of every photo (N,), by which its distances are divided.
    """
    q, photo = photos.num_query, photos.photo
    total = int(photo.max()) + 1
    result = torch.empty(q, photos.count - q, device=photo.device)
    neighbours = torch.empty(photos.count, k, dtype=torch.long, device=photo.device)
    largest = torch.empty(photos.count, device=photo.device)
    step = min(total, max(1, _room(BLOCK, photo) // photos.count))
    buffer = torch.empty(step, photos.count, device=photo.device)
    for start in range(0, total, step):
        stop = min(start + step, total)
        distance = photos.rows(start, stop, buffer[: stop - start])
        top = distance.amax(1)
        if not (top.isfinite() & distance.amin(1).isfinite()).all():
            raise InputError(
                're-ranking: similarities or distances are not finite: the features hold NaN or '
                'infinity, '
                'check the weights'
            )
        top.clamp_(min=torch.finfo(top.dtype).tiny)
        distance /= top[:, None]
        nearest = _nearest(distance, k) if ties == 'index' else _partial_sort(distance, k1, k)
        here = (
            ((photo >= start) & (photo < stop)).nonzero().squeeze(1)
        )  # in the list: once, or as query and gallery
        row = photo[here] - start
        neighbours[here], largest[here] = nearest[row], top[row]
        query = here < q
        result.index_copy_(0, here[query], distance[:, q:].index_select(0, row[query]))
    return result, neighbours, largest


def _nearest(distance, k):
    """Indices (n, k) of the k smallest of rows (n, N), in order; of equal ones the lower index
    first.
    """
    count = distance.shape[1]
    # The k-th of the minima of disjoint groups of columns is no less than the k-th of all, and
    # hardly more: at least 4 k
    # groups, each of every width-th column, which is fast where the width is a multiple of a vector
    # register.
    width = min(count, 32 * -(-4 * k // 32))
    parts = count // width
    least = distance[:, : parts * width].unflatten(1, (parts, width)).amin(1)
    bound = least.topk(k, largest=False, sorted=False).values.amax(1)
    place = (distance <= bound[:, None]).flatten().nonzero().squeeze(1)
    row = place // count
    found = torch.bincount(row, minlength=len(distance))
    first, most = found.cumsum(0) - found, int(found.max())
    slot = torch.arange(len(row), device=row.device) - first.take(row)
    near = distance.new_full((len(distance) * most,), torch.inf)
    near.scatter_(0, row * most + slot, distance.take(place))  # put_ fails in deterministic mode
    order = near.view(-1, most).sort(dim=1, stable=True).indices[:, :k]
    return place.take(first[:, None] + order) % count


def _partial_sort(distance, k1, k):
    order = np.argpartition(distance.cpu().numpy(), range(1, k1 + 1), axis=1)[:, :k]
    return torch.as_tensor(order, device=distance.device)


def _reciprocal_sets(neighbours, k1):
    """R* of the paper, equations 2 to 4: (i, j), long (M,) each, sorted, every photo j in the set
    of i once.

    R(i, k): those j among i's first k + 1 (itself included) whose own first k + 1 contain i. R*(i)
    is R(i, k1) and every R(j, k1 / 2) of its members j that lies in R(i, k1) by more than two
    thirds.
    """
    count, device = len(neighbours), neighbours.device
    near, half = (
        neighbours[:, : k1 + 1],
        neighbours[:, : round(k1 / 2) + 1],
    )  # half to even, as NumPy rounds
    own, other = _mutual(near), _mutual(half)
    size = other.sum(1)
    sets = []
    for rows in torch.arange(count, device=device).split(
        max(1, _room(BLOCK, near) // (count + near.shape[1] * half.shape[1]))
    ):
        n, j = len(rows), near[rows]
        member = half.index_select(0, j.flatten()).view(
            n, -1
        )  # for every j those of its half neighbourhood
        real = other.index_select(0, j.flatten()).view(*j.shape, -1)
        inside = torch.zeros(n, count, dtype=torch.bool, device=device).scatter_(1, j, own[rows])
        common = (inside.gather(1, member).view_as(real) & real).sum(2)
        joins = own[rows] & (3 * common > 2 * size[j])
        key = rows[:, None] * count
        key = torch.cat(
            [(key + j)[own[rows]], (key + member)[(real & joins[:, :, None]).flatten(1)]]
        )
        sets.append(key.sort().values.unique_consecutive())
    sets = torch.cat(sets)
    return sets // count, sets % count


def _mutual(neighbours):
    """(N, k) bool: whether i is among the neighbours of its neighbours (N, k)."""
    k = neighbours.shape[1]
    mutual = torch.empty_like(neighbours, dtype=torch.bool)
    neighbours = neighbours.int()  # half the memory to read
    for rows in torch.arange(len(neighbours), device=neighbours.device).split(
        max(1, _room(BLOCK, neighbours) // k**2)
    ):
        theirs = neighbours.index_select(0, neighbours[rows].flatten()).view(len(rows), k, k)
        mutual[rows] = (theirs == rows[:, None, None]).any(2)
    return mutual


def _encode(i, j, photos, largest):
    """V of the paper, equation 7: sparse (N, N), exp(-distance) over the sets (i, j), the rows
    summing to 1.
    """
    weight = torch.exp(-photos.pairs(i, j) / largest[i])
    return _matrix(i, j, weight / _sums(i, weight, len(largest))[i], len(largest))


def _expand(encoding, neighbours):
    """The mean of V over each photo's neighbours (N, k2)."""
    if not _on_cpu(neighbours):
        return _expand_in_blocks(encoding, neighbours)
    count, k2 = neighbours.shape
    row = torch.arange(count, device=neighbours.device).repeat_interleave(k2)
    mean = _matrix(row, neighbours.flatten(), encoding.values().new_full(row.shape, 1 / k2), count)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            'ignore', message='Sparse CSR tensor support is in beta'
        )  # what the CPU uses inside
        return torch.sparse.mm(mean, encoding).coalesce()


def _expand_in_blocks(encoding, neighbours):
    """The same without a sparse product. CUDA's adds up in any order, and fails where there are
    many photos.
    """
    count, k2 = neighbours.shape
    (row, column), weight = encoding.indices(), encoding.values() / k2
    size = torch.bincount(row, minlength=count)
    first = size.cumsum(0) - size
    keys, values = [], []
    for start, stop in _blocks(size[neighbours].sum(1) + count):
        near = neighbours[start:stop].flatten()
        neighbour, place = _runs(first[near], size[near])
        target = neighbour // k2 * count + column.index_select(0, place)
        total = _sums(target, weight.index_select(0, place), (stop - start) * count)
        key = total.nonzero().squeeze(1)
        keys.append(start * count + key)
        values.append(total[key])
    key = torch.cat(keys)
    return torch.sparse_coo_tensor(
        torch.stack([key // count, key % count]),
        torch.cat(values),
        (count, count),
        check_invariants=False,
        is_coalesced=True,
    )


def _matrix(row, column, value, count):
    """Sparse (count, count)."""
    return torch.sparse_coo_tensor(
        torch.stack([row, column]), value, (count, count), check_invariants=False
    ).coalesce()


def _blend_jaccard(result, encoding, lambda_value):
    """result (Q, G), the original distances, becomes λ of them and 1 - λ of the Jaccard distances,
    in place.

    1 - Σ min / Σ max of encodings, equation 10. Their rows sum to 1, so Σ max = 2 - Σ min. Σ min
    goes through the gallery's
    columns: for each entry of a query only the gallery photos that have the same entry are visited.
    """
    q, g = result.shape
    row, column, weight = *encoding.indices(), encoding.values()
    split = int((row < q).sum())  # the queries' entries come first
    order = column[split:].argsort(stable=True)  # the gallery's by columns: of whom, how much
    holder, held = row[split:][order] - q, weight[split:][order]
    size = torch.bincount(column[split:], minlength=encoding.shape[1])
    first = size.cumsum(0) - size

    row, column, weight = row[:split], column[:split], weight[:split]
    first, size = first[column], size[column]
    end = torch.bincount(row, minlength=q).cumsum(0)
    entry = 0
    for start, stop in _blocks(torch.zeros_like(end).index_add_(0, row, size) + g):
        last = int(end[stop - 1])
        part = slice(entry, last)
        pair, place = _runs(
            first[part], size[part]
        )  # for every pair its entry of the query, and the place of the gallery's
        smaller = torch.minimum(weight[part].index_select(0, pair), held.index_select(0, place))
        target = ((row[part] - start) * g).index_select(0, pair) + holder.index_select(0, place)
        common = _sums(target, smaller, (stop - start) * g).view(-1, g)
        result[start:stop].mul_(lambda_value).add_(
            1 - common / (2 - common), alpha=1 - lambda_value
        )
        entry = last


def _blocks(cost):
    """(start, stop) of consecutive rows that cost (N,) about as many pairs as are handled at a
    time.
    """
    rows = (cost.cumsum(0) // _room(PAIRS, cost)).unique_consecutive(return_counts=True)[1]
    return pairwise([0, *rows.cumsum(0).tolist()])


def _runs(first, size):
    """Of runs of entries, from ``first`` (n,) on, ``size`` (n,) long: for each entry the number of
    its run, and its place.
    """
    run = torch.repeat_interleave(size)
    before = size.cumsum(0) - size
    return run, torch.arange(len(run), device=run.device) + (first - before).index_select(0, run)


def _sums(index, value, count):
    """(count,): what the values (M,), each within 0 … 1, add up to at each index (M,).

    On the CPU in the order of the list. An accelerator adds in any order, so there in units of
    2⁻⁴⁰: sums of whole numbers are the same in every run.
    """
    if _on_cpu(value):
        return value.new_zeros(count).scatter_add_(0, index, value)
    units = value.new_zeros(count, dtype=torch.long).scatter_add_(0, index, (value * UNITS).long())
    return units.float() / UNITS


def _on_cpu(tensor):
    return tensor.device.type == 'cpu'
