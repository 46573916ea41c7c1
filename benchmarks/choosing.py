"""The option --only: select the rows or parts that a command runs."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from utils.errors import InputError


class Named(Protocol):
    """Anything with a name, such as a row or a part."""

    @property
    def name(self) -> str:
        """Name that --only searches."""


Choice = TypeVar('Choice', bound=Named)


def choose(choices: Sequence[Choice], words: Sequence[str], kind: str) -> list[Choice]:
    """Return the choices whose names contain one of ``words``; all of them if there are no words.

    Args:
        choices: Choices in the order of the table.
        words: Words given with --only.
        kind: Kind of the choices for the error message, 'row' or 'part'.

    Raises:
        InputError: If no name contains one of the words.
    """
    if not words:
        return list(choices)
    chosen: set[str] = set()
    for word in words:
        found = [choice.name for choice in choices if word in choice.name]
        if not found:
            names = ', '.join(choice.name for choice in choices)
            raise InputError(f'--only {word}: no {kind} has such a name; choose from {names}')
        chosen.update(found)
    return [choice for choice in choices if choice.name in chosen]
