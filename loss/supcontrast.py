"""Supervised contrastive loss between images and sentences: the loss of stage 1."""

import torch
from torch import nn


class SupConLoss(nn.Module):
    """Rows of the first argument against the rows of the second (Khosla et al., 2020, "out" form;
    temperature 1).

    For each row of the first argument: the mean, over its positives (rows of the second with the
    same label), of the log-softmax of the dot products along the row, negated; then the mean over
    rows. Features are not normalised here. Stage 1 adds both directions (Li et al., CLIP-ReID,
    equations 3 and 4).
    """

    def forward(self, text_features, image_features, t_label, i_targets):
        """
        text_features: (A, D) floats, the rows; image_features: (B, D) floats. Half precision is
        computed in float32.
        t_label: (A,) integers; i_targets: (B,) integers.

        Returns a scalar >= 0, float32 or float64. Raises ``ValueError`` for an empty batch, shapes
        that do not fit and rows without a positive (on an accelerator, where looking at the labels
        would wait for it, those give NaN).
        """
        _check(text_features, image_features, t_label, i_targets)
        positive = t_label[:, None] == i_targets[None, :]  # (A, B)
        count = positive.sum(1)
        if count.device.type == 'cpu' and not count.all():
            row = int((count == 0).nonzero()[0])
            raise ValueError(
                f'row {row} (label {int(t_label[row])}) has no positive: no row of the second '
                'argument '
                'has its label'
            )
        # Autocast would take the product in half precision, where logits of CLIP's size lose their
        # digits.
        with torch.autocast(text_features.device.type, enabled=False):
            dtype = torch.promote_types(text_features.dtype, torch.float32)
            logits = text_features.to(dtype) @ image_features.to(dtype).T  # (A, B)
            log_probability = logits.log_softmax(dim=1)
            return -((log_probability * positive).sum(1) / count).mean()


def _check(text_features, image_features, t_label, i_targets):
    if not len(text_features) or not len(image_features):
        raise ValueError(
            f'empty batch: {len(text_features)} rows against {len(image_features)}; each side '
            'needs one'
        )
    if t_label.shape != text_features.shape[:1] or i_targets.shape != image_features.shape[:1]:
        raise ValueError(
            'one label a row is needed: features '
            f'{tuple(text_features.shape)} and {tuple(image_features.shape)}, '
            f'labels {tuple(t_label.shape)} and {tuple(i_targets.shape)}'
        )
