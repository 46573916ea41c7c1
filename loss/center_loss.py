"""Center loss: features are drawn to a learned centre of their identity."""

import torch
from torch import Tensor, nn


class CenterLoss(nn.Module):
    """Mean squared distance to the own centre (Wen et al., 2016, equation 2 without its ½).

    Args:
        num_classes: number of identities.
        feat_dim: size of a feature; ``centers`` (num_classes, feat_dim) are learned.
    """

    def __init__(self, num_classes: int, feat_dim: int):
        super().__init__()
        self.centers = nn.Parameter(torch.randn(num_classes, feat_dim))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar >= 0; each squared distance is kept within 1e-12 … 1e12.

        Args:
            x: (N, feat_dim) features; half precision is computed in float32.
            labels: (N,) integers in 0 … num_classes - 1.
        """
        return (x - self.centers[labels]).pow(2).sum(1).clamp(1e-12, 1e12).mean()
