"""The one evaluation path: photos -> features -> distances [-> re-ranked] -> metrics."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from yacs.config import CfgNode

from datasets.make_dataloader_clipreid import TestSet, Trial
from datasets.protocols import Protocol
from datasets.workers import ImageLoader
from model.make_model_clipreid import make_test_model
from model.reid_model import ReIDModel
from utils.device import Runtime
from utils.errors import InputError
from utils.files import sha256_file
from utils.logger import progress
from utils.metrics import (
    atrw_public_split,
    copies_in_gallery,
    rank_queries,
    summarize,
    without_positive,
)
from utils.photo_distances import Metric
from utils.reranking import ReRanking, re_rank_features, re_rank_matrices

logger = logging.getLogger('transreid.test')


class Result(NamedTuple):
    """What a test found.

    Attributes:
        metrics: Name -> fraction; of several trials their mean.
        distance: (Q, G) float32, what the rankings of the (first) trial were made from; of several
            processes the first alone has it, the others an empty one.
        without_positive: Queries with no match in the gallery, see
            ``utils.metrics.without_positive``.
        copies: ``queries``: how many have copies in the gallery; ``photos``: how many those are;
            ``without``: the metrics without them.
    """

    metrics: dict[str, float]
    distance: np.ndarray
    without_positive: dict[str, Any]
    copies: dict[str, Any]


def load_model(cfg: CfgNode, test: TestSet) -> tuple[ReIDModel, dict[str, str]]:
    """The model of TEST.WEIGHT for this test, and its file and SHA-256 for results.json.

    Raises:
        InputError: The file is no checkpoint, a training has replaced it meanwhile, or the model
            has no embedding for a camera or view of the test.
    """
    path = Path(cfg.TEST.WEIGHT)
    before = path.stat() if path.is_file() else None
    model = make_test_model(cfg)
    sha256, after = sha256_file(path), path.stat()
    if before is None or (before.st_ino, before.st_mtime) != (after.st_ino, after.st_mtime):
        raise InputError(
            f'TEST.WEIGHT: {path} was replaced while it was read; start the test again'
        )
    sides = zip(('cameras', 'views'), model.side, ('camid', 'viewid'), strict=True)
    for name, known, field in sides:
        largest = max(getattr(photo, field) for photo in test.query + test.gallery)
        if known and largest >= known:
            raise InputError(
                f'the model knows {known} {name}, the test lists have number {largest}; train with '
                'MODEL.SIE_CAMERA / SIE_VIEW on lists that hold all of them, or set them to False'
            )
    return model, {'checkpoint': cfg.TEST.WEIGHT, 'checkpoint_sha256': sha256}


def reranking_settings(cfg: CfgNode) -> ReRanking:
    """Those of TEST.RERANK_*."""
    settings = ReRanking(
        k1=cfg.TEST.RERANK_K1,
        k2=cfg.TEST.RERANK_K2,
        lambda_value=cfg.TEST.RERANK_LAMBDA,
        ties=cfg.TEST.RERANK_TIES,
    )
    logger.info('k-reciprocal re-ranking: %s', asdict(settings))
    return settings


def extract_features(model: nn.Module, loader: ImageLoader, runtime: Runtime) -> torch.Tensor:
    """Test features (N, D) float32 of every photo of ``loader``, in its order.

    They are on the device, or where ``runtime.comparing`` says. Always in full precision: mixed
    precision moves rankings. Camera and view labels are passed on; a model without side information
    ignores them.

    Raises:
        InputError: A feature is not finite; the message names the photo.
    """
    model.eval()
    with torch.inference_mode():
        features = encode_photos(
            lambda images, cameras, views: model(images, cam_label=cameras, view_label=views),
            loader,
            runtime,
            'features',
        ).to(runtime.comparing)
        bad = features.isfinite().all(dim=1).logical_not().nonzero()
    if len(bad):
        raise InputError(
            f'the feature of {loader.dataset.records[int(bad[0])].path} holds NaN or infinity: the '
            'weights are damaged or the training has diverged; test an earlier checkpoint, or '
            'train with a lower BASE_LR or SOLVER.AMP off'
        )
    return features


def encode_photos(
    encode: Callable[..., torch.Tensor], loader: ImageLoader, runtime: Runtime, text: str
) -> torch.Tensor:
    """Rows (N, D) float32 for every photo of ``loader``, in its order, on the device.

    Of several processes each encodes its shard, and all get the whole.

    Args:
        encode: Images (B, 3, H, W), cameras (B,) and views (B,) -> (B, D).
        loader: Of the photos.
        runtime: Device and processes.
        text: Of the progress bar.
    """
    rows = []
    for images, _, cameras, views, _ in progress(loader, text):
        rows.append(encode(*(runtime.move(tensor) for tensor in (images, cameras, views))).float())
        if runtime.processes.world_size == 1:  # several must end at one place: the training loop's
            runtime.stop.check()
    features = torch.cat(rows) if rows else torch.empty(0, device=runtime.device)
    return runtime.processes.gather_rows(features)


def do_inference(
    model: nn.Module,
    test: TestSet,
    runtime: Runtime,
    rerank: ReRanking | None = None,
    normalise: bool = True,
    metric: Metric = 'cosine',
) -> Result:
    """Evaluate ``model`` on a test set by its protocol.

    Args:
        model: In evaluation it gives the test features (B, D).
        test: Photos, trials and protocol.
        runtime: Device and processes. Of several the first alone ranks.
        rerank: Settings of k-reciprocal re-ranking; None = distances as they are.
        normalise: Whether features are L2-normalised.
        metric: 'cosine' (of normalised features) or 'euclidean' (squared).

    Returns:
        With ATRW's protocol the metrics are also given for the public split, as ``public/…``. Of
        several trials (VehicleID) each is evaluated by itself, and metrics are the mean.
    """
    features = extract_features(model, test.loader, runtime)
    distance, found = np.empty((0, 0)), None
    if runtime.processes.main:
        if normalise:
            features = F.normalize(features)
        distances = [trial_distance(features, trial, rerank, metric) for trial in test.trials]
        trials = zip(distances, test.trials, strict=True)
        results = [evaluate_trial(each, trial, test.protocol) for each, trial in trials]
        distance, found = distances[0], _mean(results)
    return Result(distance=distance, **runtime.processes.broadcast(found))


def validate(
    model: nn.Module,
    test: TestSet,
    runtime: Runtime,
    normalise: bool = True,
    rerank: bool = False,
) -> Result:
    """Validate on a test set by squared Euclidean distance.

    With ``rerank`` by the published k1 = 50, k2 = 15, λ = 0.3, as far as there are so many photos.
    """
    others = len(test.query) + len(test.gallery) - 1
    settings = ReRanking(k1=min(50, others), k2=min(15, others), lambda_value=0.3, ties='index')
    return do_inference(model, test, runtime, settings if rerank else None, normalise, 'euclidean')


def trial_distance(
    features: torch.Tensor, trial: Trial, rerank: ReRanking | None, metric: Metric
) -> np.ndarray:
    """Distances (Q, G) float32 of a trial from the features (N, D) of all photos."""
    # two tensors even of the same photos
    query, gallery = features[trial.query_index], features[trial.gallery_index]
    if rerank is None and metric == 'cosine':
        return (query @ gallery.T).neg_().add_(1).cpu().numpy()
    if rerank is None:
        squares = query.square().sum(1)[:, None] + gallery.square().sum(1)[None]
        return (squares - 2 * query @ gallery.T).clamp_(min=0).cpu().numpy()
    if rerank.ties == 'reference' and metric == 'cosine':
        # products of their own: their rounding decides between copies
        return re_rank_matrices(query @ gallery.T, query @ query.T, gallery @ gallery.T, rerank)
    return re_rank_features(features, trial.query_index, trial.gallery_index, rerank, metric)


def evaluate_trial(distance: np.ndarray, trial: Trial, protocol: Protocol) -> dict[str, Any]:
    """Rank the gallery by ``distance`` (Q, G); the ``Result`` of it besides the distance."""
    ranking = rank_queries(distance, trial.query, trial.gallery, protocol)
    groups = [record.group for record in trial.query]
    metrics = summarize(ranking, groups)
    if protocol.ignore == 'sequence':
        public = atrw_public_split(groups)
        # a handful of queries has no such split
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
    """Of dicts of numbers, or of such dicts: the dict of their means, by the keys of the first."""
    first = numbers[0]
    if len(numbers) == 1:
        return first
    if not isinstance(first, dict):
        return sum(numbers) / len(numbers)
    means = {}
    for name in first:
        means[name] = _mean([each[name] for each in numbers if name in each])
    return means
