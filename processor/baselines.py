"""After training: the starting weights and whitened features beside the trained model.

Whitening by the scatter within individuals takes seconds and no gradient. A training that beats
neither it nor the starting weights was not worth its time.
"""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from yacs.config import CfgNode

from datasets.loaders import Loaders, TestSet
from datasets.records import Record
from datasets.workers import ImageLoader
from processor.encoder import fit_on_records
from processor.inference import extract_features, validate_features
from utils.device import Runtime
from utils.errors import InputError
from utils.run.journal import Journal

logger = logging.getLogger('transreid.train')

NAMES = {  # name in metrics.jsonl -> name in the log
    'start': 'starting weights',
    'start_whitened': 'starting weights, whitened',
    'trained': 'trained',
    'trained_whitened': 'trained, whitened',
}
UNUSED = ('text_encoder.', 'prompt_learner.', 'classifier')  # parts that make no test feature


class Baselines(NamedTuple):
    """What the comparison needs; made before the training.

    Attributes:
        weights: A copy, on the CPU, of the starting weights that make test features.
        uses_sides: Whether these include trained embeddings of cameras and views.
        test: The validation.
        train: N train photos.
        normalise: Whether to validate with normalised features.
        rerank: Whether to validate with re-ranking.
    """

    weights: dict[str, Tensor]
    uses_sides: bool
    test: TestSet
    train: Sequence[Record]
    normalise: bool
    rerank: bool


def prepare_baselines(cfg: CfgNode, model: nn.Module, loaders: Loaders) -> Baselines | None:
    """Copy the starting weights; None without a validation list or with TEST.BASELINES False."""
    if not (cfg.TEST.BASELINES and loaders.validation and cfg.SOLVER.STAGE2.MAX_EPOCHS):
        return None
    return Baselines(
        weights={
            name: tensor.detach().to('cpu', copy=True)
            for name, tensor in model.state_dict().items()
            if not name.startswith(UNUSED)
        },
        uses_sides=cfg.MODEL.PRETRAIN_CHOICE == 'self',
        test=loaders.validation,
        train=loaders.train_loader_stage1.dataset.records,
        normalise=cfg.TEST.FEAT_NORM == 'yes',
        rerank=cfg.TEST.RE_RANKING,
    )


class StartingModel(nn.Module):
    """A model with other weights than its own; called like the model in evaluation mode.

    Args:
        model: The model, whose own weights stay as they are.
        weights: Tensors by name; the model's own where there is none.
        uses_sides: Whether the model sees cameras and views. Embeddings that were not trained
            would only add noise.
    """

    def __init__(self, model: nn.Module, weights: Mapping[str, Tensor], uses_sides: bool):
        super().__init__()
        self.model, self.weights, self.uses_sides = model, dict(weights), uses_sides

    def forward(
        self, images: Tensor, cam_label: Tensor | None = None, view_label: Tensor | None = None
    ) -> Tensor:
        """Return the test features (B, D) of photos (B, 3, H, W)."""
        sides = {'cam_label': cam_label, 'view_label': view_label} if self.uses_sides else {}
        return functional_call(self.model, self.weights, (images,), sides)


def report_baselines(
    baselines: Baselines, model: nn.Module, runtime: Runtime, journal: Journal
) -> None:
    """Log and record mAP and rank-1 of starting weights and model, as they are and whitened.

    The whitening is fitted on the train photos. Costs two passes over the photos of the validation
    and, where these do not include them, the train photos.

    Args:
        baselines: See :func:`prepare_baselines`.
        model: The trained model.
        runtime: The device and processes.
        journal: Gets the event 'baselines' of metrics.jsonl.
    """
    weights = {name: tensor.to(runtime.device) for name, tensor in baselines.weights.items()}
    found: dict[str, dict[str, float]] = {}
    starting = StartingModel(model, weights, baselines.uses_sides)
    for name, encoder in (('start', starting), ('trained', model)):
        features, train = _features(baselines, encoder, runtime)
        versions = {name: features}
        try:
            whitening = fit_on_records(train, baselines.train)
            versions[f'{name}_whitened'] = whitening(features)
        except InputError as error:
            logger.info('No whitening of the %s: %s', NAMES[name], error)
        for version, rows in versions.items():
            how = (baselines.normalise, baselines.rerank)
            metrics = validate_features(rows, baselines.test, runtime, *how).metrics
            found[version] = {metric: metrics[metric] for metric in ('mAP', 'rank1')}
    logger.info('%s', baselines_table(found))
    _warn_of_no_gain(found)
    journal.write('baselines', epoch=journal.epoch, **found)


def _warn_of_no_gain(found: Mapping[str, Mapping[str, float]]) -> None:
    """Warn if the starting weights are as good as the trained model, or better."""
    scores = {version: metrics['mAP'] for version, metrics in found.items()}
    best = max(scores, key=lambda version: scores[version])  # of equals the first, a start
    if best in ('start', 'start_whitened'):
        trained = max(score for version, score in scores.items() if version.startswith('trained'))
        logger.warning(
            'the training has gained nothing on the validation: the %s are %s the trained model '
            '(mAP %.1f%%)',
            NAMES[best],
            'better than' if scores[best] > trained else 'as good as',
            100 * scores[best],
        )


def _features(baselines: Baselines, encoder: nn.Module, runtime: Runtime) -> tuple[Tensor, Tensor]:
    """Return the features of the photos of the validation, and of the train photos (N, D)."""
    loader = baselines.test.loader
    features = extract_features(encoder, loader, runtime)
    row_of = {record.path: row for row, record in enumerate(loader.dataset.records)}
    if all(record.path in row_of for record in baselines.train):  # the gallery of animals
        return features, features[torch.tensor([row_of[r.path] for r in baselines.train])]
    others = ImageLoader(
        replace(loader.dataset, records=baselines.train),
        device=loader.device,
        batch_size=loader.batch_size,
        sampler=runtime.processes.shard(len(baselines.train), loader.batch_size or 1),
        num_workers=loader.num_workers,
        generator=loader.generator,
    )
    with contextlib.closing(others):
        return features, extract_features(encoder, others, runtime)


def baselines_table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return mAP and rank-1 of each version as lines of text."""
    lines = [f'{"Is the training worth it? Validation:":38}  mAP  rank-1']
    for version, metrics in found.items():
        lines.append(f'{NAMES[version]:36}{metrics["mAP"]:7.1%} {metrics["rank1"]:7.1%}')
    return '\n'.join(lines)
