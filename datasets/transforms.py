"""From a file to the images of a batch: resizing a photo, and the two transforms."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from datasets.buffers import Buffers
from datasets.images import REMEDY, UnreadablePhoto, read_image

AREA = (0.02, 1 / 3)  # of the photo, that an erased box may cover
CHUNK = 4  # photos that the CPU works on at once: as much as its cache holds
LIST_REMEDY = (
    'replace it, take it out of the list, or set DATASETS.SKIP_BROKEN True to skip such photos'
)
LOG_ASPECT = torch.log(torch.tensor((0.3, 1 / 0.3))).tolist()  # of the box, height / width
IMAGES, WORK = Buffers(), Buffers()


@dataclass(frozen=True)
class Reading:
    """The part that is the same each time: a file -> uint8 array (height, width, 3).

    size: (height, width) in pixels. resample: Pillow's filter; resizing a tensor would give other
    numbers.
    upright: whether EXIF rotation is applied, which the published pipeline does not.
    """

    size: tuple
    resample: Image.Resampling
    upright: bool = False

    def __call__(self, path):
        height, width = self.size
        try:
            image = read_image(path, self.upright)
        except UnreadablePhoto as error:
            if error.remedy == REMEDY:
                raise UnreadablePhoto(path, error.reason, LIST_REMEDY) from None
            raise
        return np.asarray(image.resize((width, height), self.resample))


class Draws(NamedTuple):
    """The random choices for B photos.

    window: (B, 3) int64, flip (0 or 1), top and left of the crop in the padded photo, in pixels.
    box: (B, 4) int64 on the CPU, top, left, height, width of the erased box; height 0 = nothing is
    erased.
    noise: flat float32, what fills the boxes, (3, height, width) each, one after the other.
    """

    window: torch.Tensor
    box: torch.Tensor
    noise: torch.Tensor


@dataclass(frozen=True)
class Transform:
    """The transform of tests, validation and stage 1: resized, then normalised in batches."""

    reading: Reading
    mean: tuple
    std: tuple

    @property
    def photo_bytes(self) -> int:
        """Bytes of one photo in a batch that a worker hands over, at most."""
        return 3 * self.reading.size[0] * self.reading.size[1]

    def draw(self, seeds):
        """Nothing is random here."""
        return None

    def __call__(self, pixels, draws=None):
        """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in channels_last memory, on the device of
        ``pixels``.
        """
        if pixels.device.type == 'cpu':
            images, work = (
                IMAGES.empty(pixels.shape, torch.float32),
                WORK.empty((CHUNK, *pixels.shape[1:]), torch.float32),
            )
        else:
            images, work = (torch.empty(pixels.shape, device=pixels.device) for _ in range(2))
        # (x / 255 - mean) / std as one product and sum, a row of pixels at a time: one long inner
        # loop, not many of length 3
        mean, std = (
            _row(values, pixels.shape[2], pixels.device) for values in (self.mean, self.std)
        )
        scale, shift = 1 / (255 * std), -mean / std
        for start in range(0, len(pixels), len(work)):
            part = slice(start, start + len(work))
            rows = self._prepare(pixels[part], draws, part).flatten(2)  # (b, H, W · 3)
            floats = work[: len(rows)].flatten(2).copy_(rows)
            torch.addcmul(shift, floats, scale, out=images[part].flatten(2))
        return images.permute(0, 3, 1, 2)

    def _prepare(self, pixels, draws, part):
        return pixels


@dataclass(frozen=True)
class RandomTransform(Transform):
    """Stage 2's transform: resized, then in batches flipped, padded, cropped, normalised, erased.

    Random erasing fills one box of 2 % to 1/3 of the area, aspect 0.3 to 1/0.3, with standard
    normal noise per pixel (Zhong et al., AAAI 2020), from the same distribution as timm's
    mode='pixel', max_count=1. All randomness is drawn by ``draw``, on the CPU, as torchvision draws
    it from the default generator: a batch is the same on every device.
    """

    flip: float
    padding: int
    erase: float

    @property
    def photo_bytes(self) -> int:
        """Bytes of one photo in a batch that a worker hands over, at most: with float32 noise for
        its box.
        """
        noise = math.ceil(4 * AREA[1] * super().photo_bytes) if self.erase else 0
        return super().photo_bytes + noise

    def draw(self, seeds):
        """``Draws`` for photos with these sample seeds, each a function of its seed alone."""
        generator = torch.Generator()
        windows, boxes, noises = zip(
            *(self._draw(generator.manual_seed(seed)) for seed in seeds), strict=True
        )
        return Draws(torch.tensor(windows), torch.tensor(boxes), torch.cat(noises))

    def _draw(self, generator):
        flip = bool(torch.rand(1, generator=generator) < self.flip)
        top, left = (
            (_below(2 * self.padding + 1, generator) for _ in range(2)) if self.padding else (0, 0)
        )
        box, noise = (0, 0, 0, 0), torch.empty(0)
        if torch.rand(1, generator=generator) < self.erase:
            box, noise = _draw_box(*self.reading.size, generator)
        return (int(flip), top, left), box, noise

    def __call__(self, pixels, draws):
        """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in channels_last memory, on the device of
        ``pixels``.
        """
        images = super().__call__(pixels, draws)
        start = 0
        for image, (top, left, height, width) in zip(images, draws.box.tolist(), strict=True):
            if height:
                stop = start + 3 * height * width
                image[:, top : top + height, left : left + width] = draws.noise[start:stop].view(
                    3, height, width
                )
                start = stop
        return images

    def _prepare(self, pixels, draws, part):
        return self._flip_and_crop(pixels, *draws.window[part].T)

    def _flip_and_crop(self, pixels, flip, top, left):
        """All photos at once: the place of each wanted pixel in the padded batch. flip, top, left:
        (B,).
        """
        (count, height, width, _), padding = pixels.shape, self.padding
        high, wide = height + 2 * padding, width + 2 * padding
        photos, rows, columns = (
            torch.arange(n, device=pixels.device) for n in (count, height, width)
        )
        rows = top[:, None] + rows  # (B, H)
        columns = left[:, None] + columns  # (B, W)
        columns = torch.where(
            flip[:, None] == 1, wide - 1 - columns, columns
        )  # padding and flip commute
        places = (photos[:, None, None] * high + rows[:, :, None]) * wide + columns[
            :, None
        ]  # (B, H, W)
        padded = F.pad(pixels, (0, 0, padding, padding, padding, padding))
        return padded.view(-1, 3).index_select(0, places.view(-1)).view(pixels.shape)


def make_train_transform(size, flip, padding, erase, mean, std):
    """Stage 2's ``RandomTransform``.

    size: (height, width) in pixels. flip, erase: probabilities of the horizontal flip and of the
    erased box.
    padding: zeros added on each side before the random crop, in pixels. mean, std: per channel, of
    values in 0 … 1.
    """
    return RandomTransform(
        Reading(tuple(size), Image.Resampling.BICUBIC),
        tuple(mean),
        tuple(std),
        flip,
        padding,
        erase,
    )


def make_test_transform(size, mean, std, upright=False):
    """The ``Transform`` for photos of ``size`` (height, width); mean, std: per channel, of values
    in 0 … 1.

    upright: whether photos are turned as their EXIF says; the published pipeline does not.
    """
    return Transform(
        Reading(tuple(size), Image.Resampling.BILINEAR, upright), tuple(mean), tuple(std)
    )


@lru_cache
def _row(values, width, device):
    """One value a channel, repeated for a row of pixels: (width · 3,)."""
    return torch.tensor(values, device=device).repeat(width)


def _below(bound, generator):
    return torch.randint(bound, (1,), generator=generator).item()


def _draw_box(height, width, generator):
    """(top, left, height, width) and the noise of a box that fits; of height 0 after ten that did
    not.
    """
    for _ in range(10):
        area = height * width * torch.empty(1).uniform_(*AREA, generator=generator).item()
        aspect = torch.exp(torch.empty(1).uniform_(*LOG_ASPECT, generator=generator)).item()
        high, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if high < height and wide < width:
            noise = torch.empty(3 * high * wide).normal_(generator=generator)
            return (
                _below(height - high + 1, generator),
                _below(width - wide + 1, generator),
                high,
                wide,
            ), noise
    return (0, 0, 0, 0), torch.empty(0)
