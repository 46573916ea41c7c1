"""Mean average precision and rank-k of a test set, under the protocol of the test."""

import random
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from utils.errors import InputError
from utils.ranking import Ranking, group_names, masked_rows, rank_positives
from utils.relevance import Photo, RankingRules, Relevance, relevance_of


def rank_metrics(
    distance: npt.ArrayLike,
    query: Sequence[Photo],
    gallery: Sequence[Photo],
    protocol: RankingRules,
) -> dict[str, float]:
    """Rank the gallery for every query and average the results.

    Args:
        distance: (Q, G), finite, smaller is nearer.
        query: Q records (``datasets.records.Record``).
        gallery: G records.
        protocol: Which photos a ranking drops or ignores, and how it is scored.

    Returns:
        mAP, rank1, rank5 and rank10 as fractions. If queries have a group, the same for each group
        (``sing/mAP`` …) and ``mmAP``, the mean of the groups' mAPs.

    Raises:
        ValueError: The distance has the wrong shape.
        InputError: A distance is not finite, or no query has a match in the gallery.
    """
    groups = [record.group for record in query]
    return summarize(rank_queries(distance, query, gallery, protocol), groups)


def rank_queries(
    distance: npt.ArrayLike,
    query: Sequence[Photo],
    gallery: Sequence[Photo],
    protocol: RankingRules,
) -> Ranking:
    """Rank the gallery for every query; for arguments and errors see :func:`rank_metrics`."""
    return rank_positives(distance, relevance_of(query, gallery, protocol), protocol)


def count_positives(
    query: Sequence[Photo], gallery: Sequence[Photo], protocol: RankingRules
) -> np.ndarray:
    """Count the matches of each query in the gallery; this needs no distances.

    A protocol that drops the nearest photo is assumed to drop the query itself, if the gallery
    holds it.

    Returns:
        (Q,) int64.
    """
    row, _, _, counts = _countable_pairs(query, gallery, protocol)
    return np.bincount(row[counts], minlength=len(query))


def copies_in_gallery(
    query: Sequence[Photo], gallery: Sequence[Photo], protocol: RankingRules
) -> np.ndarray:
    """Find the gallery photos that are byte-for-byte copies of a query of the same individual.

    If the protocol never compares a photo with itself, these are the copies under other names that
    it therefore ignores. Otherwise they are the photos by which a query finds itself: its copies
    and, where it counts, its own file.

    Returns:
        (M, 2) int64, indices of the query and of the gallery photo.
    """
    row, column, itself, counts = _countable_pairs(query, gallery, protocol)
    if protocol.never_itself:
        same_file = [query[q].path == gallery[g].path for q, g in zip(row, column, strict=True)]
        counts = ~np.array(same_file, dtype=bool)
    return np.stack([row, column], axis=1)[itself & counts]


def _countable_pairs(
    query: Sequence[Photo], gallery: Sequence[Photo], protocol: RankingRules
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs of a query and a gallery photo of the same identity.

    Returns:
        Four arrays (M,): index of the query, index of the gallery photo, whether both are the same
        photo, and whether the protocol counts the pair.
    """
    relevance = relevance_of(query, gallery, protocol)
    row, column, ignored, itself = relevance.pairs(slice(0, len(query)))
    counts = ~ignored & ~np.isin(column, relevance.unknown)
    if protocol.drop_nearest and not protocol.never_itself:
        first = np.unique(row[itself], return_index=True)[1]
        counts[np.flatnonzero(itself)[first]] = False
    return row, column, itself, counts


def without_positive(ranking: Ranking) -> dict:
    """Average by both conventions for queries that have no match in the gallery.

    Returns:
        'queries': how many there are; 'as_zero': the averages if each counts as 0; 'left_out': the
        averages without them, {} if no query is left.
    """
    found = ranking.positives > 0
    return {
        'queries': int((~found).sum()),
        'as_zero': _averages(ranking._replace(counted=np.ones_like(found))),
        'left_out': _averages(ranking._replace(counted=found)),
    }


def distance_text(distance: float) -> str:
    """Write a distance with three significant digits.

    One minus a product of normalised features is accurate to about 1e-6, and may be slightly below
    0 for two identical photos.
    """
    return f'{max(0.0, round(float(distance), 6)):.3g}'


def ranked_gallery(
    distance: np.ndarray,
    query: Sequence[Photo],
    gallery: Sequence[Photo],
    protocol: RankingRules,
    top: int,
) -> Iterator[list[tuple[int, bool]]]:
    """Yield the first photos of each query's ranking, to show to people.

    For the first four arguments see :func:`rank_metrics`.

    Yields:
        Up to ``top`` pairs (gallery index, whether it is a match), nearest first, without the
        photos that the protocol drops or ignores.
    """
    relevance = relevance_of(query, gallery, protocol)
    last = min(top, len(gallery)) - 1
    for row in range(len(query)):
        ranked, _, positive = masked_rows(
            distance, relevance, slice(row, row + 1), protocol.drop_nearest
        )
        ranked = ranked[0]
        near = np.flatnonzero(ranked <= np.partition(ranked, last)[last])
        near = near[np.isfinite(ranked[near])]
        order = near[ranked[near].argsort(kind='stable')][:top]
        yield list(zip(order.tolist(), np.isin(order, positive).tolist(), strict=True))


def summarize(
    ranking: Ranking, groups: Sequence[str], subset: Sequence[int] | np.ndarray | None = None
) -> dict[str, float]:
    """Average the results of the queries.

    Args:
        ranking: The results of Q queries.
        groups: The group of each query, '' = none; each group is also averaged by itself.
        subset: The indices of the queries to average, None = all.

    Returns:
        The metrics of :func:`rank_metrics`.

    Raises:
        InputError: No query has a match in the gallery.
    """
    names = np.asarray(groups)
    if subset is not None:
        ranking, names = _select(ranking, subset), names[subset]
    metrics = _averages(ranking)
    if not metrics:
        raise InputError(
            'no query has a match in the gallery, so there is nothing to average; check the '
            'labels of both lists'
        )
    of_groups = group_names(names)
    for name in of_groups:
        of_group = _averages(_select(ranking, names == name))
        metrics |= {f'{name}/{key}': value for key, value in of_group.items()}
    if of_groups:
        metrics['mmAP'] = sum(metrics[f'{name}/mAP'] for name in of_groups) / len(of_groups)
    return metrics


def _select(ranking: Ranking, chosen: Sequence[int] | np.ndarray) -> Ranking:
    return Ranking(*(array[chosen] for array in ranking))


def _averages(ranking: Ranking) -> dict[str, float]:
    """Return the averages over the queries that count, {} if none does."""
    if not ranking.counted.any():
        return {}
    values = ranking.published().items()
    return {name: float(value[ranking.counted].mean()) for name, value in values}


def atrw_public_split(groups: Sequence[str]) -> np.ndarray:
    """Choose the queries of ATRW's public split.

    One generator shuffles the single-camera queries and then the cross-camera queries, both in the
    order of the ground truth. The split is the first half of the single-camera queries and half
    that number of cross-camera queries.

    Args:
        groups: 'sing' or 'multi' of every query.

    Returns:
        Indices of queries.
    """
    generator = random.Random(114514)
    single = [index for index, group in enumerate(groups) if group == 'sing']
    cross = [index for index, group in enumerate(groups) if group == 'multi']
    generator.shuffle(single)
    generator.shuffle(cross)
    single = single[: len(single) // 2]
    return np.array(single + cross[: len(single) // 2], dtype=int)


def eval_func(
    distmat: npt.ArrayLike,
    q_pids: Sequence[int] | np.ndarray,
    g_pids: Sequence[int] | np.ndarray,
    q_camids: Sequence[int] | np.ndarray,
    g_camids: Sequence[int] | np.ndarray,
    max_rank: int = 50,
) -> tuple[np.ndarray, float]:
    """Compute Market-1501's metric (Zheng et al., "Scalable Person Re-identification", ICCV 2015).

    Gallery photos of the query's identity taken by the query's camera are ignored.

    Args:
        distmat: (Q, G), finite, smaller is nearer.
        q_pids, g_pids: (Q,) and (G,), identities.
        q_camids, g_camids: (Q,) and (G,), cameras.
        max_rank: The length of the curve.

    Returns:
        The CMC curve (max_rank,), which is the share of queries with a match among the first 1, 2,
        … photos, and the mAP. Both skip queries without a match. If a query has fewer than max_rank
        photos, its curve stays at 1.

    Raises:
        ValueError: The distance has the wrong shape.
        InputError: A distance is not finite, or no query has a match.
    """
    q_pid, g_pid, q_camera, g_camera = map(np.asarray, (q_pids, g_pids, q_camids, g_camids))
    relevance = Relevance(q_pid, g_pid, lambda row, column: q_camera[row] == g_camera[column])
    rules = RankingRules(ap='precision', no_positive='skip')
    ranking = rank_positives(distmat, relevance, rules)
    if not ranking.counted.any():
        raise InputError(
            'no query has a match by another camera in the gallery; if there is a single camera, '
            'validate without the camera filter'
        )
    counted = ranking.counted
    cmc = np.array([ranking.found_within(k)[counted].mean() for k in range(1, max_rank + 1)])
    return cmc, float(ranking.ap[counted].mean())
