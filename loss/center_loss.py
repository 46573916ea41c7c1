"""Center loss: features are drawn to a learned centre of their identity."""

import torch
from torch import nn


class CenterLoss(nn.Module):
    """Mean over the batch of the squared distance to the own centre (Wen et al., 2016, without its
    factor ½).

    num_classes: number of identities; feat_dim: size of a feature. ``centers``: (num_classes,
    feat_dim), learned.
    """

    def __init__(self, num_classes, feat_dim):
        super().__init__()
        self.centers = nn.Parameter(torch.randn(num_classes, feat_dim))

    def forward(self, x, labels):
        """
        x: (N, feat_dim) floats, half precision is computed in float32; labels: (N,) in 0 …
        num_classes - 1.

        Returns a scalar >= 0; each squared distance is kept within 1e-12 … 1e12. Raises
        ``ValueError`` for an empty batch and for shapes that do not fit.
        """
        if not len(x) or x.shape[1:] != self.centers.shape[1:] or labels.shape != x.shape[:1]:
            raise ValueError(
                f'features (N, {self.centers.shape[1]}) and labels (N,) with N > 0 are needed, '
                f'got {tuple(x.shape)} and {tuple(labels.shape)}'
            )
        squared = (x - self.centers[labels]).pow(2).sum(1)
        return squared.clamp(1e-12, 1e12).mean()
