"""Supervised contrastive loss between images and sentences: the loss of stage 1."""

import torch
from torch import Tensor, nn


class SupConLoss(nn.Module):
    """Rows of the first argument against the rows of the second, at temperature 1.

    Khosla et al., 2020, equation 2 (the sum outside the logarithm). For each row of the first
    argument: the mean, over its positives (rows of the second with the same label), of the
    log-softmax of the dot products along the row, negated; then the mean over the rows. Features
    are not normalised here. Stage 1 adds both directions (Li et al., CLIP-ReID, equations 3 and 4).
    """

    def forward(
        self, text_features: Tensor, image_features: Tensor, t_label: Tensor, i_targets: Tensor
    ) -> Tensor:
        """Return the loss, a scalar >= 0 in float32 or float64; NaN if a row has no positive.

        Args:
            text_features: (A, D), the rows; half precision is computed in float32.
            image_features: (B, D), what they are compared with.
            t_label: (A,) integers.
            i_targets: (B,) integers.
        """
        positive = t_label[:, None] == i_targets[None, :]  # (A, B)
        # Autocast would take the product in half precision, where logits of CLIP's size lose their
        # digits.
        with torch.autocast(text_features.device.type, enabled=False):
            dtype = torch.promote_types(text_features.dtype, torch.float32)
            logits = text_features.to(dtype) @ image_features.to(dtype).T  # (A, B)
            log_probability = logits.log_softmax(dim=1)
            return -((log_probability * positive).sum(1) / positive.sum(1)).mean()
