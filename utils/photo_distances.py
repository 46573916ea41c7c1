"""Distances among the photos of a query and a gallery, computed one block of rows at a time.

All photos form one list of N = Q + G, the queries first.
"""

from typing import Literal

import numpy.typing as npt
import torch

from utils import blockwise
from utils.linear import linear

TILE = 256  # rows of a matrix that are transposed at once: they fit into the nearest cache
Metric = Literal['cosine', 'euclidean']


def squared_cosine(similarity: torch.Tensor) -> torch.Tensor:
    """Return (2 - 2 · similarity)², the squared Euclidean distance squared again, in place."""
    return torch.sub(2, similarity, alpha=2, out=similarity).square_()


class MatrixDistances:
    """Distances from three matrices of cosine similarities.

    The published code transposes its matrix, so the distance from i to j comes from row j.

    Args:
        q_g: (Q, G), array or tensor.
        q_q: (Q, Q).
        g_g: (G, G).

    Attributes:
        num_query: Q.
        count: N.
        photo: (N,) row of each photo of the list.
    """

    def __init__(self, q_g: npt.ArrayLike, q_q: npt.ArrayLike, g_g: npt.ArrayLike) -> None:
        self.q_g, self.q_q, self.g_g = matrices = [torch.as_tensor(m) for m in (q_g, q_q, g_g)]
        q, g = len(self.q_q), len(self.g_g)
        if [matrix.shape for matrix in matrices] != [(q, g), (q, q), (g, g)] or not q or not g:
            raise ValueError(
                'q_g (Q, G), q_q (Q, Q) and g_g (G, G) are needed, none empty; '
                f'got {", ".join(str(tuple(matrix.shape)) for matrix in matrices)}'
            )
        self.num_query, self.count = q, q + g
        self.photo = torch.arange(q + g, device=self.q_g.device)

    def rows(self, start: int, stop: int, out: torch.Tensor) -> torch.Tensor:
        """(stop - start, N) distances of some rows to the whole list, written to ``out``."""
        q = self.num_query
        query = slice(min(start, q), min(stop, q))
        gallery = slice(max(start - q, 0), max(stop - q, 0))
        split = query.stop - query.start
        out[:split, q:] = self.q_g[query]
        for part, matrix, columns in (
            (out[:split, :q], self.q_q, query),
            (out[split:, :q], self.q_g, gallery),
            (out[split:, q:], self.g_g, gallery),
        ):
            for first in range(0, len(matrix), TILE):
                part[:, first : first + TILE] = matrix[first : first + TILE, columns].T
        return squared_cosine(out)

    def pairs(self, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        """(M,) distances of the photos i (M,) to j (M,) of the list."""
        q = self.num_query
        low, high = torch.minimum(i, j), torch.maximum(i, j)
        value = torch.empty(len(i), device=i.device)
        for chosen, matrix, row, column in (
            (high < q, self.q_q, j, i),
            (low >= q, self.g_g, j - q, i - q),
            ((low < q) & (high >= q), self.q_g, low, high - q),
        ):
            value[chosen] = matrix[row[chosen], column[chosen]].float()
        return squared_cosine(value)


class FeatureDistances:
    """Distances from features: a row for each unique photo, a column for each of the N in the list.

    Args:
        features: (U, D) of unique photos, array or tensor on any device.
        query_index: (Q,) integers 0 … U - 1.
        gallery_index: (G,) integers 0 … U - 1.
        metric: 'cosine', of L2-normalised features, or 'euclidean'.

    Attributes:
        num_query: Q.
        count: N.
        photo: (N,) row of each photo of the list.
    """

    def __init__(
        self,
        features: npt.ArrayLike,
        query_index: npt.ArrayLike,
        gallery_index: npt.ArrayLike,
        metric: Metric,
    ) -> None:
        photos = torch.as_tensor(features).float()
        query, gallery = (
            torch.as_tensor(index, device=photos.device) for index in (query_index, gallery_index)
        )
        used, self.photo = torch.cat([query, gallery]).unique(return_inverse=True)
        self.features, self.metric = photos[used], metric
        self.squares = self.features.square().sum(1)
        self.num_query, self.count = len(query), len(self.photo)

    def rows(self, start: int, stop: int, out: torch.Tensor) -> torch.Tensor:
        """(stop - start, N) distances of some rows to the whole list, written to ``out``."""
        product = linear(self.features[start:stop], self.features)
        distance = self._distance(product, self.squares[start:stop, None], self.squares)
        return torch.index_select(distance, 1, self.photo, out=out)

    def pairs(self, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        """(M,) distances of the photos i (M,) to j (M,) of the list."""
        i, j = self.photo[i], self.photo[j]
        key = torch.minimum(i, j) * len(self.features) + torch.maximum(i, j)  # each pair once
        key, pair = key.unique(return_inverse=True)
        value = torch.empty(len(key), device=key.device)
        step = blockwise.rows_at_a_time(self.features.shape[1], i)
        for start in range(0, len(key), step):
            part = key[start : start + step]
            a, b = part // len(self.features), part % len(self.features)
            product = torch.einsum(
                'ij,ij->i', self.features.index_select(0, a), self.features.index_select(0, b)
            )
            value[start : start + step] = self._distance(product, self.squares[a], self.squares[b])
        return value[pair]

    def _distance(
        self, product: torch.Tensor, squares_a: torch.Tensor, squares_b: torch.Tensor
    ) -> torch.Tensor:
        """Turn inner products of a and b into distances, in place."""
        if self.metric == 'cosine':
            return squared_cosine(product)
        return product.mul_(-2).add_(squares_a).add_(squares_b).clamp_(min=0)
