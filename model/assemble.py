"""Puts CLIP's towers into a re-identification model."""

import logging

import torch
from yacs.config import CfgNode

from model.clip.architecture import Architecture
from model.clip.open_clip import Activation
from model.clip.towers import ACTIVATIONS
from model.mismatch import check_sizes
from model.prompt import Sentence
from model.reid_model import ModelSettings, ReIDModel
from utils.errors import InputError

logger = logging.getLogger('transreid')


def assemble(
    cfg: CfgNode,
    arch: Architecture,
    num_class: int,
    side: tuple[int, int],
    trained_with: Activation,
    sentence: Sentence | None = None,
) -> ReIDModel:
    """Return a model with random weights.

    Args:
        cfg: The config.
        arch: The architecture of the towers.
        num_class: The number of individuals.
        side: The numbers of (cameras, views) with an embedding.
        trained_with: The activation of the weights that the caller loads.
        sentence: The sentence of the prompts; None = a base variant.

    Raises:
        InputError: The config does not suit the architecture or the activation.
    """
    check_sizes(cfg, arch)
    activation = _choose_activation(cfg, trained_with)
    image, text = arch.build(cfg.INPUT.SIZE_TRAIN, cfg.MODEL.STRIDE_SIZE, activation)
    if arch.family == 'RN':
        image = image.to(memory_format=torch.channels_last)
    if cfg.MODEL.COMPILE:
        image.compile()  # in place: names in the state dict stay; utils.device has tested it
    settings = ModelSettings(
        num_class=num_class,
        feature_dim=arch.feature_dim,
        projected_dim=arch.embed_dim,
        neck_feat=cfg.TEST.NECK_FEAT,
        activation=activation,
        grid=arch.positions(cfg.INPUT.SIZE_TRAIN, cfg.MODEL.STRIDE_SIZE),
        side=side,
        side_factor=cfg.MODEL.SIE_COE,
        cosine=cfg.MODEL.ID_LOSS_TYPE == 'cosface',
    )
    return ReIDModel(image, text, settings, sentence)


def _choose_activation(cfg: CfgNode, found: Activation) -> str:
    asked = cfg.MODEL.ACTIVATION
    if asked == 'auto' and found.name not in ACTIVATIONS:
        raise InputError(
            f'unknown activation {found.name[:40]!r} of the weights ({found.why}); set '
            f'MODEL.ACTIVATION {" or ".join(ACTIVATIONS)} if it is one of these'
        )
    if asked not in ('auto', found.name) and found.sure:
        logger.warning(
            'MODEL.ACTIVATION is %s, but the weights were trained with %s (%s)',
            asked,
            found.name,
            found.why,
        )
    name, why = (found.name, found.why) if asked == 'auto' else (asked, 'MODEL.ACTIVATION')
    logger.info("Activation of CLIP's transformers: %s (%s)", name, why)
    return name
