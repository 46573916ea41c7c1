"""Helpers for the wording of messages and for names."""

import re
import unicodedata


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: '1 photo', '2 days', '3 queries', '4 batches'."""
    if count == 1:
        return f'{count} {noun}'
    if noun.endswith('y') and noun[-2] not in 'aeiou':
        return f'{count} {noun[:-1]}ies'
    return f'{count} {noun}es' if noun.endswith(('ch', 'x')) else f'{count} {noun}s'


def is_plain(text: str) -> bool:
    """Return whether a list can hold a text: valid UTF-8 without control characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return not any(ord(sign) < 32 for sign in text)


def folded(name: str) -> str:
    """Normalise a name, so that spellings which may mean the same individual become equal.

    Examples: 'Zoé' and 'zoé' in another encoding, 'a_1' and 'A 1', '1.0' and '01'.
    """
    name = re.sub(r'[\s_]+', ' ', unicodedata.normalize('NFKC', name)).strip().casefold()
    number = re.fullmatch(r'0*(\d+?)(\.0+)?', name)
    return number[1] if number else name


def number_text(value: float | None) -> str:
    """Return '0.123'; '–' for None."""
    return '–' if value is None else f'{value:.3f}'
