"""A model and a runtime for tests of inference."""

import torch

from utils.device import make_runtime

RUNTIME = make_runtime('cpu')


class Pixels(torch.nn.Module):
    """Returns some of the pixels as features, and counts the photos it sees."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, images, cam_label=None, view_label=None):
        self.seen += len(images)
        return images[:, :, ::4, ::4].flatten(1)
