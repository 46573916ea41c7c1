"""Rows about re-ranking and evaluation, on generated features."""

import contextlib
import functools
from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.core import Case, Settings, Ways
from benchmarks.inputs import CLUSTER, DIMENSIONS, noisy_features, query_and_gallery
from datasets.protocols import PROTOCOLS
from datasets.records import Record
from tests.oracles import metrics as oracle_metrics
from tests.oracles import reranking as oracle_reranking
from utils.metrics import eval_func, rank_metrics
from utils.reranking import re_rank_features, re_ranking

TIGER = 1764  # photos in the test of ATRW; all are both query and gallery
MARKET = (3368, 15_913)  # queries and gallery photos of Market-1501

# Re-ranking


def rerank_cases(settings: Settings) -> list[Case]:
    """Return rows for re-ranking from similarities, and from features as in a test.

    In rows of the second kind, both ways also compute the products of the features. --growth
    measures larger sizes.
    """
    if settings.quick:
        return [
            Case(
                'rerank-1000',
                're-ranking, 500 queries in 500 photos',
                functools.partial(rerank, settings, 500, 500),
            )
        ]
    return [
        Case(
            'rerank-3528',
            're-ranking, N = 3,528 (ATRW)',
            functools.partial(rerank_given, settings, TIGER, TIGER),
            goal=15,
            memory=True,
            memory_goal=1 / 3,
        ),
        Case(
            'rerank-10000',
            're-ranking, N = 10,000',
            functools.partial(rerank_given, settings, 2000, 8000),
            goal=12,
            threaded=False,
            memory=True,
            memory_goal=1 / 3,
        ),
        Case(
            'rerank-features-3528',
            're-ranking, N = 3,528, with the products of the features',
            functools.partial(rerank, settings, TIGER, TIGER),
            threaded=False,
        ),
    ]


@contextlib.contextmanager
def rerank(settings: Settings, queries: int, gallery: int) -> Iterator[Ways]:
    """Re-rank generated features of queries and a gallery."""
    features, query, others = query_and_gallery(settings, queries, gallery)
    on_device = torch.from_numpy(features).to(settings.device)

    def plain() -> np.ndarray:
        q, g = features[query], features[others]
        return oracle_reranking.re_ranking_plain(q @ g.T, q @ q.T, g @ g.T, ties='index')

    def products() -> float:  # the other operations are negligible
        return 2 * len(features) ** 2 * DIMENSIONS

    yield Ways(ours=lambda: re_rank_features(on_device, query, others), plain=plain, flops=products)


@contextlib.contextmanager
def rerank_given(settings: Settings, queries: int, gallery: int) -> Iterator[Ways]:
    """Re-rank similarities that were computed in advance."""
    features, query, others = query_and_gallery(settings, queries, gallery)
    q, g = features[query], features[others]
    given = q @ g.T, q @ q.T, g @ g.T
    q_g, q_q, g_g = (torch.from_numpy(block).to(settings.device) for block in given)
    yield Ways(
        ours=lambda: re_ranking(q_g, q_q, g_g),
        plain=lambda: oracle_reranking.re_ranking_plain(*given, ties='index'),
    )


# Evaluation


def evaluation_cases(settings: Settings) -> list[Case]:
    """Return rows for tests like those of ATRW and Market-1501."""
    photos, (queries, gallery) = (300, (200, 1000)) if settings.quick else (TIGER, MARKET)
    return [
        Case(
            f'atrw-{photos}',
            f'ATRW evaluation of {photos:,} queries',
            functools.partial(evaluate_atrw, settings, photos),
            goal=None if settings.quick else 50,
            tolerance=1e-9,
            threaded=False,
        ),
        Case(
            f'market-{queries}x{gallery}',
            f'CMC/mAP, {queries:,} × {gallery:,}',
            functools.partial(evaluate_market, settings, queries, gallery),
            goal=None if settings.quick else 12,
            tolerance=1e-9,
            threaded=False,
            memory=not settings.quick,
        ),
    ]


@contextlib.contextmanager
def evaluate_atrw(settings: Settings, photos: int) -> Iterator[Ways]:
    """Evaluate like ATRW: all photos are both query and gallery, some of one camera sequence."""
    rng = np.random.default_rng(settings.seed)
    pid = rng.integers(photos // CLUSTER, size=photos)
    features = noisy_features(rng, pid)
    frame = np.stack([rng.integers(end, size=photos) for end in (8, 20, 200)], axis=1)
    records = [
        Record(
            f'{index}.jpg',
            int(pid[index]),
            frame=tuple(frame[index].tolist()),
            group='sing' if index % 2 else 'multi',
        )
        for index in range(photos)
    ]
    distance = 1 - features @ features.T

    def ours() -> dict[str, float]:
        metrics = rank_metrics(distance, records, records, PROTOCOLS['tiger'])
        # The plain formulation computes only these metrics.
        return {name: value for name, value in metrics.items() if name == 'mmAP' or '/' in name}

    yield Ways(ours=ours, plain=lambda: oracle_metrics.atrw_plain(distance, records))


@contextlib.contextmanager
def evaluate_market(settings: Settings, queries: int, gallery: int) -> Iterator[Ways]:
    """Evaluate like Market-1501: 750 individuals, and photos of the query's camera are ignored."""
    rng = np.random.default_rng(settings.seed)
    pid, camera = rng.integers(750, size=queries + gallery), rng.integers(6, size=queries + gallery)
    features = noisy_features(rng, pid)
    distance = 1 - features[:queries] @ features[queries:].T
    labels = pid[:queries], pid[queries:], camera[:queries], camera[queries:]
    yield Ways(
        ours=lambda: eval_func(distance, *labels),
        plain=lambda: oracle_metrics.market_plain(distance, *labels, kind='stable'),
    )
