"""Pictures of results."""

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from utils.files import atomic_write

MATCH, OTHER, QUERY = (46, 139, 87), (200, 55, 45), (70, 80, 95)
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
    page = Image.new('RGB', size, 'white')
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, 8), title, fill='black', font=ImageFont.load_default(17))
    for column, x in enumerate(lefts):
        text = str(column or 'query')
        draw.text((x, 36), text, fill=QUERY, font=ImageFont.load_default(13))
    for number, images in enumerate(rows):
        for x, image in zip(lefts, images, strict=False):
            page.paste(image, (x, TOP + number * step_y))
    with atomic_write(path, 'wb') as file:
        page.save(file, format='PNG')


def _framed(image: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """Scale a photo to the height of a row, at most twice as wide, and frame it."""
    image = ImageOps.contain(image, (2 * HEIGHT, HEIGHT), Image.Resampling.BILINEAR)
    return ImageOps.expand(image, FRAME, colour)
