"""The loss of stage 2 from the config: identity, triplet, image-to-text and, when asked for, center
loss.
"""

import torch
import torch.nn.functional as F
from torch import nn

from loss.center_loss import CenterLoss
from loss.triplet_loss import TripletLoss

SMOOTHING = 0.1  # epsilon of label smoothing (Szegedy et al., 2016)


def make_loss(cfg, num_classes, feat_dim=None):
    """The loss of stage 2 as the config describes it.

    num_classes: number of identities; feat_dim: size of the feature f, needed for the center loss
    only.

    MODEL.METRIC_LOSS_TYPE 'triplet', 'triplet_center' or 'center' (no triplet);
    MODEL.IF_WITH_CENTER 'yes' adds the center loss to any. DATALOADER.SAMPLER 'softmax' does not
    put several photos of an identity into a batch: no triplet, and the identity term without label
    smoothing.
    """
    metric, sampler = cfg.MODEL.METRIC_LOSS_TYPE, cfg.DATALOADER.SAMPLER
    with_triplet = sampler == 'softmax_triplet' and metric != 'center'
    with_center = 'center' in metric or cfg.MODEL.IF_WITH_CENTER == 'yes'
    if with_center and feat_dim is None:
        raise ValueError('the center loss needs feat_dim, the size of the feature f')
    smoothing = SMOOTHING if cfg.MODEL.IF_LABELSMOOTH == 'on' else 0.0
    return Stage2Loss(
        id_weight=cfg.MODEL.ID_LOSS_WEIGHT,
        triplet_weight=cfg.MODEL.TRIPLET_LOSS_WEIGHT,
        i2t_weight=cfg.MODEL.I2T_LOSS_WEIGHT,
        center_weight=cfg.SOLVER.STAGE2.CENTER_LOSS_WEIGHT,
        id_smoothing=smoothing if sampler == 'softmax_triplet' else 0.0,
        i2t_smoothing=smoothing,
        triplet=TripletLoss(None if cfg.MODEL.NO_MARGIN else cfg.SOLVER.MARGIN)
        if with_triplet
        else None,
        center=CenterLoss(num_classes, feat_dim) if with_center else None,
    )


class Stage2Loss(nn.Module):
    """Weighted terms of stage 2. ``center``: the CenterLoss, whose centres are trained too, or
    None.

    *_weight: factors of the terms; *_smoothing: epsilon of label smoothing, 0 … 1; triplet, center:
    losses or None.
    """

    def __init__(
        self,
        *,
        id_weight,
        triplet_weight,
        i2t_weight,
        center_weight,
        id_smoothing,
        i2t_smoothing,
        triplet,
        center,
    ):
        super().__init__()
        self.weights = {
            'id': id_weight,
            'triplet': triplet_weight,
            'i2t': i2t_weight,
            'center': center_weight,
        }
        self.id_smoothing, self.i2t_smoothing = id_smoothing, i2t_smoothing
        self.triplet, self.center = triplet, center
        if center is not None and center_weight:
            # The weight is for the features: the centres follow at CENTER_LR alone, as in the
            # original's training loop.
            center.centers.register_hook(lambda gradient: gradient / center_weight)

    @property
    def unused(self):
        """Names of the terms whose weight is 0."""
        return [name for name, weight in self.weights.items() if not weight]

    def forward(self, score, feat, target, i2tscore=None):
        """
        score: two tensors (N, classes), logits of the classifiers; feat: three tensors (N, *):
        f_last, f, f_proj.
        target: (N,) identities; i2tscore: (N, classes) logits of image against sentence, None
        without prompts.

        Returns a dict of weighted scalars, 'id' and those of 'triplet', 'center', 'i2t' that are in
        use (also with weight 0); their sum is the loss. Half precision is computed in float32.
        """
        terms = {'id': sum(_cross_entropy(one, target, self.id_smoothing) for one in score)}
        if self.triplet is not None:
            terms['triplet'] = sum(self.triplet(one, target) for one in feat)
        if i2tscore is not None:
            terms['i2t'] = _cross_entropy(i2tscore, target, self.i2t_smoothing)
        if self.center is not None:
            terms['center'] = self.center(feat[1], target)
        return {name: self.weights[name] * term for name, term in terms.items()}


def _cross_entropy(score, target, smoothing):
    score = score.to(torch.promote_types(score.dtype, torch.float32))
    if not smoothing:
        return F.cross_entropy(score, target)
    # smoothed in float32 whatever the score's type, as the original does: golden's float64 steps
    # show the difference
    classes = score.shape[1]
    share = F.one_hot(target, classes).float() * (1 - smoothing) + smoothing / classes
    return F.cross_entropy(score, share.to(score.dtype))
