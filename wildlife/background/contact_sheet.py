"""A picture of photos and what became of them, side by side."""

from PIL import Image, ImageDraw, ImageFont

from datasets.records import CONTROL
from utils.files import atomic_write

HEIGHT, WIDEST, GAP, MARGIN, CAPTION, COLUMNS = 150, 200, 3, 16, 18, 3  # pixels; pairs in a row
PAPER, INK = (236, 236, 236), (40, 40, 40)  # grey paper: black and white backgrounds both stand out


def contact_sheet(path, pairs, title):
    """Write a PNG. pairs: list of (caption, original, result), RGB PIL images; at least one."""
    cell = 2 * WIDEST + GAP
    step_x, step_y, top = cell + MARGIN, HEIGHT + CAPTION + MARGIN, 44
    columns = min(COLUMNS, len(pairs))
    rows = -(-len(pairs) // columns)
    page = Image.new('RGB', (MARGIN + columns * step_x, top + rows * step_y), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    draw.text((MARGIN, 12), _printable(title), fill=INK, font=ImageFont.load_default(17))
    for number, (caption, *images) in enumerate(pairs):
        x, y = MARGIN + number % columns * step_x, top + number // columns * step_y
        small = [_thumbnail(image) for image in images]
        page.paste(small[0], (x, y))
        page.paste(small[1], (x + small[0].width + GAP, y))
        draw.text(
            (x, y + HEIGHT + 1),
            _shortened(_printable(caption), draw, font, cell),
            fill=INK,
            font=font,
        )
    with atomic_write(path, 'wb') as file:
        page.save(file, format='PNG')


def _thumbnail(image):
    scale = min(HEIGHT / image.height, WIDEST / image.width)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def _printable(text):
    return (
        CONTROL.sub('?', text).encode('utf-8', 'replace').decode()
    )  # names of files may hold anything


def _shortened(text, draw, font, width):
    """The end of a path says more than its beginning."""
    while draw.textlength(text, font) > width:
        text = '…' + text[2:]
    return text
