"""k-reciprocal re-ranking (Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017).

All photos of query and gallery stand in one list of N = Q + G, the query first. The steps are those of the paper:
distance -> nearest neighbours -> k-reciprocal sets -> Gaussian encoding V -> query expansion -> Jaccard distance. Sets
are rows of sparse N x N matrices, so that unions and intersections are sums and products.
"""
import numpy as np
from scipy import sparse

from utils.errors import InputError

BLOCK = 4_000_000  # entries of the distance matrix that are handled at a time


def re_ranking(q_g, q_q, g_g, k1=20, k2=6, lambda_value=0.3):
    """Re-ranked distances from cosine similarities.

    q_g (Q, G), q_q (Q, Q), g_g (G, G): similarities of normalised features, -1 … 1. The original distance is
    (2 - 2 * similarity)², the square of the squared Euclidean distance, as in the published numbers.
    k1: size of the neighbourhoods, 1 … N - 1; k2: neighbours averaged in query expansion, 1 … N (1: none);
    lambda_value: weight of the original distance in the result, 0 … 1.

    Returns (Q, G) float32. Of equal distances the lower index is the nearer. Raises ``ValueError`` for shapes and
    arguments that cannot be, ``InputError`` for too few photos and for similarities that are not finite.
    """
    distance = _assemble(q_g, q_q, g_g)
    np.square(2 - 2 * distance, out=distance)
    return _re_rank(distance, len(q_q), k1, k2, lambda_value)


def re_ranking_euclidean(q_g, q_q, g_g, k1=50, k2=15, lambda_value=0.3):
    """The same from squared Euclidean distances, which are not squared again: for person and vehicle sets.

    q_g (Q, G), q_q (Q, Q), g_g (G, G): squared distances. The rest as in ``re_ranking``; the original rounds V and the
    Jaccard distance to float16, here they are float32.
    """
    return _re_rank(_assemble(q_g, q_q, g_g), len(q_q), k1, k2, lambda_value)


def _assemble(q_g, q_q, g_g):
    """The (N, N) float32 matrix of the three blocks, transposed: entry (i, j) is taken from row j."""
    q_g, q_q, g_g = (np.asarray(block) for block in (q_g, q_q, g_g))
    q, g = len(q_q), len(g_g)
    if (q_g.shape, q_q.shape, g_g.shape) != ((q, g), (q, q), (g, g)) or not q or not g:
        raise ValueError('q_g (Q, G), q_q (Q, Q) and g_g (G, G) are needed, none empty; '
                         f'got {q_g.shape}, {q_q.shape}, {g_g.shape}')
    matrix = np.empty((q + g, q + g), dtype=np.float32)
    matrix[:q, :q], matrix[:q, q:] = q_q.T, q_g
    matrix[q:, :q], matrix[q:, q:] = q_g.T, g_g.T
    if not np.isfinite(matrix).all():
        raise InputError('re-ranking: similarities or distances are not finite: the features hold NaN or infinity, '
                         'check the weights')
    return matrix


def _re_rank(distance, num_query, k1, k2, lambda_value):
    _check(len(distance), k1, k2, lambda_value)
    distance /= np.maximum(distance.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    neighbours = _nearest(distance, max(k1 + 1, k2))
    encoding = _encode(_reciprocal_sets(neighbours, k1), distance)
    if k2 > 1:
        encoding = _neighbour_matrix(neighbours[:, :k2], len(distance)) @ encoding / np.float32(k2)
    jaccard = _jaccard_distance(encoding[:num_query], encoding[num_query:])
    return jaccard * np.float32(1 - lambda_value) + distance[:num_query, num_query:] * np.float32(lambda_value)


def _check(photos, k1, k2, lambda_value):
    if k1 < 1 or k2 < 1:
        raise ValueError(f're-ranking needs k1 >= 1 and k2 >= 1, got {k1} and {k2}')
    if not 0 <= lambda_value <= 1:
        raise ValueError(f're-ranking needs lambda within 0 … 1, got {lambda_value}')
    if max(k1 + 1, k2) > photos:
        raise InputError(f're-ranking: k1 = {k1} and k2 = {k2} need {max(k1 + 1, k2)} photos in query and gallery '
                         f'together, there are {photos}; lower TEST.RERANK_K1 or TEST.RERANK_K2')


def _nearest(distance, k):
    """Indices (N, k) of the k smallest of every row, in order; of equal ones the lower index first."""
    count = len(distance)
    nearest = np.empty((count, k), dtype=np.int64)
    step = max(1, BLOCK // count)
    for start in range(0, count, step):
        block = distance[start:start + step]
        # All that are not farther than the k-th: k a row, or a few more where the k-th is tied.
        row, column = np.nonzero(block <= np.partition(block, k - 1, axis=1)[:, k - 1:k])
        by_distance = np.lexsort((block[row, column], row))  # stable, so ties stay in the order of their columns
        first = np.searchsorted(row, np.arange(len(block)))
        nearest[start:start + step] = column[by_distance][first[:, None] + np.arange(k)]
    return nearest


def _neighbour_matrix(neighbours, count):
    """Sparse (N, N), row i with a one for each of i's neighbours."""
    k = neighbours.shape[1]
    indptr = np.arange(0, neighbours.size + 1, k)
    return sparse.csr_array((np.ones(neighbours.size, np.float32), neighbours.ravel(), indptr), shape=(count, count))


def _reciprocal_sets(neighbours, k1):
    """R* of the paper, equations 2 to 4: sparse (N, N), non-zero where j is in the set of i.

    R(i, k): those j among i's first k + 1 (itself included) whose own first k + 1 contain i. R*(i) is R(i, k1) and
    every R(j, k1 / 2) of its members j that lies in R(i, k1) by more than two thirds.
    """
    half = round(k1 / 2)  # half to even, as NumPy rounds
    own = _reciprocal(neighbours[:, :k1 + 1])
    other = _reciprocal(neighbours[:, :half + 1])
    overlap = ((own @ other.T) * own).tocoo()  # (i, j): size of R(j, half) and R(i, k1) in common, for j in R(i, k1)
    i, j = overlap.row, overlap.col
    joins = 3 * overlap.data > 2 * other.sum(axis=1)[j]
    joining = sparse.csr_array((np.ones(joins.sum(), np.float32), (i[joins], j[joins])), shape=own.shape)
    return own + joining @ other


def _reciprocal(neighbours):
    near = _neighbour_matrix(neighbours, len(neighbours))
    return (near * near.T.tocsr()).tocsr()


def _encode(sets, distance):
    """V of the paper, equation 7: sparse (N, N), exp(-distance) over each set, the rows summing to 1."""
    sets = sets.tocoo()
    i, j = sets.row, sets.col
    weight = np.exp(-distance[i, j])
    total = np.bincount(i, weights=weight, minlength=len(distance))
    return sparse.csr_array(((weight / total[i]).astype(np.float32), (i, j)), shape=distance.shape)


def _jaccard_distance(query, gallery):
    """1 - Σ min / Σ max of encodings, equation 10: sparse (Q, N) and (G, N) -> (Q, G) float32.

    The rows sum to 1, so Σ max = 2 - Σ min. Σ min goes through the gallery's columns: for each entry of a query only
    the gallery photos that have the same entry are visited.
    """
    query, columns = query.tocsr(), gallery.tocsc()
    distance = np.empty((query.shape[0], gallery.shape[0]), dtype=np.float32)
    for row in range(query.shape[0]):
        entries = slice(query.indptr[row], query.indptr[row + 1])
        shared, weight = query.indices[entries], query.data[entries]
        first = columns.indptr[shared]
        length = columns.indptr[shared + 1] - first
        # The places of all the shared columns' entries, one column after the other.
        place = np.arange(length.sum()) + np.repeat(first - (np.cumsum(length) - length), length)
        smaller = np.minimum(np.repeat(weight, length), columns.data[place])
        common = np.bincount(columns.indices[place], weights=smaller, minlength=gallery.shape[0])
        distance[row] = 1 - common / (2 - common)
    return distance
