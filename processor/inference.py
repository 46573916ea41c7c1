"""The one evaluation path: photos -> features -> distances [-> re-ranked] -> metrics."""
import time
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from utils.errors import InputError
from utils.logger import progress
from utils.metrics import atrw_public_split, rank_metrics, rank_queries, summarize
from utils.reranking import re_ranking, re_ranking_euclidean


class Result(NamedTuple):
    """metrics: name -> fraction. distance: (Q, G) float32, what the rankings were made from."""

    metrics: dict
    distance: np.ndarray


def extract_features(model, loader, runtime):
    """Test features of every photo of ``loader``, in its order: (N, D) float32 on the CPU.

    Always in full precision: mixed precision moves rankings. Camera and view labels are passed on: a model without side
    information ignores them. InputError with the photo's path when a feature is not finite.
    """
    model.eval()
    features = []
    with torch.inference_mode():
        for images, _, cameras, views, index in progress(loader, 'features'):
            batch = model(runtime.move(images), cam_label=runtime.move(cameras), view_label=runtime.move(views)).float().cpu()
            finite = batch.isfinite().all(dim=1)
            if not finite.all():
                path = loader.dataset.records[int(index[~finite][0])].path
                raise InputError(f'the feature of {path} holds NaN or infinity: the weights are damaged or the training '
                                 f'has diverged; test an earlier checkpoint, or train with a lower BASE_LR or SOLVER.AMP off')
            features.append(batch)
    return torch.cat(features)


def do_inference(model, test, runtime, rerank=None):
    """Judge ``model`` on a test set (``datasets.make_dataloader_clipreid.TestSet``) by its protocol.

    Parameters
    ----------
    rerank : dict, optional
        k1, k2, lambda_value of k-reciprocal re-ranking; None = cosine distances as they are.

    Returns
    -------
    Result
        With ATRW's protocol its metrics are also given for the public split, as ``public/…``.
    """
    features = F.normalize(extract_features(model, test.loader, runtime))
    query = features[:len(test.query)]
    gallery = features if test.same else features[len(test.query):]
    similarity = (query @ gallery.T).numpy()
    if rerank is None:
        distance = 1 - similarity
    else:
        distance = re_ranking(similarity, (query @ query.T).numpy(), (gallery @ gallery.T).numpy(), **rerank)
    ranking = rank_queries(distance, test.query, test.gallery, test.protocol)
    groups = [record.group for record in test.query]
    metrics = summarize(ranking, groups)
    if test.protocol.ignore == 'sequence':
        public = atrw_public_split(groups)
        if len({groups[i] for i in public}) == len(set(groups)):  # a handful of queries has no such split
            metrics |= {f'public/{name}': value for name, value in summarize(ranking, groups, public).items()}
    return Result(metrics, distance)


def validate(model, loader, num_query, protocol, runtime, normalise=True, rerank=False):
    """Market-style validation: mAP and rank-1, 5, 10 as fractions, by Euclidean distance.

    The first ``num_query`` photos of ``loader`` are the queries, the others the gallery. ``rerank``: with the published
    k1 = 50, k2 = 15, λ = 0.3, as far as there are so many photos.
    """
    features = extract_features(model, loader, runtime)
    if normalise:
        features = F.normalize(features)
    query, gallery = features[:num_query], features[num_query:]
    distance = _squared_euclidean(query, gallery)
    if rerank:
        distance = re_ranking_euclidean(distance, _squared_euclidean(query, query), _squared_euclidean(gallery, gallery),
                                        k1=min(50, len(features) - 1), k2=min(15, len(features) - 1))
    records = loader.dataset.records
    return rank_metrics(distance, records[:num_query], records[num_query:], protocol)


def _squared_euclidean(a, b):
    squares = a.square().sum(1)[:, None] + b.square().sum(1)[None]
    return (squares - 2 * a @ b.T).clamp(min=0).numpy()


def report(metrics, logger):
    """Log the numbers in the published words."""
    if 'mmAP' in metrics:
        for split, prefix in (('public_split', 'public/'), ('private_split', '')):
            if f'{prefix}mmAP' in metrics:
                logger.info('%s: %s', split, _atrw_line(metrics, prefix))
        return
    logger.info('mAP: %s', f'{metrics["mAP"]:.1%}')
    for rank in (1, 5, 10):
        logger.info('CMC curve, Rank-%-3d:%s', rank, f'{metrics[f"rank{rank}"]:.1%}')


def _atrw_line(metrics, prefix):
    def share(name):
        return f'{metrics.get(prefix + name, 0):.1%}'
    return (f'mmAP: {share("mmAP")}, mAP(single_cam): {share("sing/mAP")}, top-1(single_cam): {share("sing/rank1")}, '
            f'top-5(single_cam): {share("sing/rank5")}, mAP(cross_cam): {share("multi/mAP")},'
            f'top-1(cross_cam): {share("multi/rank1")},top-5(cross_cam): {share("multi/rank5")}')


class Stopwatch:
    """Seconds since the start."""

    def __init__(self):
        self.start = time.monotonic()

    @property
    def seconds(self):
        return time.monotonic() - self.start
