"""Center loss: pulls each feature towards the learned centre of its identity."""

import torch
from torch import Tensor, nn


class CenterLoss(nn.Module):
    """Mean squared distance to the identity's centre (Wen et al., 2016, equation 2 without ½).

    Args:
        num_classes: The number of identities.
        feat_dim: The size of a feature; ``centers`` (num_classes, feat_dim) are learned.
    """

    def __init__(self, num_classes: int, feat_dim: int):
        super().__init__()
        self.centers = nn.Parameter(torch.randn(num_classes, feat_dim))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar >= 0; squared distances are clamped to 1e-12 … 1e12.

        Args:
            x: (N, feat_dim) features; computed in float32 if half precision.
            labels: (N,) integers in 0 … num_classes - 1.
        """
        return (x - self.centers[labels]).pow(2).sum(1).clamp(1e-12, 1e12).mean()
