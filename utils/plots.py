"""Pictures of results."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from utils.files import atomic_write

RIGHT, WRONG, QUERY = (46, 139, 87), (200, 55, 45), (70, 80, 95)
HEIGHT, GAP, FRAME, MARGIN = 96, 6, 4, 14  # pixels


def ranked_lists(
    path: str | Path,
    queries: Sequence[tuple[str, Sequence[tuple[str, bool]]]],
    title: str,
    read: Callable[[str], Image.Image],
) -> None:
    """Draw a PNG: every row a query and the head of its ranking.

    Right ones are framed green, wrong ones red.

    Args:
        path: of the PNG.
        queries: (photo, [(photo of the ranking, whether it is right)]), at least one.
        title: the line above.
        read: the RGB picture of a photo.
    """
    rows = []
    for query, ranked in queries:
        row = [(_thumbnail(read(query)), QUERY)]
        row += [(_thumbnail(read(photo)), RIGHT if right else WRONG) for photo, right in ranked]
        rows.append(row)
    width = max(image.width for row in rows for image, _ in row) + 2 * FRAME
    columns = max(len(row) for row in rows)
    step_x, step_y, top = width + GAP, HEIGHT + 2 * FRAME + GAP, 58
    page = Image.new(
        'RGB', (2 * MARGIN + step_x * columns + 2 * GAP, top + step_y * len(rows) + MARGIN), 'white'
    )
    draw, small = ImageDraw.Draw(page), ImageFont.load_default(13)
    draw.text((MARGIN, 8), title, fill='black', font=ImageFont.load_default(17))
    for column in range(columns):
        text = 'query' if column == 0 else f'{column}'
        draw.text((_x(column, step_x), 36), text, fill=QUERY, font=small)
    for r, row in enumerate(rows):
        for column, (image, colour) in enumerate(row):
            x, y = _x(column, step_x), top + r * step_y
            draw.rectangle(
                (x, y, x + image.width + 2 * FRAME - 1, y + HEIGHT + 2 * FRAME - 1), fill=colour
            )
            page.paste(image, (x + FRAME, y + FRAME))
    with atomic_write(path, 'wb') as file:
        page.save(file, format='PNG')


def _x(column: int, step: int) -> int:
    return MARGIN + column * step + (2 * GAP if column else 0)


def _thumbnail(image: Image.Image) -> Image.Image:
    """At the row's height; no wider than twice that."""
    width = min(2 * HEIGHT, max(1, round(image.width * HEIGHT / image.height)))
    return image.resize((width, HEIGHT), Image.Resampling.BILINEAR)
