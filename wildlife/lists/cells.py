"""Reads the cells of a wildlife table: sides, boxes, angles, splits, and words for unknown."""

import math
import re
from collections.abc import Iterable

from utils.errors import InputError

UNKNOWN = frozenset(
    {'', 'na', 'n/a', '<na>', 'nan', 'nat', 'none', 'null', 'unknown', 'unidentified'}
    | {'-', '?', '-1'}
)  # R writes NA
NUMBERED_SIDES = {
    '0': 'left',
    '0.0': 'left',
    '1': 'right',
    '1.0': 'right',
}  # as in the lists of this project
SPLITS = {
    'train': 'train',
    'training': 'train',
    'val': 'val',
    'valid': 'val',
    'validation': 'val',
    'test': 'test',
    'testing': 'test',
    'query': 'query',
    'probe': 'query',
    'gallery': 'gallery',
    'database': 'gallery',
}
BRACKETS = '[](){} '
SMALL_ANGLE = 1e-4  # radians: moves the corner of a box of 10,000 pixels by half a pixel
COMMA, THOUSANDS = re.compile(r'[-+]?\d+(,\d+)?'), re.compile(r'[-+]?[1-9]\d{0,2},\d{3}')


def simplified(name: str) -> str:
    """Return a column name in lower case, without spaces and punctuation.

    Example: 'Encounter.sightingID' -> 'encountersightingid'.
    """
    return re.sub(r'[\W_]', '', name.lower())


def known_text(text: str) -> str:
    """Return the text of a cell, or '' if it means unknown: NA, nan, unknown, -, ____ …"""
    return '' if text.lower() in UNKNOWN or not text.strip('_') else text


def read_split(text: str) -> str:
    """Return train, val, test, query or gallery, or the text of the cell if it is none of these."""
    return known_text(SPLITS.get(text.lower(), text))


def read_sides(texts: Iterable[str]) -> list[int | None]:
    """Read a column of sides; if it contains only 0 and 1, these mean left and right."""
    texts = [known_text(text) for text in texts]
    if all(text in NUMBERED_SIDES for text in texts if text):
        texts = [NUMBERED_SIDES.get(text, '') for text in texts]
    return [read_side(text) for text in texts]


def read_side(text: str) -> int | None:
    """Read a side: 0 = left, 1 = right, None = neither or both (front, back, unknown).

    A view from the front left counts as left.
    """
    words = text.lower()
    if words in ('l', 'r'):
        return int(words == 'r')
    left, right = 'left' in words, 'right' in words
    return None if left == right else int(right)


def read_box(
    text: str, corners: bool, where: str, decimal_commas: bool | None = None
) -> tuple[float, ...] | None:
    """Read a box as (x, y, width, height), in pixels or shares as written; None = no box.

    Args:
        text: The text of the cell. Numbers with decimal commas are separated by semicolons or
            spaces.
        corners: Whether the box is written as x1, y1, x2, y2.
        where: The file and row, for messages.
        decimal_commas: Whether boxes in this column have decimal commas; None = judge by this box.

    Raises:
        InputError: The text is not a box, or is ambiguous.
    """
    text = text.strip(BRACKETS)
    words = [word for word in re.split(r'[\s,;]+', text) if word]
    if not any(map(known_text, words)):
        return None
    parts = _with_commas(text)
    if parts:
        if decimal_commas is None:
            decimal_commas = has_decimal_commas([text])
        words = _with_points(parts, decimal_commas, text, where)
    elif len(words) > 4 and re.fullmatch(r'\d+(,\d+)*', text):
        raise InputError(
            f"{where}: the box '{text[:60]}' has {len(words)} numbers, or uses commas both as "
            'decimal marks and between numbers; separate the numbers with semicolons, or write '
            'decimal points'
        )
    x, y, width, height = _four_numbers(words, text, where)
    if corners:
        width, height = width - x, height - y
    return x, y, width, height


def _four_numbers(words: list[str], text: str, where: str) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise InputError(
            f"{where}: the box '{text[:60]}' is not four numbers x, y, width, height; correct it, "
            'or ignore all boxes with --column bbox='
        )
    return numbers


def _with_points(parts: list[str], decimal_commas: bool, text: str, where: str) -> list[str]:
    """Replace decimal commas by points; raise ``InputError`` if a comma may separate thousands."""
    if not decimal_commas:
        comma = next(part for part in parts if ',' in part)
        raise InputError(
            f"{where}: {comma} in the box '{text[:60]}' can mean {comma.replace(',', '')} or "
            f'{comma.replace(",", ".")}; write the one that is meant'
        )
    return [part.replace(',', '.') for part in parts]


def has_decimal_commas(texts: Iterable[str]) -> bool:
    """Return whether boxes contain numbers such as 10,5 or 0,125; 1,250 may also mean 1250."""
    parts = [part for text in texts for part in _with_commas(text.strip(BRACKETS))]
    return any(',' in part and not THOUSANDS.fullmatch(part) for part in parts)


def _with_commas(text: str) -> list[str]:
    """Split a box into four numbers, some with commas, at semicolons or spaces; else []."""
    parts = [part.strip(' ,') for part in (text.split(';') if ';' in text else text.split())]
    are_numbers = len(parts) == 4 and all(map(COMMA.fullmatch, parts))
    return parts if are_numbers and ',' in ''.join(parts) else []


def read_theta(text: str, where: str) -> float:
    """Read the angle by which a box is turned, as radians from -pi to pi; 0 if unknown.

    Raises:
        InputError: The text is not an angle in radians.
    """
    try:
        theta = float(text.replace(',', '.'))
    except ValueError:
        theta = math.nan
    if math.isnan(theta) and not known_text(text):
        return 0.0
    if not abs(theta) <= 2 * math.pi + SMALL_ANGLE:
        raise InputError(
            f"{where}: theta '{text[:60]}' is not an angle in radians (-6.28 to 6.28), by which "
            'boxes are turned about their centre; correct the column, or ignore it with --column '
            'theta='
        )
    theta = math.remainder(theta, 2 * math.pi)
    return theta if abs(theta) > SMALL_ANGLE else 0.0
