"""Triplet loss with the hardest positive and the hardest negative in the batch."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TripletLoss(nn.Module):
    """Batch-hard triplet loss (Hermans et al., 2017, equation 5).

    Args:
        margin: The loss is the mean of max(0, d_ap - d_an + margin), with margin >= 0 in units of
            the distance. None is the soft margin, the mean of log(1 + exp(d_ap - d_an)).
        cosine: Whether distances are 1 - cosine, 0 … 2, and not Euclidean, in units of the
            features.
    """

    def __init__(self, margin: float | None = None, cosine: bool = False):
        super().__init__()
        self.margin, self.cosine = margin, cosine

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar >= 0; identities may have any number of photos.

        Args:
            features: (N, D); computed in float32 if half precision.
            labels: (N,) integers.
        """
        if self.cosine:
            features = F.normalize(features.to(torch.promote_types(features.dtype, torch.float32)))
        d_ap, d_an = hardest_pairs(features, labels)
        if self.cosine:  # half the squared distance of unit vectors
            d_ap, d_an = d_ap.square() / 2, d_an.square() / 2
        if self.margin is None:
            return F.softplus(d_ap - d_an).mean()
        return F.relu(d_ap - d_an + self.margin).mean()


def hardest_pairs(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return each anchor's distances (N,) to its farthest positive and its nearest negative.

    An anchor is its own positive. If the batch has a single identity, there is no negative, and
    that distance is NaN.

    Args:
        features: (N, D).
        labels: (N,) integers.
    """
    same = labels[:, None] == labels[None, :]  # (N, N)
    with torch.autocast(features.device.type, enabled=False):
        x = features.to(torch.promote_types(features.dtype, torch.float32))
        square = x.pow(2).sum(1)
        squared = square[:, None] + square[None, :] - 2 * x @ x.T
        # The distance to itself is set to 0, as the root would turn its rounding error into a
        # distance with a huge slope. The root's slope at 0 is infinite, hence the clamp.
        itself = torch.eye(len(x), dtype=torch.bool, device=x.device)
        distance = squared.masked_fill(itself, 0).clamp(min=1e-12).sqrt()  # Euclidean
    # max and min pass the gradient to one element; amax and amin would share it among ties.
    d_ap = distance.masked_fill(~same, -torch.inf).max(dim=1).values
    d_an = distance.masked_fill(same, torch.inf).min(dim=1).values
    return d_ap, d_an.masked_fill(d_an.isinf(), torch.nan)
