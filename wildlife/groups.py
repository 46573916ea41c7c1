"""What hangs together."""


def tied(pairs):
    """Sets of what hangs together.

    pairs: (member, bond); members of one bond are tied, None is no member. Returns sets, in the
    order of their least members.
    """
    sets, first = {}, {}
    for member, bond in pairs:
        if member is None:
            continue
        other = sets.setdefault(member, {member})
        one = sets[first.setdefault(bond, member)]
        if one is not other:
            small, large = sorted((one, other), key=len)
            large |= small
            sets |= dict.fromkeys(small, large)
    return sorted({id(members): members for members in sets.values()}.values(), key=min)


def clusters(pairs):
    """Groups of what pairs connect: list of sorted lists, in the order of their first members."""
    return [sorted(members) for members in tied((member, i) for i, j in pairs for member in (i, j))]
