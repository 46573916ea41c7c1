"""k-reciprocal re-ranking the plain way, photo by photo on dense N x N matrices, as published code
does it.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017. N = Q + G
photos, the query first. Slow and large on purpose: what utils/reranking.py must equal.
"""

import numpy as np


def re_ranking_plain(q_g, q_q, g_g, k1=20, k2=6, lambda_value=0.3, ties='reference'):
    """Re-ranked distances (Q, G) float32 from cosine similarities.

    ties: 'reference' = neighbours in the order that a partial sort of the first k1 + 1 leaves;
    'index' = by a stable sort.
    """
    similarity = np.concatenate(
        [np.concatenate([q_q, q_g], axis=1), np.concatenate([q_g.T, g_g], axis=1)]
    )
    return _re_rank(np.power(2 - 2 * similarity, 2), len(q_q), k1, k2, lambda_value, ties)


def re_ranking_euclidean_plain(q_g, q_q, g_g, k1=50, k2=15, lambda_value=0.3, ties='reference'):
    """The same from squared Euclidean distances, which are not squared again (V and Jaccard in
    float32).
    """
    distance = np.concatenate(
        [np.concatenate([q_q, q_g], axis=1), np.concatenate([q_g.T, g_g], axis=1)]
    )
    return _re_rank(distance, len(q_q), k1, k2, lambda_value, ties)


def _re_rank(distance, num_query, k1, k2, lambda_value, ties):
    distance = distance.astype(np.float32)
    largest = np.maximum(
        distance.max(axis=0), np.finfo(np.float32).tiny
    )  # photos that are all alike: no 0 / 0
    distance = np.transpose(distance / largest)
    if ties == 'index':
        rank = np.argsort(distance, axis=1, kind='stable')
    else:
        rank = np.argpartition(distance, range(1, k1 + 1))
    count = len(distance)

    encoding = np.zeros_like(distance)
    for i in range(count):
        own = _reciprocal(rank, i, k1)
        grown = own
        for j in own:
            other = _reciprocal(rank, j, int(np.round(k1 / 2)))
            if 3 * len(np.intersect1d(other, own)) > 2 * len(other):  # more than two thirds of it
                grown = np.append(grown, other)
        grown = np.unique(grown)
        weight = np.exp(-distance[i, grown])
        encoding[i, grown] = weight / weight.sum()

    if k2 > 1:
        expanded = np.zeros_like(encoding)
        for i in range(count):
            expanded[i] = encoding[rank[i, :k2]].mean(axis=0)
        encoding = expanded

    holders = [
        np.nonzero(encoding[:, column])[0] for column in range(count)
    ]  # the photos that have the column in their set
    final = np.zeros((num_query, count), dtype=np.float32)
    for i in range(num_query):
        common = np.zeros(count, dtype=np.float32)
        for column in np.nonzero(encoding[i])[0]:
            common[holders[column]] += np.minimum(
                encoding[i, column], encoding[holders[column], column]
            )
        final[i] = (1 - common / (2 - common)) * (1 - lambda_value) + distance[i] * lambda_value
    return final[:, num_query:]


def _reciprocal(rank, i, k):
    """R(i, k): those of i's first k + 1 whose own first k + 1 contain i."""
    forward = rank[i, : k + 1]
    return forward[(rank[forward, : k + 1] == i).any(axis=1)]
