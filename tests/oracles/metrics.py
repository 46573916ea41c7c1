"""Metrics the plain way, query by query on whole sorted rankings, as published code does it.

The rules are those of the published evaluation (docs/differences.md, "References"). What
utils/metrics.py must equal.
"""

import numpy as np
from sklearn.metrics import average_precision_score


def market_plain(distance, q_pids, g_pids, q_camids, g_camids, max_rank=50, kind=None):
    """Market-1501: (cmc (max_rank,), mAP). kind: of np.argsort; 'stable' where distances tie."""
    order = np.argsort(distance, axis=1, kind=kind)
    matches = g_pids[order] == q_pids[:, None]
    curves, aps = [], []
    for row in range(len(distance)):
        removed = matches[row] & (g_camids[order[row]] == q_camids[row])
        right = matches[row][~removed].astype(np.int32)
        if not right.any():
            continue
        found = right.cumsum()
        curve = np.ones(max_rank)
        curve[: min(max_rank, len(found))] = np.minimum(found, 1)[:max_rank]
        curves.append(curve)
        precision = found / np.arange(1, len(found) + 1)
        aps.append((precision * right).sum() / right.sum())
    return np.mean(curves, axis=0), float(np.mean(aps))


def animal_plain(distance, q_pids, g_pids, drop_nearest):
    """The animal tests: dict of mAP, rank1, rank5, rank10; queries without a positive count as
    0.
    """
    ap, cmc = np.zeros(len(distance)), np.zeros(distance.shape[1])
    for row in range(len(distance)):
        order = np.argsort(distance[row], kind='stable')[int(drop_nearest) :]
        positions = np.flatnonzero(g_pids[order] == q_pids[row])
        if not len(positions):
            continue
        cmc[positions[0] :] += 1
        for i, position in enumerate(positions):
            before = i / position if position else 1.0
            ap[row] += (before + (i + 1) / (position + 1)) / 2 / len(positions)
    return {
        'mAP': ap.mean(),
        **{f'rank{k}': cmc[min(k, len(cmc)) - 1] / len(distance) for k in (1, 5, 10)},
    }


def atrw_plain(distance, photos):
    """ATRW: photos are records with pid, frame and group, query and gallery alike. Dict with
    sing/…, multi/… and mmAP.
    """
    truth = {
        index: {'entity': photo.pid, 'frame': photo.frame, 'group': photo.group}
        for index, photo in enumerate(photos)
    }
    ap, first = {'sing': [], 'multi': []}, {'sing': [], 'multi': []}
    for query in truth:
        ranking = np.argsort(distance[query], kind='stable').tolist()[1:]
        kept, masked = [], []
        for photo in ranking:
            (masked if _is_masked(truth[query], truth[photo]) else kept).append(photo)
        place = {photo: rank for rank, photo in enumerate(kept, start=1)}
        right = [
            photo in place and truth[photo]['entity'] == truth[query]['entity'] for photo in ranking
        ]
        score = [1 / place[photo] if photo in place else 0.0 for photo in ranking]
        group = truth[query]['group']
        ap[group].append(average_precision_score(right, score) if any(right) else 0.0)
        hits = [
            rank
            for rank, photo in enumerate(kept + masked, start=1)
            if photo in place and truth[photo]['entity'] == truth[query]['entity']
        ]
        first[group].append(hits[0] if hits else np.inf)
    metrics = {}
    for group in ap:
        metrics[f'{group}/mAP'] = sum(ap[group]) / len(ap[group])
        for k in (1, 5, 10):
            metrics[f'{group}/rank{k}'] = sum(rank <= k for rank in first[group]) / len(
                first[group]
            )
    metrics['mmAP'] = (metrics['sing/mAP'] + metrics['multi/mAP']) / 2
    return metrics


def _is_masked(query, photo):
    if photo['entity'] == -1:
        return True
    (a, b, n), (c, d, m) = query['frame'], photo['frame']
    return query['entity'] == photo['entity'] and (a, b) == (c, d) and abs(n - m) <= 3
