"""Shortens lists and texts in messages."""

from collections.abc import Sequence


def first_few(words: Sequence[str], most: int = 3) -> str:
    """Return 'a, b, c …': the first ``most`` words, and an ellipsis if there are more."""
    return ', '.join(words[:most]) + (' …' if len(words) > most else '')


def shortened(text: str, most: int = 100) -> str:
    """Return ``text``, or its first ``most`` characters and an ellipsis."""
    return text if len(text) <= most else f'{text[:most]}…'
