"""The model as tests use it: in the precision of TEST.PRECISION, whitened by TEST.WHITENING."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from datasets.records import Record, individuals
from model.make_model_clipreid import make_test_model, tested_file
from model.names import START
from model.reid_model import ReIDModel
from utils.device import bf16_is_slow, feature_autocast
from utils.errors import InputError
from utils.files import sha256_file
from utils.whitening import (
    DIMENSION,
    SHRINKAGE,
    Whitening,
    fit_whitening,
    load_whitening,
    whitening_text,
)

logger = logging.getLogger('transreid.test')

FEATURE_FACTS = (
    *('model_sha256', 'untrained', 'notes', 'neck_feat'),
    *('size', 'pixel_mean', 'pixel_std'),
)


def load_model(cfg: CfgNode, records: Sequence[Record]) -> tuple[ReIDModel, dict[str, str]]:
    """Load the model of TEST.WEIGHT; return it, and its file and SHA-256 for results.json.

    For TEST.WEIGHT start these are the starting weights: 'checkpoint' is 'start',
    'starting_weights' their file, or 'random'.

    Raises:
        InputError: The file is not a checkpoint, a training run replaced it while it was read, or
            the model has no embedding for a camera or view of the records.
    """
    path = tested_file(cfg)
    before = path.stat() if path and path.is_file() else None
    model = make_test_model(cfg)
    sha256, after = (sha256_file(path), path.stat()) if path else ('', None)
    if after and (not before or (before.st_ino, before.st_mtime) != (after.st_ino, after.st_mtime)):
        raise InputError(
            f'TEST.WEIGHT: {path} was replaced while it was read; start the test again'
        )
    sides = zip(('cameras', 'views'), model.side, ('camid', 'viewid'), strict=True)
    for name, known, field in sides:
        largest = max(getattr(photo, field) for photo in records)
        if known and largest >= known:
            raise InputError(
                f'the model knows {known} {name}, numbered from 0, but the lists have number '
                f'{largest}; train with MODEL.SIE_CAMERA / SIE_VIEW on lists that contain all of '
                'them, or set both to False'
            )
    about = {'checkpoint': cfg.TEST.WEIGHT, 'checkpoint_sha256': sha256}
    if cfg.TEST.WEIGHT == START:
        about['starting_weights'] = str(path or 'random')
        logger.info('TEST.WEIGHT start: %s as they are, untrained', about['starting_weights'])
    return model, about


def check_photo_is_enough(cfg: CfgNode) -> None:
    """Check that the model needs only the photo itself.

    Raises:
        InputError: It also needs the camera or side, which is unknown for new photos.
    """
    if cfg.MODEL.SIE_CAMERA or cfg.MODEL.SIE_VIEW:
        raise InputError(
            'MODEL.SIE_CAMERA / SIE_VIEW: the model needs the camera or side of a photo, which '
            'is unknown for new photos; use a model trained without these options'
        )


class Encoder(nn.Module):
    """Returns the features that are compared; called like the model in evaluation mode.

    Args:
        model: Images, cam_label, view_label -> test features (B, D).
        precision: 'fp32' or 'bf16', of the model's forward pass.
        whitening: Applied to the features in float32; None = none.
    """

    def __init__(
        self, model: nn.Module, precision: str = 'fp32', whitening: Whitening | None = None
    ):
        super().__init__()
        self.model, self.precision, self.whitening = model, precision, whitening

    def forward(
        self, images: Tensor, cam_label: Tensor | None = None, view_label: Tensor | None = None
    ) -> Tensor:
        """Return the features (B, K) float32 of photos (B, 3, H, W)."""
        with feature_autocast(images.device, self.precision):
            features = self.model(images, cam_label=cam_label, view_label=view_label)
        return self.whitening(features.float()) if self.whitening else features.float()

    def in_fp32(self) -> 'Encoder':
        """Return the same encoder in full precision."""
        return Encoder(self.model, 'fp32', self.whitening)


def make_encoder(cfg: CfgNode, model: ReIDModel, device: torch.device) -> Encoder:
    """Return the encoder of a test, on the device.

    Args:
        cfg: The config.
        model: The model of TEST.WEIGHT.
        device: The device.

    Raises:
        InputError: TEST.PRECISION does not work on the device, or TEST.WHITENING cannot be read or
            belongs to another model.
    """
    feature_autocast(device, cfg.TEST.PRECISION)  # rejects it before photos are read
    if cfg.TEST.PRECISION == 'bf16' and bf16_is_slow(device):
        logger.warning(
            'TEST.PRECISION bf16: this processor has AVX512_BF16 but no AMX, so it may be slower '
            'than fp32 (docs/performance.md)'
        )
    whitening = None
    if cfg.TEST.WHITENING:
        expected = feature_facts(cfg, model, tested_sha256(cfg))
        whitening = load_whitening(cfg.TEST.WHITENING, expected)
        logger.info('%s: %s', cfg.TEST.WHITENING, whitening_text(whitening))
    return Encoder(model, cfg.TEST.PRECISION, whitening).to(device)


def tested_sha256(cfg: CfgNode) -> str:
    """Return the SHA-256 of the weights that TEST.WEIGHT names; '' for random ones."""
    path = tested_file(cfg)
    return sha256_file(path) if path else ''


def feature_facts(cfg: CfgNode, model: ReIDModel, model_sha256: str) -> dict[str, Any]:
    """Return what the features of a photo depend on before any whitening: model and transform.

    The file of the weights alone does not determine the model: starting weights get new necks, and
    take activation, stride and positions, or their network of timm, from the config.

    Args:
        cfg: The config.
        model: The model of TEST.WEIGHT.
        model_sha256: The SHA-256 of its file; '' = random weights.
    """
    inputs = (cfg.INPUT.SIZE_TEST, cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD)
    untrained = cfg.TEST.WEIGHT == START
    values = (model_sha256, untrained, model.about, cfg.TEST.NECK_FEAT, *map(list, inputs))
    return dict(zip(FEATURE_FACTS, values, strict=True))


def whitening_facts(cfg: CfgNode) -> dict[str, Any] | None:
    """Return the file of TEST.WHITENING and its SHA-256; None without one."""
    path = cfg.TEST.WHITENING
    return {'file': str(Path(path)), 'sha256': sha256_file(path)} if path else None


def fit_on_records(
    features: Tensor,
    records: Sequence[Record],
    dimension: int = DIMENSION,
    shrinkage: float = SHRINKAGE,
) -> Whitening:
    """Fit a whitening on the features of train photos.

    The scatter is that within each side of each individual; an unknown side is one of its own.

    Args:
        features: (N, D).
        records: N photos.
        dimension: See ``utils.whitening.fit_whitening``.
        shrinkage: The same.

    Raises:
        InputError: As ``fit_whitening``.
    """
    classes = [(record.pid, record.side) for record in records]
    whitening = fit_whitening(features, classes, dimension, shrinkage)
    return replace(whitening, facts=dict(whitening.facts) | {'individuals': individuals(records)})


def check_finite(features: torch.Tensor, records: Sequence[Record]) -> None:
    """Check the features (N, D) of N photos.

    Raises:
        InputError: A feature is not finite; the message names the photo.
    """
    bad = features.isfinite().all(dim=1).logical_not().nonzero()
    if len(bad):
        raise InputError(
            f'the features of {records[int(bad[0])].path} contain NaN or infinity: '
            'the weights are damaged or the training diverged; test an earlier checkpoint, or '
            'train with a lower BASE_LR or with SOLVER.AMP off'
        )
