"""Pictures of results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from utils.files import atomic_write
from utils.words import one_line

MATCH, OTHER, QUERY = (46, 139, 87), (200, 55, 45), (70, 80, 95)
LINE, WIDE = (200, 204, 210), (176, 204, 226)
ROW, PANEL = 34, 320  # pixels: height of a row, width of a panel
HEIGHT, GAP, FRAME, MARGIN, TOP = 96, 6, 4, 14, 58  # pixels


def ranked_lists(
    path: str | Path,
    queries: Sequence[tuple[str, Sequence[tuple[str, bool]]]],
    title: str,
    read: Callable[[str], Image.Image],
) -> None:
    """Draw a PNG with a row for each query: the query and the first photos of its ranking.

    Matches have a green frame, other photos a red one.

    Args:
        path: The PNG.
        queries: At least one (photo, [(photo of the ranking, whether it is a match)]).
        title: The line at the top.
        read: Returns the RGB picture of a photo.
    """
    rows = []
    for query, ranked in queries:
        row = [(query, QUERY), *((photo, MATCH if match else OTHER) for photo, match in ranked)]
        rows.append([_framed(read(photo), colour) for photo, colour in row])
    step_x = max(image.width for image in chain.from_iterable(rows)) + GAP
    step_y = HEIGHT + 2 * FRAME + GAP
    columns = range(max(map(len, rows)))
    lefts = [MARGIN + column * step_x + (2 * GAP if column else 0) for column in columns]
    size = lefts[-1] + step_x + MARGIN, TOP + step_y * len(rows) + MARGIN
    page, draw = _page(size, title)
    for column, x in enumerate(lefts):
        text = str(column or 'query')
        draw.text((x, 36), text, fill=QUERY, font=ImageFont.load_default(13))
    for number, images in enumerate(rows):
        for x, image in zip(lefts, images, strict=False):
            page.paste(image, (x, TOP + number * step_y))
    _save(path, page)


def _page(size: tuple[int, int], title: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return a white page with its title, at least as wide as the title."""
    title, font = one_line(title), ImageFont.load_default(17)  # Pillow measures single lines
    width = max(size[0], int(font.getlength(title)) + 2 * MARGIN)
    page = Image.new('RGB', (width, size[1]), 'white')
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, 8), title, fill='black', font=font)
    return page, draw


def _save(path: str | Path, page: Image.Image) -> None:
    with atomic_write(path, 'wb') as file:
        page.save(file, format='PNG')


def _framed(image: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """Scale a photo to the height of a row, at most twice as wide, and frame it."""
    image = ImageOps.contain(image, (2 * HEIGHT, HEIGHT), Image.Resampling.BILINEAR)
    return ImageOps.expand(image, FRAME, colour)


@dataclass(frozen=True)
class Bar:
    """A number with an interval, for :func:`interval_bars`.

    Attributes:
        value: The number.
        wide: (low, high) of the wide bar behind it, or None.
        thin: (low, high) of the thin line through it, or None.
        dots: Single numbers, drawn as dots.
    """

    value: float
    wide: tuple[float, float] | None = None
    thin: tuple[float, float] | None = None
    dots: Sequence[float] = ()

    @property
    def numbers(self) -> list[float]:
        """All numbers to be drawn."""
        return [self.value, *(self.wide or ()), *(self.thin or ()), *self.dots]


def interval_bars(
    path: str | Path,
    names: Sequence[str],
    panels: Sequence[tuple[str, Sequence[Bar | None]]],
    title: str,
) -> None:
    """Draw a PNG with a row for each name and panels side by side, each with its own axis.

    Args:
        path: The PNG.
        names: The names of the rows.
        panels: (title, one bar for each name; None = nothing). An axis that contains 0 marks it.
        title: The line at the top.
    """
    names = [one_line(name) for name in names]
    font = ImageFont.load_default(13)
    left = 2 * MARGIN + max(int(font.getlength(name)) for name in names)
    width = left + len(panels) * (PANEL + 3 * MARGIN)
    bottom = TOP + ROW * len(names)
    page, draw = _page((width, bottom + 2 * MARGIN + GAP), title)
    for row, name in enumerate(names):
        draw.text((MARGIN, TOP + row * ROW + ROW // 2), name, 'black', font, anchor='lm')
    for number, (text, bars) in enumerate(panels):
        x = left + number * (PANEL + 3 * MARGIN)
        draw.text((x, 36), text, fill=QUERY, font=font)
        _draw_panel(draw, (x, TOP, x + PANEL, bottom), bars)
    _save(path, page)


def _draw_panel(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], bars: Sequence[Bar | None]
) -> None:
    left, top, right, bottom = box
    numbers = [number for bar in bars if bar for number in bar.numbers]
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    scale = (right - left - 2 * GAP) / ((high - low) or 1.0)

    def at(number: float) -> float:
        return left + GAP + (number - low) * scale

    draw.rectangle(box, outline=LINE)
    for mark in (low, high, *([0.0] if low < 0 < high else [])):
        draw.line((at(mark), top, at(mark), bottom + 3), fill=LINE)
        draw.text((at(mark), bottom + 5), f'{mark:.3g}', QUERY, anchor='ma')
    for row, bar in enumerate(bars):
        middle = top + row * ROW + ROW // 2
        if bar and bar.wide:
            draw.rectangle((at(bar.wide[0]), middle - 6, at(bar.wide[1]), middle + 6), WIDE)
        if bar and bar.thin:
            draw.line((at(bar.thin[0]), middle, at(bar.thin[1]), middle), fill=QUERY, width=2)
        for dot in bar.dots if bar else ():
            draw.ellipse((at(dot) - 3, middle - 3, at(dot) + 3, middle + 3), outline=QUERY)
        if bar:
            draw.line((at(bar.value), middle - 8, at(bar.value), middle + 8), fill=OTHER, width=3)


def reliability_diagram(
    path: str | Path,
    predicted: np.ndarray,
    observed: np.ndarray,
    count: np.ndarray,
    title: str,
    names: tuple[str, str] = ('probability', 'share that is right'),
) -> None:
    """Draw a PNG of probabilities against what happened; on the diagonal they are as frequent.

    Args:
        path: The PNG.
        predicted: (B,), the mean probability of each bin, 0 … 1.
        observed: (B,), the share of true outcomes in it, 0 … 1.
        count: (B,), its number of answers: the area of its dot.
        title: The line at the top.
        names: The names of the two axes.
    """
    font, side = ImageFont.load_default(13), PANEL
    left, top = 5 * MARGIN, TOP
    page, draw = _page((left + side + 2 * MARGIN, top + side + 4 * MARGIN), title)
    draw.text((MARGIN, 36), names[1], QUERY, font)
    draw.text((left + side, top + side + 2 * MARGIN), names[0], QUERY, font, anchor='ra')
    for mark in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = left + mark * side, top + (1 - mark) * side
        draw.line((x, top, x, top + side), fill=LINE)
        draw.line((left, y, left + side, y), fill=LINE)
        draw.text((x, top + side + 5), f'{mark:g}', QUERY, anchor='ma')
        draw.text((left - 5, y), f'{mark:g}', QUERY, anchor='rm')
    draw.line((left, top + side, left + side, top), fill=QUERY, width=1)
    places = np.column_stack([left + predicted * side, top + (1 - observed) * side])
    draw.line([(x, y) for x, y in places.tolist()], fill=OTHER, width=2)
    for (x, y), share in zip(places.tolist(), (count / count.sum()).tolist(), strict=True):
        radius = 3 + 12 * share**0.5
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=OTHER, width=2)
    _save(path, page)
