"""The one evaluation path: photos -> features -> distances [-> re-ranked] -> metrics."""
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from utils.errors import InputError
from utils.logger import progress
from utils.metrics import atrw_public_split, rank_metrics, rank_queries, summarize
from utils.reranking import re_rank_features, re_ranking


class Result(NamedTuple):
    """metrics: name -> fraction. distance: (Q, G) float32, what the rankings were made from."""

    metrics: dict
    distance: np.ndarray


def extract_features(model, loader, runtime):
    """Test features of every photo of ``loader``, in its order: (N, D) float32, on the device or where
    ``runtime.comparing`` says.

    Always in full precision: mixed precision moves rankings. Camera and view labels are passed on: a model without side
    information ignores them. InputError with the photo's path when a feature is not finite.
    """
    model.eval()
    with torch.inference_mode():
        features = encode_photos(lambda images, cameras, views: model(images, cam_label=cameras, view_label=views), loader,
                                 runtime, 'features').to(runtime.comparing)
        finite = features.isfinite().all(dim=1)
    if not finite.all():
        path = loader.dataset.records[int(finite.logical_not().nonzero()[0])].path
        raise InputError(f'the feature of {path} holds NaN or infinity: the weights are damaged or the training '
                         f'has diverged; test an earlier checkpoint, or train with a lower BASE_LR or SOLVER.AMP off')
    return features


def encode_photos(encode, loader, runtime, text):
    """``encode(images, cameras, views)`` (B, D) of every photo of ``loader``: (N, D) float32 on the device, in its order.

    Of several processes each encodes its shard, and all get the whole.
    """
    features = []
    for images, _, cameras, views, _ in progress(loader, text):
        features.append(encode(*(runtime.move(t) for t in (images, cameras, views))).float())
        if runtime.processes.world_size == 1:  # several must end at one place: the training loop's
            runtime.stop.check()
    features = torch.cat(features) if features else torch.empty(0, device=runtime.device)
    return runtime.processes.gather_rows(features, len(loader.dataset))


def do_inference(model, test, runtime, rerank=None):
    """Judge ``model`` on a test set (``datasets.make_dataloader_clipreid.TestSet``) by its protocol.

    Parameters
    ----------
    rerank : dict, optional
        k1, k2, lambda_value and ties of k-reciprocal re-ranking; None = cosine distances as they are.

    Returns
    -------
    Result
        With ATRW's protocol its metrics are also given for the public split, as ``public/…``. Of several processes the first
        alone ranks, and the others get ``distance`` None.
    """
    features = F.normalize(extract_features(model, test.loader, runtime))
    result = _judge(features, test, rerank) if runtime.processes.main else Result(None, None)
    return result._replace(metrics=runtime.processes.broadcast(result.metrics))


def _judge(features, test, rerank):
    query, gallery = features[test.query_index], features[test.gallery_index]  # two tensors also where the photos are the same
    if rerank is None:
        distance = (query @ gallery.T).neg_().add_(1).cpu().numpy()
    elif rerank['ties'] == 'reference':  # products of their own: how each is rounded decides between copies
        distance = re_ranking(query @ gallery.T, query @ query.T, gallery @ gallery.T, **rerank)
    else:
        distance = re_rank_features(features, test.query_index, test.gallery_index, **rerank)
    ranking = rank_queries(distance, test.query, test.gallery, test.protocol)
    groups = [record.group for record in test.query]
    metrics = summarize(ranking, groups)
    if test.protocol.ignore == 'sequence':
        public = atrw_public_split(groups)
        if len({groups[i] for i in public}) == len(set(groups)):  # a handful of queries has no such split
            metrics |= {f'public/{name}': value for name, value in summarize(ranking, groups, public).items()}
    return Result(metrics, distance)


def validate(model, test, runtime, normalise=True, rerank=False):
    """Market-style validation on a test set: mAP and rank-1, 5, 10 as fractions, by squared Euclidean distance.

    ``rerank``: with the published k1 = 50, k2 = 15, λ = 0.3, as far as there are so many photos.
    """
    features = extract_features(model, test.loader, runtime)
    metrics = _judge_market(features, test, normalise, rerank) if runtime.processes.main else None
    return runtime.processes.broadcast(metrics)


def _judge_market(features, test, normalise, rerank):
    if normalise:
        features = F.normalize(features)
    if rerank:
        others = len(test.query) + len(test.gallery) - 1
        distance = re_rank_features(features, test.query_index, test.gallery_index, k1=min(50, others), k2=min(15, others),
                                    lambda_value=0.3, metric='euclidean')
    else:
        distance = _squared_euclidean(features[test.query_index], features[test.gallery_index]).cpu().numpy()
    return rank_metrics(distance, test.query, test.gallery, test.protocol)


def _squared_euclidean(a, b):
    squares = a.square().sum(1)[:, None] + b.square().sum(1)[None]
    return (squares - 2 * a @ b.T).clamp_(min=0)


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
