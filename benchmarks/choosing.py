"""--only: which rows or parts a command runs."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from utils.errors import InputError


class Named(Protocol):
    """A row or a part."""

    @property
    def name(self) -> str:
        """What --only looks for."""


Choice = TypeVar('Choice', bound=Named)


def choose(choices: Sequence[Choice], words: Sequence[str], kind: str) -> list[Choice]:
    """The choices whose name contains one of ``words``; all without words.

    Args:
        choices: in the order of the table.
        words: after --only.
        kind: what a choice is, for the error: 'row' or 'part'.

    Raises:
        InputError: for a word that is in no name.
    """
    if not words:
        return list(choices)
    chosen: set[str] = set()
    for word in words:
        found = [choice.name for choice in choices if word in choice.name]
        if not found:
            names = ', '.join(choice.name for choice in choices)
            raise InputError(f'--only {word}: no {kind} has this in its name; choose from {names}')
        chosen.update(found)
    return [choice for choice in choices if choice.name in chosen]
