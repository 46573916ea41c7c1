"""Which folder of a photo's path is the individual. For tools/make_lists.py."""

import re
from collections import defaultdict

from utils.errors import InputError
from wildlife.lists.columns import SPLITS, known, simple
from wildlife.words import counted

DATE = re.compile(
    r'(19|20)\d\d([-_. ]?(0[1-9]|1[0-2])([-_. ]?[0-3]\d)?)?|\d{1,2}[-_. ]\d{1,2}[-_. ](19|20)?\d\d'
)
CAMERA = re.compile(
    r'DCIM|[1-9]\d\d(?=\d*[A-Z_])\w{5}', re.IGNORECASE | re.ASCII
)  # on a card: 100RECNX, 101_PANA
VIEWS = {
    'left',
    'right',
    'l',
    'r',
    'leftside',
    'rightside',
    'leftflank',
    'rightflank',
    'front',
    'back',
    'rear',
    'top',
}
BY_PATTERN = "or say where in the path the individual is: --name-pattern '(?P<identity>[^/_]+)_'"


def folder_place(path: str, level: int) -> int | None:
    """Position of the individual's folder in a path: level 1 = the first folder, -1 = the last;
    None where there is none.
    """
    depth = path.count('/')
    place = level - 1 if level > 0 else depth + level
    return place if 0 <= place < depth else None


def check_folders(root, paths: list, level: int | None) -> list:
    """See that the folders at a level look like individuals. What the user asked for is only noted.

    Args:
        root: folder of the photos, for messages.
        paths: of the photos below it, with '/'.
        level: as the user gave it; None = -1, unless the folders look otherwise.

    Returns:
        Notes. Raises ``InputError`` where no folder is an individual or, with ``level`` None, where
        they do not look so.
    """
    names = [name for name in _names(paths, level or -1) if known(name)]
    if paths and not names:
        raise InputError(
            f'{root}: {len(paths)} photos, but none in a folder of an individual (--identity-level '
            f'{level or -1}); give each individual a folder, {BY_PATTERN}'
        )
    kinds, notes = {name: kind for name in names if (kind := _kind(name))}, []
    what = ' and '.join(sorted(set(kinds.values())))
    if level is None:
        if 2 * len(kinds) > len(names):
            raise InputError(
                f'{root}: the folders that would be individuals are {what} '
                f'({_first(list(kinds))}); '
                f'{_ways(paths)}; --identity-level -1 takes them anyway'
            )
        _check_recurring(root, paths, names)
        _check_depths(root, paths)
        if above := [way for level, way in _levels(paths).items() if level != -1]:
            notes = [f'the folder right above a photo is the individual; {", ".join(above)}']
    if kinds and not all(
        name.isdecimal() for name in names
    ):  # among numbered individuals 2020 is no year
        notes.append(
            f'{len(kinds)} of {counted(len(names), "individual")} are named like {what} '
            f'({_first(list(kinds))}); if '
            'they are not individuals, move their photos'
        )
    return notes


def _names(paths, level):
    """Sorted names of the folders at a level."""
    places = ((path, folder_place(path, level)) for path in paths)
    return sorted({path.split('/')[place] for path, place in places if place is not None})


def _check_recurring(root, paths, names):
    """Most names below several folders: cameras or parts of the body below individuals?"""
    parents = defaultdict(set)
    for path in paths:
        *above, name = path.split('/')[:-1] or ['']
        parents[name].add('/'.join(folder for folder in above if not _kind(folder)))
    several = [name for name in names if len(parents[name]) > 1]
    if 2 * len(several) > len(names):
        raise InputError(
            f'{root}: {len(several)} of {len(names)} names of folders that would be individuals '
            'occur in several '
            f"places, as '{several[0]}' below {_first(sorted(parents[several[0]]))}; {_ways(paths)}"
        )


def _check_depths(root, paths):
    """A folder that is an individual in one place holds such folders in another?"""
    first = {}
    for path in paths:
        first.setdefault(path.count('/'), path)
    first.pop(0, None)  # photos outside all folders are nobody's
    if len(first) > 1:
        raise InputError(
            f"{root}: photos at different depths, as '{first[min(first)]}' and "
            f"'{first[max(first)]}': which "
            f'folder is the individual? {_ways(paths)}'
        )


def _ways(paths):
    """What to do where that is not clear: what each level gives that may be meant, and the
    pattern.
    """
    ways = _levels(paths).values()
    if not ways:
        return f'give each individual a folder, or name them in a table, {BY_PATTERN}'
    return f'{", ".join(ways)}, {BY_PATTERN}'


def _levels(paths):
    """{level: what it gives} of those that may be meant; of levels that give the same names the
    last one.
    """
    shallowest = min((path.count('/') for path in paths if '/' in path), default=0)
    ways = {}  # names: level, what it gives
    for level in (*range(1, shallowest + 1), -1):
        names = _names(paths, level)
        if len(names) > 1 and 2 * sum(1 for name in names if _kind(name)) <= len(names):
            ways[tuple(names)] = (
                level,
                f'--identity-level {level} gives {len(names)} individuals ({_first(names)})',
            )
    return dict(ways.values())


def _kind(name):
    """What a folder is that is no individual, 'years', 'dates', 'folders of a camera', 'splits' or
    'sides'; else ''.
    """
    if DATE.fullmatch(name):
        return 'years' if len(name) == 4 else 'dates'
    if CAMERA.fullmatch(name):
        return 'folders of a camera'
    return 'splits' if name.lower() in SPLITS else 'sides' if simple(name) in VIEWS else ''


def _first(names):
    return ', '.join(names[:3]) + (' …' if names[3:] else '')
