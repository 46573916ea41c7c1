"""The loss of stage 2: identity, triplet, image-to-text and center loss, as configured."""

from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from loss.center_loss import CenterLoss
from loss.cosface import CosFace
from loss.triplet_loss import TripletLoss

SMOOTHING = 0.1  # epsilon of label smoothing (Szegedy et al., 2016)


def make_loss(cfg: CfgNode, num_classes: int, feat_dim: int = 0) -> 'Stage2Loss':
    """Return the loss of stage 2 that the config describes.

    MODEL.METRIC_LOSS_TYPE is 'triplet', 'triplet_center' or 'center' (no triplet);
    MODEL.IF_WITH_CENTER 'yes' adds the center loss to each. With DATALOADER.SAMPLER 'softmax' a
    batch need not hold several photos of an identity, so there is no triplet term, and the identity
    term has no label smoothing.

    Args:
        cfg: The config.
        num_classes: The number of identities.
        feat_dim: The size of the feature f, needed only for the center loss.
    """
    metric, sampler = cfg.MODEL.METRIC_LOSS_TYPE, cfg.DATALOADER.SAMPLER
    with_triplet = sampler == 'softmax_triplet' and metric != 'center'
    margin = None if cfg.MODEL.NO_MARGIN else cfg.SOLVER.MARGIN
    with_center = 'center' in metric or cfg.MODEL.IF_WITH_CENTER == 'yes'
    smoothing = SMOOTHING if cfg.MODEL.IF_LABELSMOOTH == 'on' else 0.0
    cosine, solver = cfg.MODEL.TRIPLET_DISTANCE == 'cosine', cfg.SOLVER.STAGE2
    with_cosface = cfg.MODEL.ID_LOSS_TYPE == 'cosface'
    weights = {
        'id': cfg.MODEL.ID_LOSS_WEIGHT,
        'triplet': cfg.MODEL.TRIPLET_LOSS_WEIGHT,
        'i2t': cfg.MODEL.I2T_LOSS_WEIGHT,
        'center': solver.CENTER_LOSS_WEIGHT,
    }
    return Stage2Loss(
        weights,
        id_smoothing=smoothing if sampler == 'softmax_triplet' else 0.0,
        i2t_smoothing=smoothing,
        triplet=TripletLoss(margin, cosine) if with_triplet else None,
        center=CenterLoss(num_classes, feat_dim) if with_center else None,
        cosface=CosFace(solver.COSINE_SCALE, solver.COSINE_MARGIN) if with_cosface else None,
    )


class Stage2Loss(nn.Module):
    """Weighted terms of stage 2 (Li et al., CLIP-ReID, equation 8, and the center loss).

    Args:
        weights: The factor of each term: 'id', 'triplet', 'i2t', 'center'.
        id_smoothing: The epsilon of label smoothing in the identity term, 0 … 1.
        i2t_smoothing: The same in the image-to-text term.
        triplet: Triplet loss; None for no triplet term.
        center: Center loss, whose centres are trained too; None for no center term.
        cosface: Makes the logits of the identity term from cosines; None if the scores are logits.
    """

    def __init__(
        self,
        weights: dict[str, float],
        id_smoothing: float,
        i2t_smoothing: float,
        triplet: TripletLoss | None = None,
        center: CenterLoss | None = None,
        cosface: CosFace | None = None,
    ):
        super().__init__()
        self.cosface = cosface
        self.weights, self.triplet, self.center = weights, triplet, center
        self.id_smoothing, self.i2t_smoothing = id_smoothing, i2t_smoothing
        if center is not None and weights['center']:
            # The weight applies to the features only; the centres learn at CENTER_LR, as in the
            # original's training loop.
            center.centers.register_hook(lambda gradient: gradient / weights['center'])

    def forward(
        self,
        score: list[Tensor],
        feat: list[Tensor],
        target: Tensor,
        i2tscore: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return the weighted terms, scalars whose sum is the loss.

        Half precision is computed in float32.

        Args:
            score: The (N, classes) logits of each classifier; cosines for CosFace.
            feat: The (N, *) features: f_last, f, f_proj; only f from an encoder of timm.
            target: (N,) identities.
            i2tscore: (N, classes) logits of images against sentences; None without prompts.

        Returns:
            'id', and 'triplet', 'center' and 'i2t' if they are in use, even with weight 0.
        """
        if self.cosface is not None:
            score = [self.cosface(one, target) for one in score]
        identity = [_cross_entropy(one, target, self.id_smoothing) for one in score]
        terms = {'id': reduce(torch.add, identity)}
        if self.triplet is not None:
            terms['triplet'] = reduce(torch.add, [self.triplet(one, target) for one in feat])
        if i2tscore is not None:
            terms['i2t'] = _cross_entropy(i2tscore, target, self.i2t_smoothing)
        if self.center is not None:
            terms['center'] = self.center(feat[1] if len(feat) > 1 else feat[0], target)
        return {name: self.weights[name] * term for name, term in terms.items()}


def _cross_entropy(score: Tensor, target: Tensor, smoothing: float) -> Tensor:
    score = score.to(torch.promote_types(score.dtype, torch.float32))
    if not smoothing:
        return F.cross_entropy(score, target)
    # Not torch's label_smoothing, which smooths in the dtype of the scores: the original's targets
    # are float32 even for float64 scores, a difference of 1.5e-5 in the golden steps.
    classes = score.shape[1]
    share = F.one_hot(target, classes).float() * (1 - smoothing) + smoothing / classes
    return F.cross_entropy(score, share.to(score.dtype))
