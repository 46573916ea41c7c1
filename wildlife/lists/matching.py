"""Finds photos whose paths in a table differ from those on the disk."""

import os
import posixpath
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from datasets.images import photo_extensions
from wildlife.lists.folders import photos_below
from wildlife.words import counted, is_plain

ABSOLUTE = re.compile(r'[A-Za-z]:/|/')
WEB = re.compile(r'[A-Za-z][\w+.-]+://')
SAMPLE = 200  # number of paths that are looked up to find out which folder is meant


@dataclass
class Matches:
    """The files that were found for the paths of a table.

    Attributes:
        found: Path in the table -> path of the only file that fits.
        note: Text about the rules that were used; '' = no file was found.
        reasons: Text about photos that were not found: why, and what to do.
    """

    found: dict[str, str] = field(default_factory=dict)
    note: str = ''
    reasons: str = ''


class Move(NamedTuple):
    """Where a path of the table may be on the disk.

    Attributes:
        path: The path in the table.
        old: The beginning of the path that is replaced.
        new: The folder that replaces it.
        anywhere: Whether the file may be in any folder.
    """

    path: str
    old: str
    new: str
    anywhere: bool


def match_paths(paths: Collection[str], root: str | os.PathLike[str], may_move: bool) -> Matches:
    """Find files for the paths of a table that do not exist as written.

    A file fits if its path differs only in the Unicode form of accents, in case, or in the photo's
    extension, which the table may also lack. If several files fit, none is taken. Folders must be
    those of the table, except for a beginning that all paths share: absolute paths may come from
    another computer, and relative paths may begin elsewhere with ``may_move``. In these cases names
    without a folder may be anywhere.

    Args:
        paths: Distinct paths, with '/'.
        root: The folder of the photos; only this folder and its subfolders are searched.
        may_move: Whether relative paths may begin in another folder. It should be False if other
            paths of the table exist as written.
    """
    missing, below = set(paths), photos_below(root)[0]
    # A broken link also counts as missing.
    photos = [path for path in below if is_plain(path) and path not in missing]
    files, names = _Files(photos), _Files(photos, names_only=True)
    endings = {'', *photo_extensions()}
    found: dict[str, str] = {}
    rules = defaultdict(list)  # difference -> paths
    unmatched = defaultdict(list)  # reason -> (path, files that might be meant)
    for move in _plan(paths, names, may_move):
        path = move.path
        differs, fitting = _find(move, files, names)
        if len(fitting) == 1:
            found[path] = fitting[0]
            rules[differs].append(path)
        elif os.path.splitext(path)[1].lower() in endings:  # otherwise it is not a photo
            namesakes = names.find(posixpath.basename(path))[1]
            is_link = os.path.islink(os.path.join(root, path))
            reason = 'link' if is_link else _reason(path, fitting, namesakes)
            unmatched[reason].append((path, fitting or namesakes))
    strange = [path for path in below if not is_plain(path)]
    return Matches(found, _note(found, rules), _reasons(unmatched, strange))


def _find(move: Move, files: '_Files', names: '_Files') -> tuple[str, list[str]]:
    """Return (how the path differs from the disk, files that fit)."""
    rest = posixpath.normpath(move.path)[len(move.old) :].lstrip('/')
    rule, fitting = files.find(posixpath.join(move.new, rest))
    folder = ''
    if move.old != move.new:
        folder = f"in the folder ('{move.old or '.'}' is '{move.new or '.'}' here)"
    if move.anywhere and not fitting:
        rule, fitting = names.find(posixpath.basename(move.path))
        folder = 'in the folder (the table names none)'
    return ' and '.join(filter(None, (folder, rule))), fitting


def _note(found: Mapping[str, str], rules: Mapping[str, list[str]]) -> str:
    """Describe the matched paths.

    Args:
        rules: Difference -> paths.
    """
    if not found:
        return ''
    ways = [
        f"{len(some)} {rule}, for example '{some[0]}' for '{found[some[0]]}'"
        for rule, some in rules.items()
    ]
    return (
        f'path: {counted(len(found), "photo")} of the table found under another name on the disk '
        f'(each fits only one file); the names differ: {"; ".join(ways)}'
    )


def _reasons(unmatched: Mapping[str, list[tuple[str, list[str]]]], strange: list[str]) -> str:
    """Explain why photos were not found.

    Args:
        unmatched: Reason -> (path, files that might be meant).
        strange: Files whose names are not valid text, so no table can contain them.
    """
    reasons = []
    for reason, some in unmatched.items():
        path, files = some[0]
        shown = ' and '.join(map(repr, files[:2]))
        reasons.append(REASONS[reason].format(count=len(some), path=path, files=shown))
    if reasons and strange:
        reasons.append(
            f'{counted(len(strange), "photo")} in the folder with a name that is not UTF-8 text, '
            f'for example {ascii(strange[0])}: rename these files'
        )
    return '; '.join(reasons)


def _composed(path: str) -> str:
    return unicodedata.normalize('NFC', path)


def _folded(path: str) -> str:
    return _composed(path).casefold()


def _without_ending(path: str) -> str:
    return os.path.splitext(_folded(path))[0]  # of a photo


def _without_photo_ending(path: str) -> str:
    is_photo = os.path.splitext(_folded(path))[1] in photo_extensions()
    return _without_ending(path) if is_photo else path


Spelling = Callable[[str], str]

SPELLINGS: dict[str, tuple[Spelling, Spelling]] = {  # rule: (of the file, of the table)
    '': (str, str),
    'in the Unicode form of accents': (_composed, _composed),
    'in upper and lower case': (_folded, _folded),
    'in the extension, which the table lacks': (_without_ending, _folded),
    'in the extension': (_without_ending, _without_photo_ending),
}


class _Files:
    """Index of files by the spellings of their paths or, with ``names_only``, of their names."""

    def __init__(self, paths: Iterable[str], names_only: bool = False) -> None:
        self.spelled: dict[str, dict[str, list[str]]] = {
            rule: defaultdict(list) for rule in SPELLINGS
        }
        for path in paths:
            name = posixpath.basename(path) if names_only else path
            for rule, (spelling, _) in SPELLINGS.items():
                self.spelled[rule][spelling(name)].append(path)

    def find(self, path: str) -> tuple[str, list[str]]:
        """Return (rule, files) for the first rule by which a file fits, else ('', [])."""
        for rule, (_, spelling) in SPELLINGS.items():
            fitting = self.spelled[rule].get(spelling(path))
            if fitting:
                return rule, fitting
        return '', []


def _plan(paths: Iterable[str], names: _Files, may_move: bool) -> Iterator[Move]:
    """Find out where each path may be."""
    absolute = [path for path in paths if ABSOLUTE.match(path)]
    relative = [path for path in paths if not ABSOLUTE.match(path)]
    for group, moves in ((absolute, True), (relative, may_move)):
        anywhere = moves and not any('/' in path for path in group)
        old, new = _moved_folder(group, names) if moves and not anywhere else ('', '')
        for path in group:
            yield Move(path, old, new, anywhere)


def _moved_folder(paths: Iterable[str], names: _Files) -> tuple[str, str]:
    """Return (old, new): the beginning that all paths share, and the folder that replaces it.

    It is ('', '') if the folder is not clear, or if fewer than half of the paths then have a file.
    """
    paths = [posixpath.normpath(path) for path in paths]
    common = os.path.commonprefix([path.split('/')[:-1] for path in paths])
    some = paths[:: max(1, len(paths) // SAMPLE)]
    votes: Counter[tuple[int, str]] = Counter()
    for path in some:
        votes.update(_moves(path, len(common), names))
    most = max(votes.values(), default=0)
    best = sorted(
        (move for move in votes if votes[move] == most), key=lambda move: (move[0], move[1] != '')
    )
    is_clear = len(best) == 1 or (len(best) > 1 and (best[0][0] < best[1][0] or not best[0][1]))
    if not is_clear or 2 * most < len(some):
        return '', ''
    return '/'.join(common[: best[0][0]]), best[0][1]


def _moves(path: str, most: int, names: _Files) -> set[tuple[int, str]]:
    """Return {(number of leading folders that are replaced, the folder that replaces them)}.

    Args:
        most: The largest such number.
    """
    *folders, name = path.split('/')
    moves = set()
    for file in names.find(name)[1]:
        above = file.split('/')[:-1]
        same = _equal_at_end(above, folders)
        if len(folders) - same <= most:
            moves.add((len(folders) - same, '/'.join(above[: len(above) - same])))
    return moves


def _equal_at_end(one: list[str], other: list[str]) -> int:
    """Count how many folders are equal, from the last one backwards."""
    same = 0
    for left, right in zip(reversed(one), reversed(other)):
        if _folded(left) != _folded(right):
            break
        same += 1
    return same


def _reason(path: str, fitting: list[str], namesakes: list[str]) -> str:
    if WEB.match(path):
        return 'web'
    if len(fitting) > 1:
        return 'several'
    if namesakes:
        return 'elsewhere'
    return 'absolute' if ABSOLUTE.match(path) else 'nowhere'


REASONS = {
    'link': (
        "{count} x a link to a missing file, for example '{path}': restore the file, or delete the "
        'link'
    ),
    'web': '{count} x a web address: download the photos',
    'several': "{count} x several files fit, for example {files} for '{path}': write full paths",
    'elsewhere': (
        "{count} x a file of this name in another folder, for example {files} for '{path}': "
        'correct the paths, or name the folder that they are relative to with --photos'
    ),
    'absolute': (
        '{count} x an absolute path from another computer, and no file of this name here: name '
        "the photos' folder with --photos"
    ),
    'nowhere': (
        '{count} x no file of this name: correct the paths, or name another folder with --photos'
    ),
}
