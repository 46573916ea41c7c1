"""The scene of a drawn photo: sky, hills, grass and light.

All randomness comes from ``rng``, so changing the order of its calls changes the pictures.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def draw_scene(rng: np.random.Generator, size: tuple[int, int], horizon: float) -> Image.Image:
    """Draw sky, hills, ground and bushes (at twice the size, then reduced)."""
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
    scene = to_image(column[:, None]).resize((width, height))
    draw = ImageDraw.Draw(scene)

    hill = ground * 0.5 + sky * 0.35
    xs = np.arange(0, width + 8, 8)
    ridge = horizon - height * 0.06 * (1 + smooth_noise(xs, np.zeros(1), rng, length=width / 4))
    tops = zip(xs.tolist(), np.minimum(ridge, horizon).tolist())
    draw.polygon([(0, horizon), *tops, (width, horizon)], fill=_colour(hill))
    for _ in range(rng.integers(0, 6)):
        at = (rng.uniform(0, width), horizon + rng.uniform(-4, 30))
        _bush(draw, rng, at, radius=rng.uniform(10, 34), colour=ground)
    y = horizon + (height - horizon) * np.sqrt(rng.random(90))
    feet = np.stack([rng.uniform(0, width, 90), y], axis=1)
    _blades(draw, rng, feet, length=(3, 12), colour=ground, width=2)
    return scene.reduce(2)


def _bush(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    at: tuple[float, float],
    radius: float,
    colour: np.ndarray,
) -> None:
    x, y = at
    green = colour * (0.55, 0.75, 0.5) * rng.uniform(0.7, 1.3)
    for _ in range(9):
        dx, dy = rng.normal(0, radius * 0.6), -abs(rng.normal(0, radius * 0.5))
        r = radius * rng.uniform(0.3, 0.6)
        draw.ellipse(
            [x + dx - r, y + dy - r, x + dx + r, y + dy + r * 0.8],
            fill=_colour(green * rng.uniform(0.85, 1.15)),
        )


def drop_shadow(
    photo: Image.Image, rng: np.random.Generator, middle: float, feet: float, scale: float
) -> None:
    """Darken the ground below an animal whose hooves are at column ``middle``, row ``feet``."""
    layer = Image.new('L', photo.size)
    reach, side = 62 * scale, rng.uniform(-14, 14)
    ImageDraw.Draw(layer).ellipse(
        [middle - reach + side, feet - 5 * scale, middle + reach + side, feet + 6 * scale],
        fill=int(rng.uniform(50, 140)),
    )
    photo.paste((20, 18, 22), (0, 0), layer.filter(ImageFilter.BoxBlur(3)))


def grass_in_front(photo: Image.Image, rng: np.random.Generator, feet: float) -> None:
    """Draw up to 60 blades of grass in front of the hooves, in the colour of the ground."""
    colour = np.array(photo.getpixel((2, photo.height - 3))) / 255
    count = rng.integers(0, 60)
    x = rng.uniform(0, photo.width, count)
    places = np.stack([x, feet + rng.uniform(0, 8, count)], axis=1)
    _blades(ImageDraw.Draw(photo), rng, places, length=(4, 18), colour=colour, width=1)


def _blades(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    feet: np.ndarray,
    length: tuple[float, float],
    colour: np.ndarray,
    width: int,
) -> None:
    """Draw blades of grass that grow from the points ``feet`` (n, 2) in shades of the colour."""
    count = len(feet)
    aside = rng.uniform(-4, 4, count)
    tips = feet + np.stack([aside, -rng.uniform(*length, count)], axis=1)
    shades = np.clip(colour * rng.uniform(0.65, 1.4, (count, 1)), 0, 1) * 255
    lines = np.hstack([feet, tips]).tolist()
    for line, shade in zip(lines, shades.astype(int).tolist()):
        draw.line(line, fill=tuple(shade), width=width)


def develop(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Add effects of light and camera: gradient, white balance, exposure, contrast, blur, noise."""
    blurred = photo.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.7)))
    light = np.asarray(blurred, dtype=np.float32) / 255
    height, width, _ = light.shape
    slope = 1 + rng.uniform(-0.3, 0.3) * np.linspace(-1, 1, width, dtype=np.float32)
    balance = np.exp(rng.normal(0, 0.10, 3) + rng.normal(0, 0.22))
    contrast = np.float32(rng.uniform(0.75, 1.35))
    light = (light * slope[None, :, None] * balance.astype(np.float32)) ** contrast
    noise = rng.standard_normal(light.shape, dtype=np.float32)
    return to_image(light + noise * np.float32(rng.uniform(0.005, 0.03)))


def to_image(values: np.ndarray) -> Image.Image:
    """Convert floats (height, width, 3 or 4) to an image; values are clipped to 0..1."""
    return Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))


def _colour(values: np.ndarray) -> tuple[int, ...]:
    return tuple(int(value) for value in np.clip(values, 0, 1) * 255)


def smooth_noise(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, length: float
) -> np.ndarray:
    """Return smooth noise, a sum of twelve waves in random directions.

    Args:
        x: Horizontal coordinates, of any shape that broadcasts with ``y``.
        y: Vertical coordinates.
        rng: Source of the directions, phases and lengths of the waves.
        length: About half a wavelength, in units of the coordinates.

    Returns:
        Values at the coordinates, with mean about 0 and standard deviation about 1.
    """
    noise = np.zeros(np.broadcast_shapes(x.shape, y.shape))
    for _ in range(12):
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        step = 2 * np.pi / (length * rng.uniform(1.2, 2.6))
        noise += np.cos(step * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    return noise / np.sqrt(6)
