"""A contact sheet: originals and results side by side."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from datasets.records import CONTROL
from utils.files import atomic_write

HEIGHT, WIDEST, GAP, MARGIN, CAPTION = 150, 200, 3, 16, 18  # pixels
COLUMNS = 3  # pairs in a row
PAPER, INK = (236, 236, 236), (40, 40, 40)  # black and white backgrounds both stand out on grey


def contact_sheet(
    path: Path, pairs: Sequence[tuple[str, Image.Image, Image.Image]], title: str
) -> None:
    """Write a PNG of originals and results.

    Args:
        path: Path of the PNG.
        pairs: (caption, original, result), at least one; the images are RGB.
        title: Title at the top.
    """
    cell = 2 * WIDEST + GAP
    step_x, step_y, top = cell + MARGIN, HEIGHT + CAPTION + MARGIN, 44
    columns = min(COLUMNS, len(pairs))
    rows = -(-len(pairs) // columns)
    page = Image.new('RGB', (MARGIN + columns * step_x, top + rows * step_y), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    draw.text((MARGIN, 12), _printable(title), fill=INK, font=ImageFont.load_default(17))
    for number, (caption, original, result) in enumerate(pairs):
        x, y = MARGIN + number % columns * step_x, top + number // columns * step_y
        left, right = _thumbnail(original), _thumbnail(result)
        page.paste(left, (x, y))
        page.paste(right, (x + left.width + GAP, y))
        text = _printable(caption)
        while draw.textlength(text, font) > cell:  # keep the end of a path, which says most
            text = '…' + text[2:]
        draw.text((x, y + HEIGHT + 1), text, fill=INK, font=font)
    with atomic_write(path, 'wb') as file:
        page.save(file, format='PNG')


def _thumbnail(image: Image.Image) -> Image.Image:
    scale = min(HEIGHT / image.height, WIDEST / image.width)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def _printable(text: str) -> str:
    """Replace what cannot be drawn: file names may contain any character."""
    return CONTROL.sub('?', text).encode('utf-8', 'replace').decode()
