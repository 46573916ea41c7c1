"""Supervised contrastive loss between images and sentences, the loss of stage 1."""

import torch
from torch import Tensor, nn


class SupConLoss(nn.Module):
    """Contrasts the rows of the first argument with those of the second, at temperature 1.

    Khosla et al., 2020, equation 2 (the sum outside the logarithm). The positives of a row are the
    rows of the second argument with the same label. A row's loss is the negative mean over its
    positives of the log-softmax of its dot products; the result is the mean over the rows. Features
    are not normalised here. Stage 1 adds both directions (Li et al., CLIP-ReID, equations 3 and 4).
    """

    def forward(
        self, text_features: Tensor, image_features: Tensor, t_label: Tensor, i_targets: Tensor
    ) -> Tensor:
        """Return the loss, a scalar >= 0 in float32 or float64; NaN if a row has no positive.

        Args:
            text_features: (A, D), the rows; computed in float32 if half precision.
            image_features: (B, D), the rows to compare with.
            t_label: (A,) integer labels of ``text_features``.
            i_targets: (B,) integer labels of ``image_features``.
        """
        positive = t_label[:, None] == i_targets[None, :]  # (A, B)
        # Autocast's half precision is too coarse for logits of CLIP's size.
        with torch.autocast(text_features.device.type, enabled=False):
            dtype = torch.promote_types(text_features.dtype, torch.float32)
            logits = text_features.to(dtype) @ image_features.to(dtype).T  # (A, B)
            log_probability = logits.log_softmax(dim=1)
            return -((log_probability * positive).sum(1) / positive.sum(1)).mean()
