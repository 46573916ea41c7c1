"""Photos as they are examined: mirrored, only the animal, only the background, only the outline."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps, ImageStat

from datasets.images import THREADS, read_header, read_image
from datasets.photo_loader import make_photo_loader
from datasets.records import Record
from datasets.transforms import Reader
from processor.encoder import Encoder
from processor.inference import extract_features
from utils.errors import InputError
from utils.logger import logger, progress
from utils.run.session import Session
from utils.words import first_few
from wildlife.background.masks import MaskFolder
from wildlife.background.remove import without_background
from wildlife.background.summary import EMPTY, FULL
from wildlife.names import listed_path

Change = Callable[[str, Image.Image], Image.Image]  # path, photo -> changed photo
Part = Literal['animal', 'background', 'outline']
PARTS: tuple[Part, ...] = ('animal', 'background', 'outline')
HALF = 128  # masks are made binary at half of 255, so that nothing hidden shines through
MARGIN = 0.01  # of the longer side; by so much the animal is made larger to hide it
GREY = (128, 128, 128)  # in the place of a part if nothing else is left
INK, PAPER = (64, 64, 64), (192, 192, 192)  # the animal and the background of an outline


def mirrored(_: str, photo: Image.Image) -> Image.Image:
    """Return the mirror image of a photo: left and right are exchanged."""
    return photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


@dataclass(frozen=True, eq=False)
class OnlyPart:
    """Hides all of a photo but a part; called with its path and image.

    What is hidden gets the mean colour of what stays, so that only the outline is left of it.

    Attributes:
        part: 'animal'; 'background', where a margin of ``MARGIN`` around the animal is hidden too;
            or 'outline', that of the background's hole, in two greys.
        masks: The masks.
        names: Path of a photo -> its name in the folder of the masks.
    """

    part: Part
    masks: MaskFolder
    names: Mapping[str, str]

    def __call__(self, path: str, photo: Image.Image) -> Image.Image:
        """Return the changed photo. Raises ``InputError`` if the mask cannot be used."""
        mask = binary(self.masks(self.names[path], photo))
        if self.part == 'animal':
            return filled(photo, mask)
        hidden = grown(mask)
        if self.part == 'background':
            return filled(photo, ImageOps.invert(hidden))
        ink, paper = (Image.new('RGB', photo.size, colour) for colour in (INK, PAPER))
        return Image.composite(ink, paper, hidden)


def binary(mask: Image.Image) -> Image.Image:
    """Return an 'L' image with 255 where the mask is at least ``HALF``, else 0."""
    return mask.point([255 if value >= HALF else 0 for value in range(256)])


def grown(mask: Image.Image) -> Image.Image:
    """Return a binary mask with a margin of ``MARGIN`` around the animal, at least one pixel."""
    radius = max(1, round(MARGIN * max(mask.size)))
    blurred = mask.filter(ImageFilter.BoxBlur(radius))  # unlike MaxFilter fast for any radius
    return blurred.point([255 if value else 0 for value in range(256)])


def filled(photo: Image.Image, visible: Image.Image) -> Image.Image:
    """Return a photo whose hidden part has the mean colour of the visible one.

    Args:
        photo: RGB image.
        visible: 'L' image of its size, 255 = visible, 0 = hidden.
    """
    colour = GREY
    if visible.getbbox():
        red, green, blue = map(round, ImageStat.Stat(photo, visible).mean)
        colour = (red, green, blue)
    return without_background(photo, visible, colour)


def parts_of_photos(
    masks: Path, records: Sequence[Record], root: str, resize: bool = False
) -> dict[str, OnlyPart]:
    """Return part -> what shows only that part of a photo.

    Args:
        masks: The folder of masks, which have the names of the photos below ``root``.
        records: The located photos.
        root: The folder of the photos.
        resize: Whether masks of another size are resized.

    Raises:
        InputError: The folder is missing, or a photo has no mask or several.
    """
    names = {record.path: listed_path(record.path, root) for record in records}
    folder = MaskFolder(masks, list(names.values()), resize)
    return {part: OnlyPart(part, folder, names) for part in PARTS}


def check_shares(shares: Mapping[str, float], masks: Path) -> None:
    """Warn of masks that show nothing or everything; see :func:`animal_shares`.

    Raises:
        InputError: These are more than half of the masks.
    """
    empty = [path for path, share in shares.items() if share < EMPTY]
    full = [path for path, share in shares.items() if share > FULL]
    text = (
        f'--masks {masks}: of {len(shares)} masks {len(empty)} show no animal and {len(full)} no '
        f'background ({first_few([*empty, *full])})'
    )
    if 2 * len(empty + full) > len(shares):
        raise InputError(f'{text}; white must be the animal, and photos must have a background')
    if empty or full:
        logger.warning('%s', text)


def view_features(
    run: Session, encoder: Encoder, records: Sequence[Record], change: Change | None, text: str
) -> torch.Tensor:
    """Return the features (N, D) float32 of changed photos, on the ranking device.

    Args:
        run: The run.
        encoder: The encoder, on the device of the run.
        records: N located photos.
        change: What is done to each photo first; None = nothing.
        text: The name of the progress bar.

    Raises:
        InputError: A photo or its mask cannot be read, or a feature is not finite.
    """
    read: Reader = partial(_read_changed, change) if change else read_image
    loader = make_photo_loader(run.cfg, records, run.runtime, read=read)
    try:
        return extract_features(encoder, loader, run.runtime, text)
    finally:
        loader.close()


def _read_changed(change: Change, path: str, upright: bool) -> Image.Image:
    return change(path, read_image(path, upright))


def animal_shares(part: OnlyPart) -> dict[str, float]:
    """Return path of a photo -> the share of it that the animal covers, 0 … 1.

    Reads all masks, so that a bad one is found before hours of encoding.

    Raises:
        InputError: A mask cannot be read, or does not have the size of its photo.
    """

    def share(path: str) -> float:
        mask = binary(part.masks.of_size(part.names[path], read_header(path).size))
        return float(np.asarray(mask).mean() / 255)

    with ThreadPoolExecutor(THREADS) as pool:  # Pillow releases the GIL
        shares = progress(pool.map(share, part.names), 'masks', total=len(part.names))
        return dict(zip(part.names, shares, strict=True))
