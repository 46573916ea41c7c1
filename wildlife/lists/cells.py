"""What the cells of a wildlife table say: sides, boxes, angles, splits, and words for unknown."""

import math
import re
from collections.abc import Iterable

from utils.errors import InputError

UNKNOWN = frozenset(
    {'', 'na', 'n/a', '<na>', 'nan', 'nat', 'none', 'null', 'unknown', 'unidentified'}
    | {'-', '?', '-1'}
)  # R's NA too
NUMBERED_SIDES = {'0': 'left', '0.0': 'left', '1': 'right', '1.0': 'right'}  # as in the lists
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


def simple(name: str) -> str:
    """A column's name without case, blanks and punctuation.

    'Encounter.sightingID' -> 'encountersightingid'.
    """
    return re.sub(r'[\W_]', '', name.lower())


def known(text: str) -> str:
    """What a cell says, '' where that is a word for nothing: NA, nan, unknown, -, ____ …"""
    return '' if text.lower() in UNKNOWN or not text.strip('_') else text


def read_split(text: str) -> str:
    """One of five names of splits, or what the cell says where that is none."""
    return known(SPLITS.get(text.lower(), text))


def read_sides(texts: Iterable[str]) -> list[int | None]:
    """``read_side`` of a column; where it holds only 0 and 1 these are left and right."""
    texts = [known(text) for text in texts]
    if all(text in NUMBERED_SIDES for text in texts if text):
        texts = [NUMBERED_SIDES.get(text, '') for text in texts]
    return [read_side(text) for text in texts]


def read_side(text: str) -> int | None:
    """0 = left, 1 = right, None = neither or both: front, back, unknown.

    A view of the left front counts as left.
    """
    words = text.lower()
    if words in ('l', 'r'):
        return int(words == 'r')
    left, right = 'left' in words, 'right' in words
    return None if left == right else int(right)


def read_box(
    text: str, corners: bool, where: str, decimal_commas: bool | None = None
) -> tuple[float, ...] | None:
    """Read a box as (x, y, width, height), in pixels or shares as written; None = there is none.

    Args:
        text: of the cell. Between numbers with decimal commas there are semicolons or blanks.
        corners: whether it is written as x1, y1, x2, y2.
        where: file and row, for messages.
        decimal_commas: whether boxes of its column have decimal commas, None = this box tells.

    Raises:
        InputError: where the text is no box, or can be read in two ways.
    """
    text = text.strip(BRACKETS)
    words = [word for word in re.split(r'[\s,;]+', text) if word]
    if not any(map(known, words)):
        return None
    parts = _with_commas(text)
    if parts:
        if decimal_commas is None:
            decimal_commas = has_decimal_commas([text])
        words = _with_points(parts, decimal_commas, text, where)
    elif len(words) > 4 and re.fullmatch(r'\d+(,\d+)*', text):
        raise InputError(
            f"{where}: the box '{text[:60]}' has {len(words)} numbers, or decimal commas and "
            'commas between its numbers; write a semicolon between them, or decimals with points'
        )
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise InputError(
            f"{where}: the box '{text[:60]}' is not four numbers x, y, width, height; correct it "
            '(--column bbox= ignores all boxes)'
        )
    x, y, width, height = numbers
    if corners:
        width, height = width - x, height - y
    return x, y, width, height


def _with_points(parts: list[str], decimal_commas: bool, text: str, where: str) -> list[str]:
    """Numbers with points; ``InputError`` where a comma may be one of thousands."""
    if not decimal_commas:
        comma = next(part for part in parts if ',' in part)
        raise InputError(
            f"{where}: is {comma} in the box '{text[:60]}' {comma.replace(',', '')} or "
            f'{comma.replace(",", ".")}? write it in one of these ways'
        )
    return [part.replace(',', '.') for part in parts]


def has_decimal_commas(texts: Iterable[str]) -> bool:
    """Whether a column of boxes has numbers as 10,5 or 0,125; 1,250 alone may be a thousand."""
    parts = [part for text in texts for part in _with_commas(text.strip(BRACKETS))]
    return any(',' in part and not THOUSANDS.fullmatch(part) for part in parts)


def _with_commas(text: str) -> list[str]:
    """The four numbers of a box, some with commas, apart by semicolons or blanks; else []."""
    parts = [part.strip(' ,') for part in (text.split(';') if ';' in text else text.split())]
    are_numbers = len(parts) == 4 and all(map(COMMA.fullmatch, parts))
    return parts if are_numbers and ',' in ''.join(parts) else []


def read_theta(text: str, where: str) -> float:
    """Read the angle in radians, within half a turn, by which a box is turned; 0 where unknown.

    Raises:
        InputError: where it is no angle in radians.
    """
    try:
        theta = float(text.replace(',', '.'))
    except ValueError:
        theta = math.nan
    if math.isnan(theta) and not known(text):
        return 0.0
    if not abs(theta) <= 2 * math.pi + SMALL_ANGLE:
        raise InputError(
            f"{where}: theta '{text[:60]}' is no angle in radians (-6.28 to 6.28), by which boxes "
            'are turned about their centre; correct the column, or --column theta= ignores it'
        )
    theta = math.remainder(theta, 2 * math.pi)
    return theta if abs(theta) > SMALL_ANGLE else 0.0
