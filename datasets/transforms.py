"""From a photo file to the image that a model gets: resizing, then torchvision's transforms."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from timm.data.random_erasing import RandomErasing
from torchvision.transforms import v2

from datasets.images import read_image


@dataclass(frozen=True)
class Reading:
    """The part of a transform that gives the same each time: a file -> pixels.

    Args:
        size: (height, width) in pixels.
        resample: Pillow's filter; resizing a tensor would give other numbers.
        upright: whether EXIF rotation is applied, which the published pipeline does not.
    """

    size: tuple[int, int]
    resample: Image.Resampling
    upright: bool = False

    def __call__(self, path: str) -> np.ndarray:
        """Return the photo as uint8 (H, W, 3). Raises ``UnreadablePhoto``."""
        image = read_image(path, self.upright)
        return np.array(image.resize(self.size[::-1], self.resample))  # Pillow: (width, height)


@dataclass(frozen=True)
class Transform:
    """What becomes of a photo: ``reading``, whose pixels can be kept, then ``steps``.

    Args:
        reading: a file -> uint8 (H, W, 3).
        steps: uint8 (3, H, W) -> float32 (3, H, W).
    """

    reading: Reading
    steps: v2.Compose

    def __call__(self, pixels: np.ndarray, seed: int) -> torch.Tensor:
        """Return the image, whose random choices are a function of ``seed`` alone.

        The generators of the process are left as they were.

        Args:
            pixels: uint8 (H, W, 3), as ``reading`` returns them.
            seed: 32 bits.

        Returns:
            float32 (3, H, W).
        """
        image = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
        state = random.getstate()
        random.seed(seed)  # timm draws from this generator, torchvision from torch's
        try:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                return self.steps(image)
        finally:
            random.setstate(state)


def make_train_transform(
    size: Sequence[int],
    flip: float,
    padding: int,
    erase: float,
    mean: Sequence[float],
    std: Sequence[float],
) -> Transform:
    """Stage 2's transform: resize, flip, pad, crop, normalise, erase.

    Random erasing fills one box of 2 % to 1/3 of the area, aspect 0.3 to 1/0.3, with standard
    normal noise per pixel (Zhong et al., AAAI 2020).

    Args:
        size: (height, width) in pixels.
        flip: probability of the horizontal flip.
        padding: zeros added on each side before the random crop, in pixels.
        erase: probability of the erased box.
        mean: per channel, of values in 0 … 1.
        std: per channel, of values in 0 … 1.
    """
    height, width = size
    steps = [
        v2.RandomHorizontalFlip(flip),
        v2.RandomCrop((height, width), padding=padding),
        *_normalise(mean, std),
        RandomErasing(erase, mode='pixel', max_count=1, device='cpu'),
    ]
    return Transform(Reading((height, width), Image.Resampling.BICUBIC), v2.Compose(steps))


def make_test_transform(
    size: Sequence[int], mean: Sequence[float], std: Sequence[float], upright: bool = False
) -> Transform:
    """The transform of tests, validation and stage 1: resize, normalise.

    Args:
        size: (height, width) in pixels.
        mean: per channel, of values in 0 … 1.
        std: per channel, of values in 0 … 1.
        upright: whether photos are turned as their EXIF says; the published pipeline does not.
    """
    height, width = size
    reading = Reading((height, width), Image.Resampling.BILINEAR, upright)
    return Transform(reading, v2.Compose(_normalise(mean, std)))


def _normalise(mean: Sequence[float], std: Sequence[float]) -> list[v2.Transform]:
    return [v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std, inplace=True)]
