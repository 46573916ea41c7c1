"""The only way to evaluate: photos -> features -> distances [-> re-ranked] -> metrics."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from yacs.config import CfgNode

from datasets.make_dataloader_clipreid import TestSet, Trial
from datasets.protocols import Protocol
from datasets.workers import ImageLoader
from processor.encoder import check_finite
from utils.device import Runtime
from utils.logger import progress
from utils.metrics import (
    atrw_public_split,
    copies_in_gallery,
    rank_queries,
    summarize,
    without_positive,
)
from utils.photo_distances import Metric
from utils.ranking import Ranking
from utils.reranking import ReRanking, re_rank_features, re_rank_matrices

logger = logging.getLogger('transreid.test')


class Result(NamedTuple):
    """The result of a test; with several trials, all numbers are their means.

    Attributes:
        metrics: Name -> fraction.
        distance: (Q, G) float32 distances of the (first) trial. With several processes only the
            first one has them; the others have an empty array.
        without_positive: The effect of queries with no match in the gallery, see
            ``utils.metrics.without_positive``.
        copies: The copies of queries in the gallery. ``queries``: number of queries that have any;
            ``photos``: number of copies; ``without``: the metrics without them.
        rankings: The results of the queries, one ``Ranking`` per trial, as far as ``distance``.
    """

    metrics: dict[str, float]
    distance: np.ndarray
    without_positive: dict[str, Any]
    copies: dict[str, Any]
    rankings: list[Ranking]


def reranking_settings(cfg: CfgNode) -> ReRanking:
    """Log and return the settings of TEST.RERANK_*."""
    settings = ReRanking(
        k1=cfg.TEST.RERANK_K1,
        k2=cfg.TEST.RERANK_K2,
        lambda_value=cfg.TEST.RERANK_LAMBDA,
        ties=cfg.TEST.RERANK_TIES,
    )
    logger.info('k-reciprocal re-ranking: %s', asdict(settings))
    return settings


def distance_settings(cfg: CfgNode) -> tuple[bool, Metric]:
    """Return whether a test normalises features, and its metric; both are fixed for animals."""
    if cfg.DATASETS.NAMES == 'animals':
        return True, 'cosine'
    return cfg.TEST.FEAT_NORM == 'yes', 'euclidean'


def extract_features(
    model: nn.Module, loader: ImageLoader, runtime: Runtime, text: str = 'features'
) -> torch.Tensor:
    """Compute the test features (N, D) float32 of all photos of ``loader``, in its order.

    They are on the device ``runtime.ranking_device``. ``SOLVER.AMP`` is not used, since mixed
    precision changes rankings. A model without side information ignores cameras and views.

    Args:
        model: Images, cam_label, view_label -> test features (B, D) in evaluation mode.
        loader: The loader of the photos.
        runtime: The device and processes.
        text: The name of the progress bar.

    Raises:
        InputError: A feature is not finite; the message names the photo.
    """
    model.eval()
    with torch.inference_mode():
        features = encode_photos(
            lambda images, cameras, views: model(images, cam_label=cameras, view_label=views),
            loader,
            runtime,
            text,
        ).to(runtime.ranking_device)
    check_finite(features, loader.dataset.records)
    return features


def encode_photos(
    encode: Callable[..., torch.Tensor], loader: ImageLoader, runtime: Runtime, text: str
) -> torch.Tensor:
    """Encode all photos of ``loader`` as rows (N, D) float32 on the device, in its order.

    Each of several processes encodes its own shard, and all get the whole result.

    Args:
        encode: Images (B, 3, H, W), cameras (B,) and views (B,) -> (B, D).
        loader: The loader of the photos.
        runtime: The device and processes.
        text: The name of the progress bar.
    """
    rows = list(encode_batches(encode, loader, runtime, text))
    features = torch.cat(rows) if rows else torch.empty(0, device=runtime.device)
    return runtime.processes.gather_rows(features)


def encode_batches(
    encode: Callable[..., torch.Tensor], loader: ImageLoader, runtime: Runtime, text: str
) -> Iterator[torch.Tensor]:
    """Yield the rows (B, D) float32 of each batch of this process; see :func:`encode_photos`."""
    for images, _, cameras, views, _ in progress(loader, text):
        yield encode(*(runtime.move(tensor) for tensor in (images, cameras, views))).float()
        if runtime.processes.world_size == 1:  # several stop together in the training loop
            runtime.stop.check()


def do_inference(
    model: nn.Module,
    test: TestSet,
    runtime: Runtime,
    rerank: ReRanking | None = None,
    normalise: bool = True,
    metric: Metric = 'cosine',
) -> Result:
    """Evaluate ``model`` on a test set under its protocol.

    Args:
        model: Returns the test features (B, D) in evaluation mode.
        test: Photos, trials and protocol.
        runtime: The device and processes. With several processes only the first one ranks.
        rerank: The settings of k-reciprocal re-ranking; None = no re-ranking.
        normalise: Whether to L2-normalise the features.
        metric: 'cosine' (of normalised features) or 'euclidean' (squared).

    Returns:
        The result. ATRW's protocol adds the metrics of the public split as ``public/…``. Several
        trials (VehicleID) are evaluated one by one and averaged.
    """
    features = extract_features(model, test.loader, runtime)
    return rank_features(features, test, runtime, rerank, normalise, metric)


def rank_features(
    features: torch.Tensor,
    test: TestSet,
    runtime: Runtime,
    rerank: ReRanking | None = None,
    normalise: bool = True,
    metric: Metric = 'cosine',
) -> Result:
    """Evaluate the features (N, D) of all photos of ``test.loader``, as :func:`do_inference` does.

    Only the main process needs the features of all photos.
    """
    distance, found, rankings = np.empty((0, 0)), None, []
    if runtime.processes.main:
        if normalise:
            features = F.normalize(features)
        distances = [trial_distance(features, trial, rerank, metric) for trial in test.trials]
        results = []
        for each, trial in zip(distances, test.trials, strict=True):
            rankings.append(rank_queries(each, trial.query, trial.gallery, test.protocol))
            results.append(evaluate_trial(rankings[-1], each, trial, test.protocol))
        distance, found = distances[0], _mean(results)
    return Result(distance=distance, rankings=rankings, **runtime.processes.broadcast(found))


def validate(
    model: nn.Module,
    test: TestSet,
    runtime: Runtime,
    normalise: bool = True,
    rerank: bool = False,
) -> Result:
    """Evaluate ``model`` on a validation set by squared Euclidean distance.

    ``rerank`` uses the published k1 = 50, k2 = 15 and λ = 0.3; with fewer photos, k1 and k2 shrink.
    """
    features = extract_features(model, test.loader, runtime)
    return validate_features(features, test, runtime, normalise, rerank)


def validate_features(
    features: torch.Tensor,
    test: TestSet,
    runtime: Runtime,
    normalise: bool = True,
    rerank: bool = False,
) -> Result:
    """Evaluate the features (N, D) of all photos of ``test.loader``, as :func:`validate` does."""
    others = len(test.query) + len(test.gallery) - 1
    k1, k2 = min(50, others), min(15, others)
    settings = ReRanking(k1=k1, k2=k2, lambda_value=0.3, ties='index') if rerank else None
    return rank_features(features, test, runtime, settings, normalise, 'euclidean')


def trial_distance(
    features: torch.Tensor, trial: Trial, rerank: ReRanking | None, metric: Metric
) -> np.ndarray:
    """Compute the distances (Q, G) float32 of a trial from the features (N, D) of all photos."""
    # copies, even where query and gallery are the same photos
    query, gallery = features[trial.query_index], features[trial.gallery_index]
    if rerank is None and metric == 'cosine':
        return (query @ gallery.T).neg_().add_(1).cpu().numpy()
    if rerank is None:
        squares = query.square().sum(1)[:, None] + gallery.square().sum(1)[None]
        return (squares - 2 * query @ gallery.T).clamp_(min=0).cpu().numpy()
    if rerank.ties == 'reference' and metric == 'cosine':
        # separate products, as in the original: their rounding decides between copies
        return re_rank_matrices(query @ gallery.T, query @ query.T, gallery @ gallery.T, rerank)
    return re_rank_features(features, trial.query_index, trial.gallery_index, rerank, metric)


def evaluate_trial(
    ranking: Ranking, distance: np.ndarray, trial: Trial, protocol: Protocol
) -> dict[str, Any]:
    """Average the ranking by ``distance`` (Q, G); return the other fields of a ``Result``."""
    groups = [record.group for record in trial.query]
    metrics = summarize(ranking, groups)
    if protocol.ignore == 'sequence':
        public = atrw_public_split(groups)
        # with very few queries, the split may lack a group
        if {groups[i] for i in public} == set(groups):
            split = summarize(ranking, groups, public)
            metrics |= {f'public/{name}': value for name, value in split.items()}
    pairs = copies_in_gallery(trial.query, trial.gallery, protocol)
    without = metrics
    if len(pairs) and not protocol.never_itself:
        strict = replace(protocol, never_itself=True)
        of_others = rank_queries(distance, trial.query, trial.gallery, strict)
        without = summarize(of_others, groups) if of_others.counted.any() else {}
    queries, photos = (len(set(column)) for column in pairs.T.tolist())
    return {
        'metrics': metrics,
        'without_positive': without_positive(ranking),
        'copies': {'queries': queries, 'photos': photos, 'without': without},
    }


def _mean(numbers: Sequence[Any]) -> Any:
    """Average numbers, or average dicts of numbers key by key; dicts may be nested."""
    first = numbers[0]
    if len(numbers) == 1:
        return first
    if not isinstance(first, dict):
        return sum(numbers) / len(numbers)
    means = {}
    for name in first:
        means[name] = _mean([each[name] for each in numbers if name in each])
    return means
