"""Parts of the image encoder that training leaves as they start."""

import logging
import re
from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from yacs.config import CfgNode

from utils.errors import Mismatch

logger = logging.getLogger('transreid')


def freeze(cfg: CfgNode, encoder: nn.Module) -> None:
    """Freeze what MODEL.FREEZE_STEM and MODEL.FREEZE_NORMS name.

    Args:
        cfg: The config.
        encoder: An image encoder; its ``stem`` is a regular expression of the names of the
            parameters that its first layers have, '' if it is not known.

    Raises:
        Mismatch: The encoder has no such part.
    """
    if cfg.MODEL.FREEZE_STEM:
        stem = str(getattr(encoder, 'stem', ''))
        found = [p for name, p in encoder.named_parameters() if re.match(stem, name)]
        if not stem or not found:
            raise _no_part(cfg, 'MODEL.FREEZE_STEM', 'no stem that is known')
        for parameter in found:
            parameter.requires_grad_(False)
        logger.info('Frozen: the stem of the image encoder (%d weights)', len(found))
    if cfg.MODEL.FREEZE_NORMS:
        norms = list(batch_norms(encoder))
        if not norms:
            raise _no_part(cfg, 'MODEL.FREEZE_NORMS', 'no batch norms')
        for norm in norms:
            norm.requires_grad_(False)
        logger.info('Frozen: the %d batch norms of the image encoder', len(norms))


def batch_norms(encoder: nn.Module) -> Iterator[BatchNorm]:
    """Iterate over the batch norms that have weights."""
    for module in encoder.modules():
        if isinstance(module, BatchNorm) and module.affine:
            yield module


def keep_frozen_statistics(encoder: nn.Module) -> None:
    """Put batch norms with frozen weights into evaluation mode, in which statistics stay."""
    for norm in batch_norms(encoder):
        if not norm.weight.requires_grad:
            norm.eval()


def _no_part(cfg: CfgNode, key: str, what: str) -> Mismatch:
    return Mismatch(f'{key} is True, but MODEL.NAME {cfg.MODEL.NAME} has {what}; set it to False')
