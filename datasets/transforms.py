"""Turns a photo file into the input of a model: resizing, then torchvision's transforms."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from timm.data.random_erasing import RandomErasing
from torchvision.transforms import v2

from datasets.images import read_image

Reader = Callable[[str, bool], Image.Image]  # path, whether upright -> RGB image


@dataclass(frozen=True)
class Reading:
    """The deterministic part of a transform, from a file to pixels. Its results can be cached.

    Args:
        size: (height, width) in pixels.
        resample: Pillow's filter; torchvision resizes tensors to different values.
        upright: Whether to apply the EXIF orientation; the published pipeline does not.
        read: Reads the photo of a path, for example a crop of it.
    """

    size: tuple[int, int]
    resample: Image.Resampling
    upright: bool = False
    read: Reader = read_image

    def __call__(self, path: str) -> np.ndarray:
        """Return the photo as uint8 (H, W, 3). Raises ``UnreadablePhoto``."""
        width_height = self.size[::-1]
        return np.array(self.read(path, self.upright).resize(width_height, self.resample))


@dataclass(frozen=True)
class Transform:
    """All steps from a photo file to the input of a model: ``reading``, then ``steps``.

    Args:
        reading: From a file to uint8 (H, W, 3).
        steps: From uint8 (3, H, W) to float32 (3, H, W).
    """

    reading: Reading
    steps: v2.Compose

    def __call__(self, pixels: np.ndarray, seed: int) -> torch.Tensor:
        """Return the image. Its random choices depend only on ``seed``.

        The random generators of the process are restored.

        Args:
            pixels: uint8 (H, W, 3), as ``reading`` returns them.
            seed: 32 bits.

        Returns:
            float32 (3, H, W).
        """
        image = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
        state = random.getstate()
        random.seed(seed)  # used by timm; torchvision uses torch's generator
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
    """Make the transform of stage 2: resize, flip, pad, crop, normalise, erase.

    Random erasing (Zhong et al., AAAI 2020) fills one box with standard normal noise. The box
    covers 2 % to 1/3 of the area; its aspect ratio is 0.3 to 1/0.3.

    Args:
        size: (height, width) in pixels.
        flip: The probability of a horizontal flip.
        padding: Pixels of zeros added on each side before the random crop.
        erase: The probability of an erased box.
        mean: The mean per channel, of values in 0 … 1.
        std: The standard deviation per channel, of values in 0 … 1.
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
    size: Sequence[int],
    mean: Sequence[float],
    std: Sequence[float],
    upright: bool = False,
    read: Reader = read_image,
) -> Transform:
    """Make the transform of tests, validation and stage 1: resize, normalise.

    Args:
        size: (height, width) in pixels.
        mean: The mean per channel, of values in 0 … 1.
        std: The standard deviation per channel, of values in 0 … 1.
        upright: Whether to apply the EXIF orientation; the published pipeline does not.
        read: Reads the photo of a path; see ``Reading``.
    """
    height, width = size
    reading = Reading((height, width), Image.Resampling.BILINEAR, upright, read)
    return Transform(reading, v2.Compose(_normalise(mean, std)))


def _normalise(mean: Sequence[float], std: Sequence[float]) -> list[v2.Transform]:
    return [v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std, inplace=True)]
