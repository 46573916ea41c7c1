"""Finds out which folder in a photo's path names the individual."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from utils.errors import InputError
from utils.words import first_few
from wildlife.lists.cells import SPLITS, known_text, simplified
from wildlife.words import counted

DATE = re.compile(
    r'(19|20)\d\d([-_. ]?(0[1-9]|1[0-2])([-_. ]?[0-3]\d)?)?|\d{1,2}[-_. ]\d{1,2}[-_. ](19|20)?\d\d'
)
# Folders on a camera's memory card: 100RECNX, 101_PANA.
CAMERA = re.compile(r'DCIM|[1-9]\d\d(?=\d*[A-Z_])\w{5}', re.IGNORECASE | re.ASCII)
VIEWS = {
    *('left', 'leftside', 'leftflank', 'l'),
    *('right', 'rightside', 'rightflank', 'r'),
    *('front', 'back', 'rear', 'top'),
}
BY_PATTERN = "or read the individual from the path: --name-pattern '(?P<identity>[^/_]+)_'"


def folder_index(path: str, level: int) -> int | None:
    """Return the index of the individual's folder in a path; None if there is no such folder.

    Args:
        path: A path with '/'.
        level: 1 = the first folder, -1 = the last.
    """
    depth = path.count('/')
    index = level - 1 if level > 0 else depth + level
    return index if 0 <= index < depth else None


def check_folders(root: Path, paths: list[str], level: int | None) -> list[str]:
    """Check that the folders at a level look like individuals.

    Args:
        root: The folder of the photos, for messages.
        paths: The paths of the photos, relative to ``root``, with '/'.
        level: The level given by the user: unusual names are then only noted. None = -1.

    Returns:
        Notes for the report.

    Raises:
        InputError: There are no such folders, or ``level`` is None and they do not look like
            individuals.
    """
    names = [name for name in _names(paths, level or -1) if known_text(name)]
    if paths and not names:
        raise InputError(
            f'{root}: {len(paths)} photos, but none is in the folder of an individual '
            f'(--identity-level {level or -1}); make one folder per individual, {BY_PATTERN}'
        )
    kinds = {name: _kind(name) for name in names if _kind(name)}
    notes = [] if level else _check_default_level(root, paths, names, kinds)
    are_numbers = all(name.isdecimal() for name in names)  # then 2020 is a number, not a year
    if kinds and not are_numbers:
        notes.append(
            f'{len(kinds)} of {counted(len(names), "individual")} have names that look like '
            f'{_kind_names(kinds)} ({first_few(list(kinds))}); if they are not individuals, move '
            'their photos'
        )
    return notes


def _kind_names(kinds: Mapping[str, str]) -> str:
    return ' and '.join(sorted(set(kinds.values())))


def _check_default_level(
    root: Path, paths: list[str], names: list[str], kinds: Mapping[str, str]
) -> list[str]:
    """Check that the folder that directly contains a photo looks like an individual; return notes.

    Args:
        kinds: Name that does not look like an individual -> what it looks like.
    """
    if 2 * len(kinds) > len(names):
        raise InputError(
            f'{root}: the folders expected to be individuals look like {_kind_names(kinds)} '
            f'({first_few(list(kinds))}); {_suggestions(paths)}; --identity-level -1 uses them '
            'anyway'
        )
    _check_recurring(root, paths, names)
    _check_depths(root, paths)
    others = [way for level, way in _levels(paths).items() if level != -1]
    if not others:
        return []
    return [f'the folder that contains a photo names its individual; {", ".join(others)}']


def _names(paths: Iterable[str], level: int) -> list[str]:
    """Return the sorted names of the folders at a level."""
    indices = [(path, folder_index(path, level)) for path in paths]
    return sorted({path.split('/')[index] for path, index in indices if index is not None})


def _check_recurring(root: Path, paths: Iterable[str], names: list[str]) -> None:
    """Raise ``InputError`` if most names occur in several folders, like cameras or body parts."""
    parents = defaultdict(set)
    for path in paths:
        *above, name = path.split('/')[:-1] or ['']
        parents[name].add('/'.join(folder for folder in above if not _kind(folder)))
    several = [name for name in names if len(parents[name]) > 1]
    if 2 * len(several) > len(names):
        raise InputError(
            f'{root}: {len(several)} of the {len(names)} folder names expected to be individuals '
            f"occur in several places, for example '{several[0]}' in "
            f'{first_few(sorted(parents[several[0]]))}; {_suggestions(paths)}'
        )


def _check_depths(root: Path, paths: Iterable[str]) -> None:
    """Raise ``InputError`` if photos are at different depths, so that levels mix."""
    first: dict[int, str] = {}
    for path in paths:
        first.setdefault(path.count('/'), path)
    first.pop(0, None)  # photos outside all folders belong to no individual
    if len(first) > 1:
        raise InputError(
            f"{root}: photos are at different depths, for example '{first[min(first)]}' and "
            f"'{first[max(first)]}', so the individual's folder is not clear; {_suggestions(paths)}"
        )


def _suggestions(paths: Iterable[str]) -> str:
    """Say what to do if the level is not clear, with the result of each possible level."""
    ways = _levels(paths).values()
    if not ways:
        return f'make one folder per individual, or list the photos in a table, {BY_PATTERN}'
    return f'{", ".join(ways)}, {BY_PATTERN}'


def _levels(paths: Iterable[str]) -> dict[int, str]:
    """Return {level: its result} for possible levels; only the last of those with equal names."""
    shallowest = min((path.count('/') for path in paths if '/' in path), default=0)
    ways = {}  # names -> (level, its result)
    for level in (*range(1, shallowest + 1), -1):
        names = _names(paths, level)
        strange = [name for name in names if _kind(name)]
        if len(names) > 1 and 2 * len(strange) <= len(names):
            way = f'--identity-level {level} gives {len(names)} individuals ({first_few(names)})'
            ways[tuple(names)] = level, way
    return dict(ways.values())


def _kind(name: str) -> str:
    """Return what a folder name looks like, if not an individual: 'years', 'dates' …; else ''."""
    if DATE.fullmatch(name):
        return 'years' if len(name) == 4 else 'dates'
    if CAMERA.fullmatch(name):
        return 'folders of a camera'
    if name.lower() in SPLITS:
        return 'splits'
    return 'sides' if simplified(name) in VIEWS else ''
