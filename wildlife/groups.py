"""Sets of things that are connected with each other."""

from collections.abc import Hashable, Iterable
from typing import TypeVar

Member = TypeVar('Member', int, str, tuple[str, ...])


def connected(pairs: Iterable[tuple[Member | None, Hashable]]) -> list[set[Member]]:
    """Connected sets of members.

    Args:
        pairs: (member, bond); members of the same bond are connected. A member that is None is
            skipped.

    Returns:
        The sets, in the order of their least members.
    """
    set_of: dict[Member, set[Member]] = {}
    first: dict[Hashable, Member] = {}
    for member, bond in pairs:
        if member is None:
            continue
        other = set_of.setdefault(member, {member})
        one = set_of[first.setdefault(bond, member)]
        if one is not other:
            small, large = sorted((one, other), key=len)
            large |= small
            set_of |= dict.fromkeys(small, large)
    return sorted(
        {id(members): members for members in set_of.values()}.values(),
        key=lambda members: min(members),
    )


def clusters(pairs: Iterable[tuple[Member, Member]]) -> list[list[Member]]:
    """Sorted groups of what the pairs connect, in the order of their first members."""
    bonds = [(member, number) for number, pair in enumerate(pairs) for member in pair]
    return [sorted(members) for members in connected(bonds)]
