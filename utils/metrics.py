"""Rankings and what is said of them: average precision, rank-k, by protocol.

Everything goes through ``_judge``: for every query the positions of its positives in the ranking.
They are counted in the sorted distances, so nobody's whole ranking is made. Ranking is stable: of
equal distances the lower gallery index comes first.
"""

import random
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from utils.errors import InputError

BLOCK = 2**20  # entries of the distance matrix that are handled at a time: 4 MB of float32
PROTOCOL_CHOICES = {
    'ap': ('trapezoid', 'precision'),
    'no_positive': ('zero', 'skip'),
    'ignore': ('', 'camera', 'known camera', 'encounter', 'side', 'sequence'),
}
SEQUENCE_FRAMES = 3  # ATRW: photos so few frames apart in one camera sequence show the same moment


class Ranking(NamedTuple):
    """What each query's ranking came to, arrays (Q,).

    ap: average precision, 0 … 1, 0 without positives.
    first_hit: rank of the first positive, from 1; 0 without positives.
    positives: number of positives.
    counted: whether the query counts in the averages.
    """

    ap: np.ndarray
    first_hit: np.ndarray
    positives: np.ndarray
    counted: np.ndarray


def rank_metrics(distance, query, gallery, protocol):
    """Judge the rankings of a test set.

    distance: (Q, G) array, finite, smaller is nearer; query, gallery: lists of Q and G records
    (``pid``, ``camid``, ``frame``, ``group``, ``photo`` …); protocol: see ``rank_queries``.

    Returns a dict of floats: mAP, rank1, rank5, rank10 as fractions; with groups the same of each
    (``sing/mAP`` …) and ``mmAP``, the mean of the groups' mAPs. Raises as ``rank_queries`` and
    ``summarize`` do.
    """
    return summarize(
        rank_queries(distance, query, gallery, protocol), [record.group for record in query]
    )


def rank_queries(distance, query, gallery, protocol):
    """Rank the gallery for every query and judge it by the protocol; arguments as in
    ``rank_metrics``.

    protocol: ``ap`` 'trapezoid' or 'precision'; ``drop_nearest``: the first of every ranking is
    dropped, from the positives too; ``no_positive`` 'zero' or 'skip': whether queries without a
    positive count; ``ignore``: what is neither ranked nor positive, '' = nothing, else photos of
    the query's identity: 'camera' its camid, 'known camera' its camera and photos where one of the
    two is unknown, 'side' likewise, 'encounter' its encounter, 'sequence' those within 3 frames of
    its camera sequence, and all of identity -1; ``never_itself``: neither is the query's own photo
    nor a copy of it, by ``photo`` and identity, and for queries that the gallery has nothing else
    is dropped as the nearest.

    Returns a ``Ranking``. Raises ``ValueError`` for a distance of another shape and for a protocol
    that asks for what there is not, ``InputError`` for a distance that is not finite and for an
    empty query or gallery.
    """
    for field, choices in PROTOCOL_CHOICES.items():
        if getattr(protocol, field) not in choices:
            raise ValueError(f"protocol: {field} '{getattr(protocol, field)}' is none of {choices}")
    distance = _check(distance, query, gallery)
    return _judge(
        distance,
        _relevance(query, gallery, protocol),
        ap=protocol.ap,
        drop_nearest=protocol.drop_nearest,
        no_positive=protocol.no_positive,
    )


def count_positives(query, gallery, protocol):
    """How many right answers the gallery has for each query: int64 (Q,). Arguments as in
    ``rank_queries``, without distances: where the nearest is dropped it is taken to be the query
    itself, if the gallery has it.
    """
    row, _, counts, _ = _counting(query, gallery, protocol)
    return np.bincount(row[counts], minlength=len(query))


def copies_in_gallery(query, gallery, protocol):
    """Pairs (query, gallery) of indices, int64 (M, 2), of which the second is a copy of the first,
    byte for byte and of its individual. Arguments as in ``count_positives``.

    Where a photo is never compared with itself they are its copies under other names, which are
    removed for that. Elsewhere
    they are what a query finds of itself: its copies, and its own file where that counts.
    """
    row, column, counts, itself = _counting(query, gallery, protocol)
    if protocol.never_itself:
        row, column = row[itself], column[itself]
        counts = np.array(
            [query[q].path != gallery[g].path for q, g in zip(row, column)], dtype=bool
        )
        return np.stack([row[counts], column[counts]], axis=1)
    return np.stack([row[counts & itself], column[counts & itself]], axis=1)


def _counting(query, gallery, protocol):
    """All pairs of the same identity, whether the protocol lets them count, and whether they are
    the same photo: four (M,).
    """
    relevance = _relevance(query, gallery, protocol)
    row, column, ignored, itself = relevance.pairs(slice(0, len(query)))
    counts = ~ignored & ~np.isin(column, relevance.unknown)
    if protocol.drop_nearest and not protocol.never_itself:
        first = np.unique(row[itself], return_index=True)[1]
        counts[np.flatnonzero(itself)[first]] = False
    return row, column, counts, itself


def without_positive(ranking):
    """Of a ``Ranking``: {'queries': how many have no positive, 'as_zero': the averages over all
    queries, 'left_out': over the others}. The two as in ``rank_metrics``, {} where there is nothing
    to average.
    """
    found = ranking.positives > 0
    return {
        'queries': int((~found).sum()),
        **{
            name: _average(ranking._replace(counted=counted), 'the test set')
            if counted.any()
            else {}
            for name, counted in (('as_zero', np.ones_like(found)), ('left_out', found))
        },
    }


def distance_text(distance: float) -> str:
    """Three digits, of what float32 knows: one minus a product of normalised features is right to
    about 1e-6, and may even be a little less than 0 for two equal photos.
    """
    return f'{max(0.0, round(float(distance), 6)):.3g}'


def ranked_gallery(distance, query, gallery, protocol, rows, top):
    """The head of some rankings, for people; the other arguments as in ``rank_metrics``.

    rows: indices of queries; top: length.

    Returns (indices, right), both (len(rows), top): gallery indices by distance, without what the
    protocol drops and ignores, -1 where the ranking is shorter; and whether each is a positive.
    """
    distance = _check(distance, query, gallery)
    relevance = _relevance(query, gallery, protocol)
    indices = np.full((len(rows), top), -1)
    right = np.zeros((len(rows), top), dtype=bool)
    for line, row in enumerate(rows):
        ranked, (_, positive) = _mask(
            distance[row : row + 1], relevance, slice(row, row + 1), protocol.drop_nearest
        )
        last = min(top, len(gallery)) - 1
        near = np.flatnonzero(ranked[0] <= np.partition(ranked[0], last)[last])
        near = near[np.isfinite(ranked[0, near])]
        order = near[ranked[0, near].argsort(kind='stable')][:top]
        indices[line, : len(order)], right[line, : len(order)] = order, np.isin(order, positive)
    return indices, right


def summarize(ranking, groups, subset=None):
    """Average a ``Ranking``.

    groups: Q names, '' = none: queries of a name are averaged apart as well; subset: indices of the
    queries to take.

    Returns the dict of ``rank_metrics``. Raises ``InputError`` where no query is left to average.
    """
    groups = np.asarray(groups)
    if subset is not None:
        ranking, groups = Ranking(*(array[subset] for array in ranking)), groups[subset]
    metrics = _average(ranking, 'the test set')
    names = [str(name) for name in dict.fromkeys(groups) if name]
    for name in names:
        apart = Ranking(*(array[groups == name] for array in ranking))
        metrics |= {
            f'{name}/{key}': value for key, value in _average(apart, f"the group '{name}'").items()
        }
    if names:
        metrics['mmAP'] = sum(metrics[f'{name}/mAP'] for name in names) / len(names)
    return metrics


def atrw_public_split(groups, seed=114514):
    """The queries of ATRW's public split.

    The single-camera and then the cross-camera queries, each in the order of the ground truth, are
    shuffled by one generator; the first half of the former stays, and half as many of the latter.

    groups: 'sing' or 'multi' of every query. Returns an array of query indices.
    """
    generator = random.Random(seed)
    single = [index for index, group in enumerate(groups) if group == 'sing']
    cross = [index for index, group in enumerate(groups) if group == 'multi']
    generator.shuffle(single)
    generator.shuffle(cross)
    single = single[: len(single) // 2]
    return np.array(single + cross[: len(single) // 2], dtype=int)


def eval_func(distmat, q_pids, g_pids, q_camids, g_camids, max_rank=50):
    """The Market-1501 metric (Zheng et al., 2015): gallery photos of the query's identity and
    camera do not count.

    distmat: (Q, G); pids and camids: sequences of Q or G integers; max_rank: length of the curve.

    Returns (cmc, mAP): cmc (max_rank,) the share of queries with a positive among the first 1, 2,
    …; queries without a positive count in neither. Where fewer than max_rank photos are left for a
    query, its curve goes on at 1. Raises ``ValueError`` for shapes that do not fit, ``InputError``
    where no query has a positive.
    """
    q_pids, g_pids, q_camids, g_camids = (
        np.asarray(array) for array in (q_pids, g_pids, q_camids, g_camids)
    )
    if q_camids.shape != q_pids.shape or g_camids.shape != g_pids.shape:
        raise ValueError(
            f'one camera a photo is needed: query {q_pids.shape} and {q_camids.shape}, '
            f'gallery {g_pids.shape} and {g_camids.shape}'
        )

    distance = _check(distmat, q_pids, g_pids)
    relevance = _Relevance(q_pids, g_pids, lambda row, column: q_camids[row] == g_camids[column])
    ranking = _judge(distance, relevance, ap='precision', drop_nearest=False, no_positive='skip')
    if not ranking.counted.any():
        raise InputError(
            'no query has a positive in the gallery of another camera; where there is a single '
            'camera, '
            'validate without the camera filter'
        )
    first_hit = ranking.first_hit[ranking.counted]
    cmc = np.array([(first_hit <= rank).mean() for rank in range(1, max_rank + 1)])
    return cmc, float(ranking.ap[ranking.counted].mean())


def _check(distance, query, gallery):
    distance = np.asarray(distance)
    if distance.shape != (len(query), len(gallery)):
        raise ValueError(
            f'the distance is {distance.shape}, but query and gallery are {len(query)} and '
            f'{len(gallery)}'
        )
    if not distance.size:
        raise InputError(
            f'there are {len(query)} query and {len(gallery)} gallery photos: both lists need one'
        )
    step = max(1, BLOCK // distance.shape[1])
    bad = np.concatenate(
        [
            ~np.isfinite(distance[start : start + step]).all(axis=1)
            for start in range(0, len(distance), step)
        ]
    )
    if bad.any():
        first = int(bad.argmax())
        raise InputError(
            f'the distances of {bad.sum()} of {len(query)} queries are not finite, first of '
            f'query {first} '
            f'({getattr(query[first], "path", query[first])}): the features hold NaN or infinity, '
            'check the weights'
        )
    return distance


class _Relevance:
    """Who is a positive and what is ignored, by index lists of the identities instead of (Q, G)
    comparisons.

    q_pid (Q,), g_pid (G,): identities; ignored: function of indices of queries (M,) and of as many
    gallery photos of the same identity to bool (M,), None = nothing; unknown: gallery indices that
    are ignored whatever the query; itself: such a function, whether the two are the same photo;
    never_itself: whether those are ignored, and instead of the nearest dropped.
    """

    def __init__(self, q_pid, g_pid, ignored=None, unknown=(), itself=None, never_itself=False):
        self.ignored, self.unknown = ignored, np.array(unknown, dtype=int)
        self.itself, self.never_itself = itself, never_itself
        self.by_pid = g_pid.argsort(kind='stable')
        ordered = g_pid[self.by_pid]
        self.first = ordered.searchsorted(q_pid)
        self.size = ordered.searchsorted(q_pid, 'right') - self.first

    def pairs(self, rows):
        """All (query, gallery) of the same identity of a slice of queries, sorted, which are
        ignored, and which are the same
        photo: four (M,)."""
        size = self.size[rows]
        before = size.cumsum() - size
        row = np.arange(rows.start, rows.start + len(size)).repeat(size)
        column = self.by_pid[np.arange(len(row)) + (self.first[rows] - before).repeat(size)]
        ignored, itself = (
            np.zeros(len(row), dtype=bool) if function is None else function(row, column)
            for function in (self.ignored, self.itself)
        )
        return row, column, ignored | (itself & self.never_itself), itself


def _relevance(query, gallery, protocol):
    def column(of):
        """``of`` of all records: two arrays, NaN, which equals nothing, for None."""
        return (
            np.array([np.nan if of(record) is None else of(record) for record in records])
            for records in (query, gallery)
        )

    number = {}
    q_pid, g_pid = (np.array([record.pid for record in records]) for records in (query, gallery))
    q_photo, g_photo = column(lambda record: number.setdefault(record.photo, len(number)))
    ignored, unknown = None, ()
    if protocol.ignore == 'sequence':
        q_frame, g_frame = _frames(query), _frames(gallery)
        unknown = np.flatnonzero(g_pid == -1)

        def ignored(row, column):
            return (np.abs(q_frame[row] - g_frame[column]) <= (0, 0, SEQUENCE_FRAMES)).all(axis=1)
    elif protocol.ignore in ('camera', 'encounter'):
        q_fact, g_fact = column(attrgetter('camid' if protocol.ignore == 'camera' else 'encounter'))

        def ignored(row, column):
            return q_fact[row] == g_fact[column]
    elif protocol.ignore in ('side', 'known camera'):
        q_fact, g_fact = column(attrgetter('side' if protocol.ignore == 'side' else 'camera'))

        def ignored(row, column):
            return ~(np.abs(q_fact[row] - g_fact[column]) > 0)

    return _Relevance(
        q_pid,
        g_pid,
        ignored,
        unknown,
        lambda row, column: q_photo[row] == g_photo[column],
        protocol.never_itself,
    )


def _frames(records):
    """(N, 3); NaN, which is near nothing, for records without a frame."""
    return np.array([record.frame or (np.nan,) * 3 for record in records], dtype=float)


def _judge(distance, relevance, *, ap, drop_nearest, no_positive):
    """The ``Ranking`` of all queries, a block of rows at a time."""
    count, gallery = distance.shape
    average_precision = np.zeros(count)
    first_hit, positives = np.zeros(count, dtype=int), np.zeros(count, dtype=int)
    step = max(1, BLOCK // gallery)
    for start in range(0, count, step):
        rows = slice(start, min(start + step, count))
        ranked, (row, column) = _mask(distance[rows], relevance, rows, drop_nearest)
        position = _positions(ranked, row, column)
        row, position = np.divmod(np.sort(row * gallery + position), gallery)
        first = np.flatnonzero(np.diff(row, prepend=-1))  # every query's best
        first_hit[rows][row[first]] = position[first] + 1
        positives[rows] = np.bincount(row, minlength=len(ranked))
        average_precision[rows] = _average_precision(row, position, positives[rows], ap)
    counted = positives > 0 if no_positive == 'skip' else np.ones(count, dtype=bool)
    return Ranking(average_precision, first_hit, positives, counted)


def _mask(distance, relevance, rows, drop_nearest):
    """Rows of distances (q, G), copied, with infinity for what is dropped or ignored, and the
    positives (row, column).
    """
    row, column, ignored, itself = relevance.pairs(rows)
    row = row - rows.start
    ranked = distance.astype(np.result_type(distance, np.float32))
    ranked[:, relevance.unknown] = np.inf
    ranked[row[ignored], column[ignored]] = np.inf
    if drop_nearest:
        nearest, lines = distance.argmin(axis=1), np.arange(len(ranked))
        if relevance.never_itself:
            lines = np.setdiff1d(lines, row[itself])
        ranked[lines, nearest[lines]] = np.inf
    positive = ranked[row, column] < np.inf
    return ranked, (row[positive], column[positive])


def _positions(ranked, row, column):
    """Positions (M,) from 0 of the finite entries (row, column) in the stable order of their rows
    (q, G); row is sorted.
    """
    value = ranked[row, column]
    nearer, reached = np.empty(len(row), dtype=int), np.empty(len(row), dtype=int)
    for line, (start, stop) in zip(ranked, pairwise(row.searchsorted(np.arange(len(ranked) + 1)))):
        if start == stop:
            continue
        line = np.sort(
            np.compress(line <= value[start:stop].max(), line)
        )  # none is asked for beyond the farthest positive
        nearer[start:stop] = line.searchsorted(value[start:stop])
        reached[start:stop] = line.searchsorted(value[start:stop], 'right')
    for tied in np.flatnonzero(reached - nearer > 1):
        nearer[tied] += np.count_nonzero(ranked[row[tied], : column[tied]] == value[tied])
    return nearer


def _average_precision(row, position, positives, kind):
    """AP of rankings: positives at (row, position) (M,), sorted; positives (q,) how many in each ->
    (q,), 0 without.

    'precision': mean over the positives of the precision at their rank, what scikit-learn's
    average_precision_score gives. 'trapezoid': of the mean of that and the precision just before
    (Philbin et al., 2007; Oxford buildings).
    """
    before = (
        np.arange(len(row)) - (np.cumsum(positives) - positives)[row]
    )  # positives that come earlier in the row
    precision = (before + 1) / (position + 1)
    if kind == 'trapezoid':
        earlier = np.where(position > 0, before / np.maximum(position, 1), 1.0)
        precision = (earlier + precision) / 2
    return np.bincount(row, weights=precision, minlength=len(positives)) / np.maximum(positives, 1)


def _average(ranking, what):
    if not ranking.counted.any():
        raise InputError(
            f'no query of {what} has a positive in the gallery: there is nothing to average, '
            'check the labels of both lists'
        )
    ap, first_hit = ranking.ap[ranking.counted], ranking.first_hit[ranking.counted]
    found = {f'rank{k}': float(((first_hit > 0) & (first_hit <= k)).mean()) for k in (1, 5, 10)}
    return {'mAP': float(ap.mean()), **found}
