"""Draws where the model looks over two photos, side by side."""

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from datasets.images import read_image
from wildlife.explain.maps import Pair, most_important, shares

# Colour map from dark blue over grey to yellow, made for people with any colour vision; its
# lightness rises evenly, so it also works in grey (cividis; Nuñez, Anderton, Renslow, PLOS ONE
# 2018). Every eighth part, R G B.
COLOURS = np.array(
    [
        *((0, 34, 78), (26, 56, 111), (67, 78, 108), (97, 101, 111), (125, 124, 120)),
        *((155, 148, 118), (188, 174, 108), (222, 201, 88), (254, 232, 56)),
    ],
    dtype=np.float32,
)
HEIGHT, WIDEST, GAP = 320, 480, 8  # pixels
DARKENED = 0.55  # brightness of the grey photo, so that important places are the brightest
LEAST, MOST = 0.25, 0.75  # opacity of the colour at the least and at the most important place
OUTLINE = (255, 255, 255)


def draw_pair(pair: Pair, upright: bool = False) -> Image.Image:
    """Draw the photos of a pair, and below each the same photo with its map.

    The map's colours go from 0 to the photo's largest share; white lines surround the most
    important tenth of the places.

    Args:
        pair: The pair.
        upright: Whether to apply the EXIF orientation, as for the model.

    Raises:
        InputError: A photo cannot be read.
    """
    columns = []
    for record, contributions in zip((pair.first, pair.second), pair.maps, strict=True):
        photo = ImageOps.contain(read_image(record.path, upright), (WIDEST, HEIGHT))
        columns.append((photo, overlay(photo, contributions)))
    width = sum(photo.width for photo, _ in columns) + GAP
    height = max(photo.height for photo, _ in columns)
    picture = Image.new('RGB', (width, 2 * height + GAP), 'white')
    left = 0
    for photo, covered in columns:
        picture.paste(photo, (left, 0))
        picture.paste(covered, (left, height + GAP))
        left += photo.width + GAP
    return picture


def overlay(photo: Image.Image, contributions: np.ndarray) -> Image.Image:
    """Draw a map (h, w) over a grey version of a photo."""
    share = shares(contributions)
    levels = share / share.max() if share.any() else share
    small = Image.fromarray(levels.astype(np.float32))
    smooth = np.clip(np.array(small.resize(photo.size, Image.Resampling.BILINEAR)), 0, 1)[..., None]
    grey = np.array(photo.convert('L'), dtype=np.float32)[..., None] * DARKENED
    opacity = LEAST + (MOST - LEAST) * smooth
    mixed = (1 - opacity) * grey + opacity * colours(smooth[..., 0])
    picture = Image.fromarray(mixed.round().astype(np.uint8))
    if share.any():
        _outline(picture, most_important(contributions) & (share > 0))
    return picture


def colours(levels: np.ndarray) -> np.ndarray:
    """Return the colours (…, 3), 0 … 255, of levels (…) from 0 to 1."""
    places = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(levels, places, channel) for channel in COLOURS.T], axis=-1)


def _outline(picture: Image.Image, chosen: np.ndarray) -> None:
    """Draw lines around the chosen places (h, w), between them and all others."""
    draw, (rows, columns) = ImageDraw.Draw(picture), chosen.shape
    y = [round(row * (picture.height - 1) / rows) for row in range(rows + 1)]
    x = [round(column * (picture.width - 1) / columns) for column in range(columns + 1)]
    around = np.pad(chosen, 1)
    across = np.argwhere(around[1:, 1:-1] != around[:-1, 1:-1]).tolist()
    for row, column in across:
        draw.line([(x[column], y[row]), (x[column + 1], y[row])], OUTLINE, 2)
    down = np.argwhere(around[1:-1, 1:] != around[1:-1, :-1]).tolist()
    for row, column in down:
        draw.line([(x[column], y[row]), (x[column], y[row + 1])], OUTLINE, 2)
