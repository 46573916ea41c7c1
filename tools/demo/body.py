"""The body that all animals of the demo share: outlines, joints, hooves and face.

It looks to the right; units are those of tools/demo/animals.py.
"""

from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

CANVAS = (208, 156)  # width and height in units of the sheet on which an animal is drawn
FINE = 4  # pixels per unit while outlines are drawn; the results have one pixel per unit

# Each part of the body consists of closed smooth curves through these points.
# fmt: off
_OUTLINES: dict[str, list[list[tuple[int, int]]]] = {
    'torso': [
        [(34, 76), (36, 60), (52, 50), (78, 50), (104, 54), (130, 49), (146, 56), (152, 72),
         (146, 90), (124, 98), (94, 98), (66, 92), (46, 96)],
    ],
    'neck': [
        [(120, 56), (138, 40), (152, 18), (164, 20), (168, 34), (160, 54), (154, 78), (142, 88),
         (126, 78)],
        [(150, 14), (160, 9), (172, 16), (188, 30), (192, 38), (186, 44), (176, 42), (164, 40),
         (152, 32), (148, 22)],
        [(152, 16), (140, 8), (136, -1), (146, 1), (157, 10)],
    ],
    'front_leg': [
        [(133, 72), (150, 72), (152, 88), (148, 104), (146, 122), (146, 146), (137, 146),
         (138, 122), (135, 104), (131, 88)],
    ],
    'hind_leg': [
        [(34, 66), (58, 64), (66, 80), (60, 98), (52, 110), (51, 124), (54, 146), (44, 146),
         (42, 124), (40, 112), (38, 96), (33, 82)],
    ],
    'tail': [
        [(37, 56), (42, 62), (32, 76), (30, 94), (32, 106), (24, 112), (21, 104), (24, 90),
         (28, 72)],
    ],
}
# fmt: on
JOINTS = {
    'torso': (90, 75),
    'neck': (136, 66),
    'front_leg': (142, 82),
    'hind_leg': (50, 78),
    'tail': (38, 60),
}


@cache
def masks() -> dict[str, np.ndarray]:
    """Return the filled outlines: part -> (height, width) in 0..1."""
    filled = {}
    for name, curves in _OUTLINES.items():
        fine = Image.new('L', (CANVAS[0] * FINE, CANVAS[1] * FINE))
        draw = ImageDraw.Draw(fine)
        for points in curves:
            curve = _curve(np.array(points, float) + (0, 3))
            draw.polygon([(x * FINE, y * FINE) for x, y in curve], fill=255)
        filled[name] = np.asarray(fine.reduce(FINE)) / 255
    return filled


def _curve(points: np.ndarray, steps: int = 8) -> np.ndarray:
    """Return the closed Catmull-Rom spline (n · steps, 2) through points (n, 2)."""
    neighbours = (np.roll(points, shift, axis=0) for shift in (1, 0, -1, -2))
    p0, p1, p2, p3 = (p[:, None] for p in neighbours)
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    curve = 0.5 * (
        2 * p1
        + (p2 - p0) * t
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    return curve.reshape(-1, 2)


@cache
def edge_light(name: str) -> np.ndarray:
    """Return the shading (height, width) that makes a part look round.

    It is 1 inside the part and decreases towards its outline.
    """
    mask = Image.fromarray((masks()[name] * 255).astype(np.uint8))
    blurred = mask.filter(ImageFilter.GaussianBlur(4))
    return np.clip((np.asarray(blurred) / 255 - 0.4) / 0.5, 0, 1)


@cache
def _details() -> Image.Image:
    """Return an RGBA layer with hooves, muzzle, ear, eye and tail tuft, common to all animals."""
    layer = Image.new('RGBA', (CANVAS[0] * FINE, CANVAS[1] * FINE))
    draw = ImageDraw.Draw(layer)

    def blob(x: float, y: float, rx: float, ry: float, colour: tuple[int, ...]) -> None:
        draw.ellipse(
            [(x - rx) * FINE, (y + 3 - ry) * FINE, (x + rx) * FINE, (y + 3 + ry) * FINE],
            fill=colour,
        )

    draw.rectangle([0, 141 * FINE, CANVAS[0] * FINE, CANVAS[1] * FINE], fill=(45, 38, 34, 255))
    blob(189, 38, 7, 8, (58, 46, 44, 255))
    blob(146, 6, 6, 4, (196, 150, 140, 160))
    blob(166, 22, 3.4, 3.4, (250, 248, 240, 255))
    blob(166.6, 22.2, 2.6, 2.8, (25, 18, 16, 255))
    blob(167.6, 21.2, 0.9, 0.9, (255, 255, 255, 255))
    blob(26, 106, 9, 10, (50, 40, 36, 255))
    return layer.reduce(FINE)


def with_details(coat: np.ndarray) -> np.ndarray:
    """Paint hooves, muzzle, ear, eye and tail tuft on a coat (height, width, 3)."""
    details = np.asarray(_details()) / 255
    return coat + (details[..., :3] - coat) * details[..., 3:]
