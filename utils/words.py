"""Words in messages: short lists, short texts, texts of one line, the nearest name."""

import difflib
from collections.abc import Iterable, Sequence


def first_few(words: Sequence[str], most: int = 3) -> str:
    """Return 'a, b, c …': the first ``most`` words, and an ellipsis if there are more."""
    return ', '.join(words[:most]) + (' …' if len(words) > most else '')


def shortened(text: str, most: int = 100) -> str:
    """Return ``text``, or its first ``most`` characters and an ellipsis."""
    return text if len(text) <= most else f'{text[:most]}…'


def one_line(text: str) -> str:
    """Return ``text`` with a space for each line break and run of spaces."""
    return ' '.join(text.split())


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return '; did you mean NAME?' with the nearest of ``known``, whatever the case; else ''."""
    names = {name.lower(): name for name in known}
    close = difflib.get_close_matches(shortened(word).lower(), names, 1)
    return f'; did you mean {names[close[0]]}?' if close else ''
