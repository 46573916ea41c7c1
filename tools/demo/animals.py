"""Draws an invented animal whose individuals differ only in the pattern of their coat.

The coat of an individual is a picture of its markings on the standing animal, made once from the
random numbers of the individual. To take a photo, the coat is cut into parts (torso, neck with
head, legs, tail), the parts are rotated about their joints, and the animal is put into a scene with
its own light. All individuals share one body and four pairs of colours, and every photo has its own
white balance, so colours say little about the identity. Both flanks have the same pattern,
mirrored.

The standing animal looks to the right and is about 160 units long and 130 units high. Angles are in
degrees.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tools.demo.body import CANVAS, FINE, JOINTS, edge_light, masks, with_details
from tools.demo.scene import (
    develop,
    draw_scene,
    drop_shadow,
    grass_in_front,
    smooth_noise,
    to_image,
)

PHOTO_SIZE = (192, 128)  # width, height in pixels
KINDS = ('stripes', 'spots', 'patches')

_GROUND = 146  # height at which the hooves stand

# Colours of base coat and markings, 0 to 1: sand and brown, white and black, chestnut and cream,
# grey and charcoal.
_COLOURS = np.array(
    [
        [[0.80, 0.64, 0.42], [0.30, 0.18, 0.10]],
        [[0.90, 0.88, 0.83], [0.15, 0.14, 0.15]],
        [[0.55, 0.31, 0.17], [0.93, 0.84, 0.68]],
        [[0.62, 0.62, 0.62], [0.20, 0.21, 0.25]],
    ]
)


@dataclass(frozen=True)
class Part:
    """A part of the body: an RGBA picture, and its top left corner (x, y) on the sheet."""

    picture: Image.Image
    corner: tuple[int, int]


@dataclass(frozen=True)
class Individual:
    """One individual: the kind of its markings, and the parts of its body by name."""

    kind: str
    parts: dict[str, Part]


def make_individual(rng: np.random.Generator) -> Individual:
    """Make an individual; it depends only on the state of ``rng``."""
    kind = KINDS[rng.integers(len(KINDS))]
    width, height = CANVAS
    y, x = np.mgrid[0:height, 0:width].astype(float)
    if kind == 'stripes':
        marks = _stripes(x, y, rng)
    elif kind == 'spots':
        marks = _spots(rng)
    else:
        marks = _patches(x, y, rng)
    marks = marks * np.clip((132 - y) / 30, 0, 1)  # the lower legs are plain

    base, mark = _COLOURS[rng.integers(len(_COLOURS))]
    coat = base + (mark - base) * marks[..., None]
    from_above = 1.06 - 0.30 * np.clip((y - 48) / 60, 0, 1)
    belly = np.clip((y - 82) / 16, 0, 1) * np.clip((104 - y) / 6, 0, 1)
    coat = coat * from_above[..., None] * (1 - 0.12 * belly)[..., None]
    coat = with_details(coat)

    parts = {}
    for name, outline in masks().items():
        shade = 0.78 + 0.22 * edge_light(name)[..., None]
        parts[name] = _cut_out(coat * shade, outline)
        if name.endswith('leg'):  # the legs on the far side are in the shade of the animal
            parts[f'far_{name}'] = _cut_out(coat * 0.6, outline)
    return Individual(kind=kind, parts=parts)


def take_photo(
    individual: Individual, rng: np.random.Generator, size: tuple[int, int] = PHOTO_SIZE
) -> tuple[Image.Image, Image.Image]:
    """Take a photo of an individual with random pose, flank, scale, place, scene and light.

    Args:
        individual: Result of ``make_individual``.
        rng: Source of all random numbers.
        size: Width and height in pixels.

    Returns:
        The photo (RGB), and its mask ('L', 255 = animal with the grass in front of it).
    """
    width, height = size
    horizon = height * rng.uniform(0.25, 0.55)
    photo = draw_scene(rng, size, horizon)

    scale = width / 192 * rng.uniform(0.66, 0.86)
    middle = width / 2 + width * rng.uniform(-0.09, 0.09)
    feet = height * rng.uniform(0.86, 0.98)
    faces_left = rng.random() < 0.5
    sheet_to_photo = _place(scale, middle, feet, turn=rng.normal(0, 3), flip=faces_left)

    drop_shadow(photo, rng, middle, feet, scale)
    mask = Image.new('L', size)
    stride = rng.normal(0, 12)
    swings = [
        ('far_hind_leg', -stride - 6),
        ('far_front_leg', stride + 6),
        ('tail', rng.uniform(-25, 20)),
        ('hind_leg', stride),
        ('torso', 0.0),
        ('neck', rng.uniform(-8, 28)),
        ('front_leg', -stride),
    ]
    for name, angle in swings:
        joint = JOINTS[name.removeprefix('far_')]
        _paste(photo, mask, individual.parts[name], sheet_to_photo @ _rotate(joint, angle))
    grass_in_front(photo, rng, feet)
    return develop(photo, rng), mask


# Coats: markings (height, width) in 0..1 at the coordinates x, y. Each kind covers about half.


def _stripes(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    tilt = np.deg2rad(rng.uniform(-40, 40))
    along = (x - 90) * np.cos(tilt) + (y - 75) * np.sin(tilt)
    along = along + rng.uniform(2, 9) * smooth_noise(x, y, rng, length=35)
    period = rng.uniform(9, 22)
    wave = np.cos(2 * np.pi * (along / period + rng.random()))
    wave = wave + 0.7 * smooth_noise(x, y, rng, length=18)
    return _soft_step(wave - rng.uniform(-0.3, 0.3), width=0.35)


def _spots(rng: np.random.Generator) -> np.ndarray:
    spacing = rng.uniform(11, 24)
    stretch = rng.uniform(0.7, 1.5)
    hollow = rng.random() < 0.4
    fine = Image.new('L', (CANVAS[0] * FINE, CANVAS[1] * FINE))
    draw = ImageDraw.Draw(fine)
    for x, y in _scattered(rng, spacing):
        radius = spacing * rng.uniform(0.24, 0.46)
        for r, fill in [(radius, 255), (radius * 0.5, 60)] if hollow else [(radius, 255)]:
            box = [x - r * stretch, y - r, x + r * stretch, y + r]
            draw.ellipse([value * FINE for value in box], fill=fill)
    return np.asarray(fine.reduce(FINE)) / 255


def _patches(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = smooth_noise(x, y, rng, length=rng.uniform(16, 34))
    noise = noise + 0.35 * smooth_noise(x, y, rng, length=9)
    return _soft_step(noise - rng.uniform(-0.35, 0.35), width=0.15)


def _scattered(rng: np.random.Generator, spacing: float) -> np.ndarray:
    """Return centres (n, 2) on a grid with offset rows over the sheet, each moved at random."""
    width, height = CANVAS
    rows, columns = np.mgrid[-1 : height / spacing + 1, -1 : width / spacing + 1]
    centres = np.stack([columns + 0.5 * (rows % 2), rows * 0.9], axis=-1).reshape(-1, 2)
    return (centres + rng.uniform(-0.35, 0.35, centres.shape) + rng.random(2)) * spacing


def _soft_step(value: np.ndarray, width: float) -> np.ndarray:
    return np.clip(value / width + 0.5, 0, 1)


# Placing: matrices are 3 x 3 and act on columns (x, y, 1).


def _rotate(joint: tuple[float, float], angle: float) -> np.ndarray:
    """Return the rotation by ``angle`` about a joint."""
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    x, y = joint
    return np.array(
        [[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y], [0, 0, 1]]
    )


def _place(scale: float, middle: float, feet: float, turn: float, flip: bool) -> np.ndarray:
    """Return the map from sheet to photo.

    It moves the middle of the animal to column ``middle`` and its hooves to row ``feet``.
    """
    centre = np.array([[1, 0, -100], [0, 1, -_GROUND], [0, 0, 1]])
    size = np.array([[-scale if flip else scale, 0, middle], [0, scale, feet], [0, 0, 1]])
    return size @ _rotate((0, -60), turn) @ centre


def _cut_out(coat: np.ndarray, outline: np.ndarray) -> Part:
    """Cut out the part of a coat (height, width, 3) within an outline (height, width)."""
    sheet = to_image(np.dstack([coat, outline]))
    inside = sheet.getchannel('A').getbbox()
    assert inside is not None  # None only for empty outlines
    left, top, right, bottom = inside
    corner = (left - 2, top - 2)  # a transparent margin keeps the edges smooth
    return Part(sheet.crop((*corner, right + 2, bottom + 2)), corner)


def _paste(photo: Image.Image, mask: Image.Image, part: Part, matrix: np.ndarray) -> None:
    """Paste a part into photo and mask; ``matrix`` maps the sheet to the photo."""
    x, y = part.corner
    right, bottom = x + part.picture.width, y + part.picture.height
    corners = [(x, right, x, right), (y, y, bottom, bottom), (1, 1, 1, 1)]
    reach = (matrix @ np.array(corners))[:2]
    left, top = np.floor(reach.min(axis=1)).astype(int)
    right, bottom = np.ceil(reach.max(axis=1)).astype(int)
    shift = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]])
    back = shift @ np.linalg.inv(matrix) @ np.array([[1, 0, left], [0, 1, top], [0, 0, 1]])
    size = (int(right - left), int(bottom - top))
    affine = tuple(back[:2].ravel())
    layer = part.picture.transform(size, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    photo.paste(layer, (int(left), int(top)), layer)
    mask.paste(255, (int(left), int(top)), layer)
