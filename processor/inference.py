"""The one evaluation path: photos -> features -> distances [-> re-ranked] -> metrics."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from utils.errors import InputError
from utils.logger import progress
from utils.metrics import (
    atrw_public_split,
    copies_in_gallery,
    rank_queries,
    summarize,
    without_positive,
)
from utils.reranking import ReRanking, re_rank_features, re_rank_matrices


class Result(NamedTuple):
    """metrics: name -> fraction, of several trials their mean. distance: (Q, G) float32, what the
    rankings of the (first) trial were made from. without_positive: queries with no right answer in
    the gallery, see ``utils.metrics.without_positive``.
    copies: {'queries': how many have copies in the gallery, 'photos': how many those are,
    'without': the metrics without them}, see ``utils.metrics.copies_in_gallery``.
    """

    metrics: dict
    distance: np.ndarray
    without_positive: dict
    copies: dict


def extract_features(model, loader, runtime):
    """Test features of every photo of ``loader``, in its order: (N, D) float32, on the device or
    where ``runtime.comparing`` says.

    Always in full precision: mixed precision moves rankings. Camera and view labels are passed on:
    a model without side information ignores them. InputError with the photo's path when a feature
    is not finite.
    """
    model.eval()
    with torch.inference_mode():
        features = encode_photos(
            lambda images, cameras, views: model(images, cam_label=cameras, view_label=views),
            loader,
            runtime,
            'features',
        ).to(runtime.comparing)
        finite = features.isfinite().all(dim=1)
    if not finite.all():
        path = loader.dataset.records[int(finite.logical_not().nonzero()[0])].path
        raise InputError(
            f'the feature of {path} holds NaN or infinity: the weights are damaged or the training '
            'has diverged; test an earlier checkpoint, or train with a lower BASE_LR or '
            'SOLVER.AMP off'
        )
    return features


def encode_photos(encode, loader, runtime, text):
    """``encode(images, cameras, views)`` (B, D) of every photo of ``loader``: (N, D) float32 on the
    device, in its order.

    Of several processes each encodes its shard, and all get the whole.
    """
    features = []
    for images, _, cameras, views, _ in progress(loader, text):
        features.append(encode(*(runtime.move(t) for t in (images, cameras, views))).float())
        if runtime.processes.world_size == 1:  # several must end at one place: the training loop's
            runtime.stop.check()
    features = torch.cat(features) if features else torch.empty(0, device=runtime.device)
    return runtime.processes.gather_rows(features, len(loader.dataset))


def do_inference(model, test, runtime, rerank=None, normalise=True, metric='cosine'):
    """Judge ``model`` on a test set (``datasets.make_dataloader_clipreid.TestSet``) by its
    protocol.

    Parameters
    ----------
    rerank : dict, optional
        k1, k2, lambda_value and ties of k-reciprocal re-ranking; None = distances as they are.
    normalise : bool
        Whether features are L2-normalised.
    metric : str
        'cosine' (of normalised features) or 'euclidean' (squared).

    Returns
    -------
    Result
        With ATRW's protocol its metrics are also given for the public split, as ``public/…``. Of
        several trials (VehicleID) each is judged by itself, and metrics are the mean. Of several
        processes the first alone ranks, and the others get ``distance`` None.
    """
    features = extract_features(model, test.loader, runtime)
    result = Result(None, None, None, None)
    if runtime.processes.main:
        features = F.normalize(features) if normalise else features
        results = [_judge(features, trial, test.protocol, rerank, metric) for trial in test.trials]
        result = results[0]._replace(
            metrics=_mean([each.metrics for each in results]),
            without_positive=_mean([each.without_positive for each in results]),
            copies=_mean([each.copies for each in results]),
        )
    metrics, without, copies = runtime.processes.broadcast(
        [result.metrics, result.without_positive, result.copies]
    )
    return result._replace(metrics=metrics, without_positive=without, copies=copies)


def validate(model, test, runtime, normalise=True, rerank=False):
    """Validation on a test set by squared Euclidean distance: a ``Result``.

    ``rerank``: with the published k1 = 50, k2 = 15, λ = 0.3, as far as there are so many photos.
    """
    others = len(test.query) + len(test.gallery) - 1
    rerank = (
        {'k1': min(50, others), 'k2': min(15, others), 'lambda_value': 0.3, 'ties': 'index'}
        if rerank
        else None
    )
    return do_inference(model, test, runtime, rerank, normalise, 'euclidean')


def _judge(features, trial, protocol, rerank, metric):
    query, gallery = (
        features[trial.query_index],
        features[trial.gallery_index],
    )  # two tensors even of the same photos
    if rerank is None:
        distance = (
            (query @ gallery.T).neg_().add_(1)
            if metric == 'cosine'
            else _squared_euclidean(query, gallery)
        )
        distance = distance.cpu().numpy()
    elif (
        rerank['ties'] == 'reference' and metric == 'cosine'
    ):  # products of their own: their rounding decides between copies
        distance = re_rank_matrices(
            query @ gallery.T, query @ query.T, gallery @ gallery.T, ReRanking(**rerank)
        )
    else:
        distance = re_rank_features(
            features, trial.query_index, trial.gallery_index, ReRanking(**rerank), metric
        )
    ranking = rank_queries(distance, trial.query, trial.gallery, protocol)
    groups = [record.group for record in trial.query]
    metrics = summarize(ranking, groups)
    if protocol.ignore == 'sequence':
        public = atrw_public_split(groups)
        if len({groups[i] for i in public}) == len(
            set(groups)
        ):  # a handful of queries has no such split
            metrics |= {
                f'public/{name}': value
                for name, value in summarize(ranking, groups, public).items()
            }
    return Result(
        metrics, distance, without_positive(ranking), _copies(trial, protocol, distance, metrics)
    )


def _copies(trial, protocol, distance, metrics):
    """``Result.copies`` of a trial."""
    pairs = copies_in_gallery(trial.query, trial.gallery, protocol)
    if len(pairs) and not protocol.never_itself:
        ranking = rank_queries(
            distance, trial.query, trial.gallery, replace(protocol, never_itself=True)
        )
        metrics = (
            summarize(ranking, [record.group for record in trial.query])
            if ranking.counted.any()
            else {}
        )
    queries, photos = (len(set(column)) for column in pairs.T.tolist())
    return {'queries': queries, 'photos': photos, 'without': metrics}


def _mean(numbers):
    """Of dicts of numbers, or of such dicts: the dict of their means, by the keys of the first."""
    first = numbers[0]
    if not isinstance(first, dict):
        return first if len(numbers) == 1 else sum(numbers) / len(numbers)
    return {name: _mean([each[name] for each in numbers if name in each]) for name in first}


def _squared_euclidean(a, b):
    squares = a.square().sum(1)[:, None] + b.square().sum(1)[None]
    return (squares - 2 * a @ b.T).clamp_(min=0)


def report(metrics, logger, without_positive=None):
    """Log the numbers in the published words, and both conventions where queries have no
    positive.
    """
    if 'mmAP' in metrics:
        for split, prefix in (('public_split', 'public/'), ('private_split', '')):
            if f'{prefix}mmAP' in metrics:
                logger.info('%s: %s', split, _atrw_line(metrics, prefix))
    else:
        logger.info('mAP: %s', f'{metrics["mAP"]:.1%}')
        for rank in (1, 5, 10):
            logger.info('CMC curve, Rank-%-3d:%s', rank, f'{metrics[f"rank{rank}"]:.1%}')
    if without_positive and without_positive['queries']:
        logger.info(
            'Queries without a positive in the gallery: %g. Counted as 0: %s; left out: %s',
            without_positive['queries'],
            *(_short_line(without_positive[name]) for name in ('as_zero', 'left_out')),
        )


def report_copies(result: Result, protocol, logger) -> None:
    """Log how many queries have copies in the gallery, and what that does to the numbers where the
    protocol counts them.
    """
    copies = result.copies
    if copies['queries'] and protocol.never_itself:
        logger.info(
            'Copies of queries in the gallery, byte for byte: %g (of %g queries). They are ignored',
            copies['photos'],
            copies['queries'],
        )
    elif copies['queries']:
        logger.warning(
            "Gallery photos with the same bytes as a query: %g (of %g queries). Protocol '%s' "
            'counts them as '
            'matches: %s. Without them: %s',
            copies['photos'],
            copies['queries'],
            protocol.name,
            _short_line(result.metrics),
            _short_line(copies['without']),
        )


def _short_line(metrics):
    names = {
        'mmAP': 'mmAP',
        'mAP': 'mAP',
        'rank1': 'Rank-1',
        'rank5': 'Rank-5',
        'rank10': 'Rank-10',
    }
    return (
        ', '.join(f'{text} {metrics[name]:.1%}' for name, text in names.items() if name in metrics)
        or 'none is left'
    )


def _atrw_line(metrics, prefix):
    def share(name):
        return f'{metrics.get(prefix + name, 0):.1%}'

    return (
        f'mmAP: {share("mmAP")}, mAP(single_cam): {share("sing/mAP")}, top-1(single_cam): '
        f'{share("sing/rank1")}, '
        f'top-5(single_cam): {share("sing/rank5")}, mAP(cross_cam): {share("multi/mAP")},'
        f'top-1(cross_cam): {share("multi/rank1")},top-5(cross_cam): {share("multi/rank5")}'
    )
