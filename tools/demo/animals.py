"""Drawing for the demo: an invented animal whose individuals differ by the pattern of their coat
alone.

An individual is a coat: a picture of its markings on the standing animal, made once from its own
random numbers. A photo takes that coat, cuts it into parts (torso, neck with head, legs, tail),
swings the parts about their joints, and puts the animal into a scene with its own light. All
individuals share one body and four pairs of colours, and every photo has a white balance of its
own, so that colours say little about who it is. Both flanks carry the same pattern, mirrored.

Lengths are in units of the standing animal, about 160 long and 130 high, which looks to the right;
angles are in degrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

PHOTO_SIZE = (192, 128)  # width, height in pixels
KINDS = ('stripes', 'spots', 'patches')

_CANVAS = (208, 156)  # width, height in units of the sheet on which an animal is drawn
_FINE = 4  # pixels per unit while the outlines are drawn; afterwards a unit is a pixel
_GROUND = 146  # height at which the hooves stand

# Base coat and markings, 0 to 1: sand with brown, white with black, chestnut with cream, grey with
# charcoal.
_COLOURS = np.array(
    [
        [[0.80, 0.64, 0.42], [0.30, 0.18, 0.10]],
        [[0.90, 0.88, 0.83], [0.15, 0.14, 0.15]],
        [[0.55, 0.31, 0.17], [0.93, 0.84, 0.68]],
        [[0.62, 0.62, 0.62], [0.20, 0.21, 0.25]],
    ]
)

# Outlines: closed smooth curves through these points, by part.
_OUTLINES = {
    'torso': [
        [
            (34, 76),
            (36, 60),
            (52, 50),
            (78, 50),
            (104, 54),
            (130, 49),
            (146, 56),
            (152, 72),
            (146, 90),
            (124, 98),
            (94, 98),
            (66, 92),
            (46, 96),
        ],
    ],
    'neck': [
        [
            (120, 56),
            (138, 40),
            (152, 18),
            (164, 20),
            (168, 34),
            (160, 54),
            (154, 78),
            (142, 88),
            (126, 78),
        ],
        [
            (150, 14),
            (160, 9),
            (172, 16),
            (188, 30),
            (192, 38),
            (186, 44),
            (176, 42),
            (164, 40),
            (152, 32),
            (148, 22),
        ],
        [(152, 16), (140, 8), (136, -1), (146, 1), (157, 10)],
    ],
    'front_leg': [
        [
            (133, 72),
            (150, 72),
            (152, 88),
            (148, 104),
            (146, 122),
            (146, 146),
            (137, 146),
            (138, 122),
            (135, 104),
            (131, 88),
        ]
    ],
    'hind_leg': [
        [
            (34, 66),
            (58, 64),
            (66, 80),
            (60, 98),
            (52, 110),
            (51, 124),
            (54, 146),
            (44, 146),
            (42, 124),
            (40, 112),
            (38, 96),
            (33, 82),
        ]
    ],
    'tail': [
        [
            (37, 56),
            (42, 62),
            (32, 76),
            (30, 94),
            (32, 106),
            (24, 112),
            (21, 104),
            (24, 90),
            (28, 72),
        ]
    ],
}
_JOINTS = {
    'torso': (90, 75),
    'neck': (136, 66),
    'front_leg': (142, 82),
    'hind_leg': (50, 78),
    'tail': (38, 60),
}


@dataclass(frozen=True)
class Individual:
    """One animal: the kind of its markings, and its parts: RGBA pictures with the place (x, y) of
    their corner on the sheet.
    """

    kind: str
    parts: dict[str, tuple[Image.Image, tuple[int, int]]]


def make_individual(rng: np.random.Generator) -> Individual:
    """A new individual, determined by the state of `rng`."""
    kind = KINDS[rng.integers(len(KINDS))]
    width, height = _CANVAS
    y, x = np.mgrid[0:height, 0:width].astype(float)
    marks = (
        _spots(rng)
        if kind == 'spots'
        else {'stripes': _stripes, 'patches': _patches}[kind](x, y, rng)
    )
    marks = marks * np.clip((132 - y) / 30, 0, 1)  # the lower legs are plain

    base, mark = _COLOURS[rng.integers(len(_COLOURS))]
    coat = base + (mark - base) * marks[..., None]
    belly = np.clip((y - 82) / 16, 0, 1) * np.clip((104 - y) / 6, 0, 1)
    coat = (
        coat
        * (1.06 - 0.30 * np.clip((y - 48) / 60, 0, 1))[..., None]
        * (1 - 0.12 * belly)[..., None]
    )
    coat = _with_details(coat)

    parts = {}
    for name, outline in _masks().items():
        shade = 0.78 + 0.22 * _edge_light(name)[..., None]
        parts[name] = _cut_out(coat * shade, outline)
        if name.endswith('leg'):  # the legs of the other side stand in the animal's shade
            parts[f'far_{name}'] = _cut_out(coat * 0.6, outline)
    return Individual(kind=kind, parts=parts)


def take_photo(
    individual: Individual, rng: np.random.Generator, size: tuple[int, int] = PHOTO_SIZE
) -> Image.Image:
    """A photo of the individual, RGB of `size` (width, height): pose, flank, scale, place, scene
    and light come from `rng`.
    """
    width, height = size
    horizon = height * rng.uniform(0.25, 0.55)
    photo = _scene(rng, size, horizon)

    scale = width / 192 * rng.uniform(0.66, 0.86)
    middle = width / 2 + width * rng.uniform(-0.09, 0.09)
    feet = height * rng.uniform(0.86, 0.98)
    faces_left = rng.random() < 0.5
    whole = _place(scale, middle, feet, turn=rng.normal(0, 3), flip=faces_left)

    _drop_shadow(photo, rng, middle, feet, scale)
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
        _paste(
            photo,
            *individual.parts[name],
            whole @ _about(_JOINTS[name.removeprefix('far_')], angle),
        )
    _grass_in_front(photo, rng, feet)
    return _develop(photo, rng)


# Coats: marks (height, width) in 0..1 at the coordinates x, y, all three about half covered.


def _stripes(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    tilt = np.deg2rad(rng.uniform(-40, 40))
    along = (x - 90) * np.cos(tilt) + (y - 75) * np.sin(tilt)
    along = along + rng.uniform(2, 9) * _smooth_noise(x, y, rng, length=35)
    period = rng.uniform(9, 22)
    wave = np.cos(2 * np.pi * (along / period + rng.random())) + 0.7 * _smooth_noise(
        x, y, rng, length=18
    )
    return _soft_step(wave - rng.uniform(-0.3, 0.3), width=0.35)


def _spots(rng: np.random.Generator) -> np.ndarray:
    spacing = rng.uniform(11, 24)
    stretch = rng.uniform(0.7, 1.5)
    hollow = rng.random() < 0.4
    fine = Image.new('L', (_CANVAS[0] * _FINE, _CANVAS[1] * _FINE))
    draw = ImageDraw.Draw(fine)
    for x, y in _scattered(rng, spacing):
        radius = spacing * rng.uniform(0.24, 0.46)
        for r, fill in [(radius, 255), (radius * 0.5, 60)] if hollow else [(radius, 255)]:
            box = [x - r * stretch, y - r, x + r * stretch, y + r]
            draw.ellipse([value * _FINE for value in box], fill=fill)
    return np.asarray(fine.reduce(_FINE)) / 255


def _patches(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = _smooth_noise(x, y, rng, length=rng.uniform(16, 34)) + 0.35 * _smooth_noise(
        x, y, rng, length=9
    )
    return _soft_step(noise - rng.uniform(-0.35, 0.35), width=0.15)


def _scattered(rng: np.random.Generator, spacing: float) -> np.ndarray:
    """Centres (n, 2) over the sheet, on a grid of offset rows, each moved at random."""
    width, height = _CANVAS
    rows, columns = np.mgrid[-1 : height / spacing + 1, -1 : width / spacing + 1]
    centres = np.stack([columns + 0.5 * (rows % 2), rows * 0.9], axis=-1).reshape(-1, 2)
    return (centres + rng.uniform(-0.35, 0.35, centres.shape) + rng.random(2)) * spacing


def _smooth_noise(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, length: float
) -> np.ndarray:
    """Noise of mean about 0 and deviation about 1 that changes over `length` units: a sum of twelve
    waves in random directions.
    """
    noise = np.zeros(np.broadcast_shapes(x.shape, y.shape))
    for _ in range(12):
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        step = 2 * np.pi / (length * rng.uniform(1.2, 2.6))
        noise += np.cos(step * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    return noise / np.sqrt(6)


def _soft_step(value: np.ndarray, width: float) -> np.ndarray:
    return np.clip(value / width + 0.5, 0, 1)


# Body.


@cache
def _masks() -> dict[str, np.ndarray]:
    """The outlines filled: part → (height, width) in 0..1."""
    masks = {}
    for name, curves in _OUTLINES.items():
        fine = Image.new('L', (_CANVAS[0] * _FINE, _CANVAS[1] * _FINE))
        draw = ImageDraw.Draw(fine)
        for points in curves:
            draw.polygon(
                [tuple(point * _FINE) for point in _curve(np.array(points, float) + (0, 3))],
                fill=255,
            )
        masks[name] = np.asarray(fine.reduce(_FINE)) / 255
    return masks


def _curve(points: np.ndarray, steps: int = 8) -> np.ndarray:
    """The closed Catmull-Rom spline through points (n, 2): (n · steps, 2)."""
    before, after, beyond = (np.roll(points, shift, axis=0) for shift in (1, -1, -2))
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (p[:, None] for p in (before, points, after, beyond))
    curve = 0.5 * (
        2 * p1
        + (p2 - p0) * t
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    return curve.reshape(-1, 2)


@cache
def _edge_light(name: str) -> np.ndarray:
    """Roundness of a part: 1 inside, falling towards its outline. (height, width)"""
    blurred = Image.fromarray((_masks()[name] * 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(4)
    )
    return np.clip((np.asarray(blurred) / 255 - 0.4) / 0.5, 0, 1)


@cache
def _details() -> Image.Image:
    """Hooves, muzzle, ear, eye and the tuft of the tail, the same for all: RGBA."""
    layer = Image.new('RGBA', (_CANVAS[0] * _FINE, _CANVAS[1] * _FINE))
    draw = ImageDraw.Draw(layer)

    def blob(x: float, y: float, rx: float, ry: float, colour: tuple[int, ...]) -> None:
        draw.ellipse(
            [(x - rx) * _FINE, (y + 3 - ry) * _FINE, (x + rx) * _FINE, (y + 3 + ry) * _FINE],
            fill=colour,
        )

    draw.rectangle([0, 141 * _FINE, _CANVAS[0] * _FINE, _CANVAS[1] * _FINE], fill=(45, 38, 34, 255))
    blob(189, 38, 7, 8, (58, 46, 44, 255))
    blob(146, 6, 6, 4, (196, 150, 140, 160))
    blob(166, 22, 3.4, 3.4, (250, 248, 240, 255))
    blob(166.6, 22.2, 2.6, 2.8, (25, 18, 16, 255))
    blob(167.6, 21.2, 0.9, 0.9, (255, 255, 255, 255))
    blob(26, 106, 9, 10, (50, 40, 36, 255))
    return layer.reduce(_FINE)


def _with_details(coat: np.ndarray) -> np.ndarray:
    details = np.asarray(_details()) / 255
    return coat + (details[..., :3] - coat) * details[..., 3:]


# Placing. Matrices are 3 x 3 and act on columns (x, y, 1).


def _about(joint: tuple[float, float], angle: float) -> np.ndarray:
    """A turn by `angle` about a joint."""
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    x, y = joint
    return np.array(
        [[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y], [0, 0, 1]]
    )


def _place(scale: float, middle: float, feet: float, turn: float, flip: bool) -> np.ndarray:
    """From the sheet to the photo: the animal's middle goes to column `middle`, its hooves to row
    `feet`.
    """
    centre = np.array([[1, 0, -100], [0, 1, -_GROUND], [0, 0, 1]])
    size = np.array([[-scale if flip else scale, 0, middle], [0, scale, feet], [0, 0, 1]])
    return size @ _about((0, -60), turn) @ centre


def _cut_out(coat: np.ndarray, outline: np.ndarray) -> tuple[Image.Image, tuple[int, int]]:
    """The part of a coat (height, width, 3) within an outline (height, width), and its corner (x,
    y) on the sheet.
    """
    sheet = _to_image(np.dstack([coat, outline]))
    left, top, right, bottom = sheet.getchannel('A').getbbox()
    box = (left - 2, top - 2, right + 2, bottom + 2)  # a clear rim, for smooth edges
    return sheet.crop(box), box[:2]


def _paste(
    photo: Image.Image, part: Image.Image, corner: tuple[int, int], matrix: np.ndarray
) -> None:
    """Put a part into the photo, moved from the sheet by `matrix`."""
    x, y = corner
    corners = [
        (x, x + part.width, x, x + part.width),
        (y, y, y + part.height, y + part.height),
        (1, 1, 1, 1),
    ]
    reach = (matrix @ np.array(corners))[:2]
    left, top = np.floor(reach.min(axis=1)).astype(int)
    right, bottom = np.ceil(reach.max(axis=1)).astype(int)
    shift = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]])
    back = shift @ np.linalg.inv(matrix) @ np.array([[1, 0, left], [0, 1, top], [0, 0, 1]])
    size = (int(right - left), int(bottom - top))
    layer = part.transform(
        size, Image.Transform.AFFINE, tuple(back[:2].ravel()), Image.Resampling.BILINEAR
    )
    photo.paste(layer, (int(left), int(top)), layer)


# Scene and light.


def _scene(rng: np.random.Generator, size: tuple[int, int], horizon: float) -> Image.Image:
    """Sky, hills, ground and bushes, drawn at twice the size."""
    width, height = size[0] * 2, size[1] * 2
    horizon = horizon * 2
    sky = rng.uniform([0.45, 0.55, 0.60], [0.90, 0.85, 0.95])
    ground = np.array(
        [[0.55, 0.48, 0.28], [0.36, 0.46, 0.22], [0.60, 0.52, 0.42], [0.30, 0.34, 0.20]]
    )[rng.integers(4)]
    ground = ground * rng.uniform(0.8, 1.2)

    rows = np.arange(height)
    upper = sky + (1 - sky) * (np.clip(rows / horizon, 0, 1) * 0.5)[:, None]
    lower = ground * (1.15 - 0.4 * np.clip((rows - horizon) / (height - horizon), 0, 1))[:, None]
    column = np.where((rows < horizon)[:, None], upper, lower)
    scene = _to_image(column[:, None]).resize((width, height))
    draw = ImageDraw.Draw(scene)

    hill = ground * 0.5 + sky * 0.35
    xs = np.arange(0, width + 8, 8)
    ridge = horizon - height * 0.06 * (1 + _smooth_noise(xs, np.zeros(1), rng, length=width / 4))
    draw.polygon(
        [(0, horizon), *zip(xs.tolist(), np.minimum(ridge, horizon).tolist()), (width, horizon)],
        fill=_colour(hill),
    )
    for _ in range(rng.integers(0, 6)):
        _bush(
            draw,
            rng,
            x=rng.uniform(0, width),
            y=horizon + rng.uniform(-4, 30),
            radius=rng.uniform(10, 34),
            colour=ground,
        )
    feet = horizon + (height - horizon) * np.sqrt(rng.random(90))
    _blades(draw, rng, rng.uniform(0, width, 90), feet, length=(3, 12), colour=ground, width=2)
    return scene.reduce(2)


def _bush(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    x: float,
    y: float,
    radius: float,
    colour: np.ndarray,
) -> None:
    green = colour * (0.55, 0.75, 0.5) * rng.uniform(0.7, 1.3)
    for _ in range(9):
        dx, dy = rng.normal(0, radius * 0.6), -abs(rng.normal(0, radius * 0.5))
        r = radius * rng.uniform(0.3, 0.6)
        draw.ellipse(
            [x + dx - r, y + dy - r, x + dx + r, y + dy + r * 0.8],
            fill=_colour(green * rng.uniform(0.85, 1.15)),
        )


def _drop_shadow(
    photo: Image.Image, rng: np.random.Generator, middle: float, feet: float, scale: float
) -> None:
    layer = Image.new('L', photo.size)
    reach, side = 62 * scale, rng.uniform(-14, 14)
    ImageDraw.Draw(layer).ellipse(
        [middle - reach + side, feet - 5 * scale, middle + reach + side, feet + 6 * scale],
        fill=int(rng.uniform(50, 140)),
    )
    photo.paste((20, 18, 22), (0, 0), layer.filter(ImageFilter.BoxBlur(3)))


def _grass_in_front(photo: Image.Image, rng: np.random.Generator, feet: float) -> None:
    """Blades before the hooves, few or many, in the colour of the ground."""
    colour = np.array(photo.getpixel((2, photo.height - 3))) / 255
    count = rng.integers(0, 60)
    x = rng.uniform(0, photo.width, count)
    _blades(
        ImageDraw.Draw(photo),
        rng,
        x,
        feet + rng.uniform(0, 8, count),
        length=(4, 18),
        colour=colour,
        width=1,
    )


def _blades(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    x: np.ndarray,
    y: np.ndarray,
    length: tuple[float, float],
    colour: np.ndarray,
    width: int,
) -> None:
    """Blades of grass that grow from the places x, y (n,) in shades of the colour."""
    tips = np.stack(
        [x + rng.uniform(-4, 4, len(x)), y - rng.uniform(*length, len(x))], axis=1
    ).tolist()
    shades = np.clip(colour * rng.uniform(0.65, 1.4, (len(x), 1)), 0, 1) * 255
    for foot, tip, shade in zip(zip(x.tolist(), y.tolist()), tips, shades.astype(int).tolist()):
        draw.line([*foot, *tip], fill=tuple(shade), width=width)


def _develop(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Light of the day and camera: a gradient over the photo, white balance, exposure, contrast,
    blur and noise.
    """
    light = (
        np.asarray(photo.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.7))), dtype=np.float32)
        / 255
    )
    height, width, _ = light.shape
    slope = 1 + rng.uniform(-0.3, 0.3) * np.linspace(-1, 1, width, dtype=np.float32)
    balance = np.exp(rng.normal(0, 0.10, 3) + rng.normal(0, 0.22))
    light = (light * slope[None, :, None] * balance.astype(np.float32)) ** np.float32(
        rng.uniform(0.75, 1.35)
    )
    noise = rng.standard_normal(light.shape, dtype=np.float32) * np.float32(
        rng.uniform(0.005, 0.03)
    )
    return _to_image(light + noise)


def _to_image(values: np.ndarray) -> Image.Image:
    """Floats in 0..1 (height, width, 3 or 4) to a picture; what lies outside is cut off."""
    return Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))


def _colour(values: np.ndarray) -> tuple[int, ...]:
    return tuple(int(value) for value in np.clip(values, 0, 1) * 255)
