"""Which folder of a photo's path is the individual."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from utils.errors import InputError
from utils.words import first_few
from wildlife.lists.cells import SPLITS, known, simple
from wildlife.words import counted

DATE = re.compile(
    r'(19|20)\d\d([-_. ]?(0[1-9]|1[0-2])([-_. ]?[0-3]\d)?)?|\d{1,2}[-_. ]\d{1,2}[-_. ](19|20)?\d\d'
)
# On a camera's card: 100RECNX, 101_PANA.
CAMERA = re.compile(r'DCIM|[1-9]\d\d(?=\d*[A-Z_])\w{5}', re.IGNORECASE | re.ASCII)
VIEWS = {
    *('left', 'leftside', 'leftflank', 'l'),
    *('right', 'rightside', 'rightflank', 'r'),
    *('front', 'back', 'rear', 'top'),
}
BY_PATTERN = "or say where in the path the individual is: --name-pattern '(?P<identity>[^/_]+)_'"


def folder_place(path: str, level: int) -> int | None:
    """Position of the individual's folder in a path, None where there is none.

    Args:
        path: with '/'.
        level: 1 = the first folder, -1 = the last.
    """
    depth = path.count('/')
    place = level - 1 if level > 0 else depth + level
    return place if 0 <= place < depth else None


def check_folders(root: Path, paths: list[str], level: int | None) -> list[str]:
    """Check that the folders at a level look like individuals.

    Args:
        root: folder of the photos, for messages.
        paths: of the photos below it, with '/'.
        level: as the user gave it, then strange names are only noted; None = -1.

    Returns:
        Notes.

    Raises:
        InputError: where no folder is an individual or, with ``level`` None, where they do not
            look so.
    """
    names = [name for name in _names(paths, level or -1) if known(name)]
    if paths and not names:
        raise InputError(
            f'{root}: {len(paths)} photos, but none in a folder of an individual (--identity-level '
            f'{level or -1}); give each individual a folder, {BY_PATTERN}'
        )
    kinds = {name: _kind(name) for name in names if _kind(name)}
    notes = [] if level else _check_default_level(root, paths, names, kinds)
    are_numbers = all(name.isdecimal() for name in names)  # among them 2020 is no year
    if kinds and not are_numbers:
        notes.append(
            f'{len(kinds)} of {counted(len(names), "individual")} are named like '
            f'{_kind_names(kinds)} ({first_few(list(kinds))}); if they are not individuals, move '
            'their photos'
        )
    return notes


def _kind_names(kinds: Mapping[str, str]) -> str:
    return ' and '.join(sorted(set(kinds.values())))


def _check_default_level(
    root: Path, paths: list[str], names: list[str], kinds: Mapping[str, str]
) -> list[str]:
    """Check that the folder right above a photo looks like the individual; return notes.

    kinds: of names that do not look like an individual's.
    """
    if 2 * len(kinds) > len(names):
        raise InputError(
            f'{root}: the folders that would be individuals are {_kind_names(kinds)} '
            f'({first_few(list(kinds))}); {_ways(paths)}; --identity-level -1 takes them anyway'
        )
    _check_recurring(root, paths, names)
    _check_depths(root, paths)
    above = [way for level, way in _levels(paths).items() if level != -1]
    if not above:
        return []
    return [f'the folder right above a photo is the individual; {", ".join(above)}']


def _names(paths: Iterable[str], level: int) -> list[str]:
    """Sorted names of the folders at a level."""
    places = [(path, folder_place(path, level)) for path in paths]
    return sorted({path.split('/')[place] for path, place in places if place is not None})


def _check_recurring(root: Path, paths: Iterable[str], names: list[str]) -> None:
    """Most names below several folders: cameras or parts of the body below individuals?"""
    parents = defaultdict(set)
    for path in paths:
        *above, name = path.split('/')[:-1] or ['']
        parents[name].add('/'.join(folder for folder in above if not _kind(folder)))
    several = [name for name in names if len(parents[name]) > 1]
    if 2 * len(several) > len(names):
        raise InputError(
            f'{root}: {len(several)} of {len(names)} names of folders that would be individuals '
            f"occur in several places, as '{several[0]}' below "
            f'{first_few(sorted(parents[several[0]]))}; {_ways(paths)}'
        )


def _check_depths(root: Path, paths: Iterable[str]) -> None:
    """A folder that is an individual in one place holds such folders in another?"""
    first: dict[int, str] = {}
    for path in paths:
        first.setdefault(path.count('/'), path)
    first.pop(0, None)  # photos outside all folders are nobody's
    if len(first) > 1:
        raise InputError(
            f"{root}: photos at different depths, as '{first[min(first)]}' and "
            f"'{first[max(first)]}': which folder is the individual? {_ways(paths)}"
        )


def _ways(paths: Iterable[str]) -> str:
    """What to do where that is not clear: what each level that may be meant gives."""
    ways = _levels(paths).values()
    if not ways:
        return f'give each individual a folder, or name them in a table, {BY_PATTERN}'
    return f'{", ".join(ways)}, {BY_PATTERN}'


def _levels(paths: Iterable[str]) -> dict[int, str]:
    """{level: what it gives} of those that may be meant; of levels with the same names the last."""
    shallowest = min((path.count('/') for path in paths if '/' in path), default=0)
    ways = {}  # names: level, what it gives
    for level in (*range(1, shallowest + 1), -1):
        names = _names(paths, level)
        strange = [name for name in names if _kind(name)]
        if len(names) > 1 and 2 * len(strange) <= len(names):
            way = f'--identity-level {level} gives {len(names)} individuals ({first_few(names)})'
            ways[tuple(names)] = level, way
    return dict(ways.values())


def _kind(name: str) -> str:
    """What a folder is that is no individual: 'years', 'dates', 'sides' …; else ''."""
    if DATE.fullmatch(name):
        return 'years' if len(name) == 4 else 'dates'
    if CAMERA.fullmatch(name):
        return 'folders of a camera'
    if name.lower() in SPLITS:
        return 'splits'
    return 'sides' if simple(name) in VIEWS else ''
