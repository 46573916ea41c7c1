"""Connected groups: members that share something, directly or through others."""

from collections.abc import Hashable, Iterable
from typing import TypeVar

Member = TypeVar('Member', int, str, tuple[str, ...])


def connected_groups(pairs: Iterable[tuple[Member | None, Hashable]]) -> list[set[Member]]:
    """Group the members that are connected, directly or through others.

    Args:
        pairs: (member, bond) pairs; members with the same bond are connected. Pairs whose member
            is None are skipped.

    Returns:
        The groups, ordered by their smallest members.
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
    """Group the members that the pairs connect; each group and the list of groups are sorted."""
    bonds = [(member, number) for number, pair in enumerate(pairs) for member in pair]
    return [sorted(members) for members in connected_groups(bonds)]
