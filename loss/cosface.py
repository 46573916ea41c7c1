"""Large margin cosine loss: the logits of a classifier that compares directions."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CosFace(nn.Module):
    """The logits of CosFace (Wang et al., 2018, equation 4): s · (cos θ − m · [own identity]).

    Args:
        scale: s > 0; the sharpness of the softmax.
        margin: m >= 0; by how much the cosine to the own identity must exceed the others.
    """

    def __init__(self, scale: float, margin: float):
        super().__init__()
        self.scale, self.margin = scale, margin

    def forward(self, cosines: Tensor, labels: Tensor) -> Tensor:
        """Return logits (N, classes) for the cross entropy.

        Args:
            cosines: (N, classes), of features to the weights of each class; half precision is
                computed in float32.
            labels: (N,) integers.
        """
        cosines = cosines.to(torch.promote_types(cosines.dtype, torch.float32))
        own = F.one_hot(labels, cosines.shape[1])
        return self.scale * (cosines - self.margin * own)
