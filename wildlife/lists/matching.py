"""Photos that a table calls otherwise than the disk: one look at the folder."""

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
SAMPLE = 200  # paths that tell which folder is meant


@dataclass
class Matches:
    """Files that were found.

    Attributes:
        found: path of the table -> path of the one file that fits.
        note: by which rules, '' = none is found.
        reasons: why others that may be photos are not found, and what to do.
    """

    found: dict[str, str] = field(default_factory=dict)
    note: str = ''
    reasons: str = ''


class Move(NamedTuple):
    """Where a path of the table may be on the disk.

    old: its beginning. new: the folder in its place. anywhere: whether the file may be in any
    folder.
    """

    path: str
    old: str
    new: str
    anywhere: bool


def match_paths(paths: Collection[str], root: str | os.PathLike[str], may_move: bool) -> Matches:
    """Find the files of a table's paths that do not exist as they are written.

    A file fits whose path differs in the Unicode form of accents, in case, or in a photo's ending
    that the table lacks or has otherwise; where several fit, none is taken. Folders must be the
    table's, but for a beginning that all paths have in common: of absolute paths from another
    computer, and of relative ones with ``may_move``. Names without any folder may then be anywhere.

    Args:
        paths: different ones, with '/'.
        root: the photos' folder; files are looked for below it.
        may_move: whether relative paths may begin elsewhere: not where others in the table exist as
            they are written.
    """
    missing, below = set(paths), photos_below(root)[0]
    # A link to nothing is missing, too.
    photos = [path for path in below if is_plain(path) and path not in missing]
    files, names = _Files(photos), _Files(photos, names_only=True)
    endings = {'', *photo_extensions()}
    found: dict[str, str] = {}
    rules = defaultdict(list)  # how paths differ -> paths
    unmatched = defaultdict(list)  # reason -> (path, files that might be meant)
    for move in _plan(paths, names, may_move):
        path = move.path
        differs, fitting = _find(move, files, names)
        if len(fitting) == 1:
            found[path] = fitting[0]
            rules[differs].append(path)
        elif os.path.splitext(path)[1].lower() in endings:  # else it is a video or the like
            namesakes = names.find(posixpath.basename(path))[1]
            is_link = os.path.islink(os.path.join(root, path))
            reason = 'link' if is_link else _reason(path, fitting, namesakes)
            unmatched[reason].append((path, fitting or namesakes))
    strange = [path for path in below if not is_plain(path)]
    return Matches(found, _note(found, rules), _reasons(unmatched, strange))


def _find(move: Move, files: '_Files', names: '_Files') -> tuple[str, list[str]]:
    """(how the path differs from the disk, files that fit)."""
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
    """rules: how paths differ -> paths."""
    if not found:
        return ''
    ways = [
        f"{len(some)} {rule}, as '{some[0]}' for '{found[some[0]]}'" for rule, some in rules.items()
    ]
    return (
        f'path: {counted(len(found), "photo")} of the table differ from the disk, each matched '
        f'with the one file that fits: {"; ".join(ways)}'
    )


def _reasons(unmatched: Mapping[str, list[tuple[str, list[str]]]], strange: list[str]) -> str:
    """Why photos are not found.

    unmatched: reason -> (path, files that might be meant). strange: files whose names no table can
    hold.
    """
    reasons = []
    for reason, some in unmatched.items():
        path, files = some[0]
        shown = ' and '.join(map(repr, files[:2]))
        reasons.append(REASONS[reason].format(count=len(some), path=path, files=shown))
    if reasons and strange:
        reasons.append(
            f'{counted(len(strange), "photo")} there with a name that is no UTF-8 text, as '
            f'{ascii(strange[0])}: rename these files'
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
    'in the ending, which the table lacks': (_without_ending, _folded),
    'in the ending': (_without_ending, _without_photo_ending),
}


class _Files:
    """Files by the spellings of their paths or, with ``names_only``, of their names."""

    def __init__(self, paths: Iterable[str], names_only: bool = False) -> None:
        self.spelled: dict[str, dict[str, list[str]]] = {
            rule: defaultdict(list) for rule in SPELLINGS
        }
        for path in paths:
            name = posixpath.basename(path) if names_only else path
            for rule, (spelling, _) in SPELLINGS.items():
                self.spelled[rule][spelling(name)].append(path)

    def find(self, path: str) -> tuple[str, list[str]]:
        """(rule, files) of the first rule by which any file fits; ('', []) where none does."""
        for rule, (_, spelling) in SPELLINGS.items():
            fitting = self.spelled[rule].get(spelling(path))
            if fitting:
                return rule, fitting
        return '', []


def _plan(paths: Iterable[str], names: _Files, may_move: bool) -> Iterator[Move]:
    """Where each path may be."""
    absolute = [path for path in paths if ABSOLUTE.match(path)]
    relative = [path for path in paths if not ABSOLUTE.match(path)]
    for group, moves in ((absolute, True), (relative, may_move)):
        anywhere = moves and not any('/' in path for path in group)
        old, new = _moved_folder(group, names) if moves and not anywhere else ('', '')
        for path in group:
            yield Move(path, old, new, anywhere)


def _moved_folder(paths: Iterable[str], names: _Files) -> tuple[str, str]:
    """(old, new): the beginning that all paths have in common, and the folder in its place.

    ('', '') where it is not clear, or where fewer than half of the paths have a file then.
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
    """{(number of folders at the beginning that are another's, the folder in their place)}.

    most: largest such number.
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
    """How many last folders are equal."""
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
        "{count} x a link to a file that is missing, as '{path}': bring the file back, or delete "
        'the link'
    ),
    'web': '{count} x a web address: download the photos',
    'several': "{count} x several files fit, as '{path}' fits {files}: write whole paths",
    'elsewhere': (
        "{count} x a file of this name in another folder, as {files} for '{path}': correct the "
        'paths, or name the folder that they begin in with --photos'
    ),
    'absolute': (
        '{count} x an absolute path of another computer, and no file of this name is there: '
        "--photos names the photos' folder"
    ),
    'nowhere': (
        '{count} x no file of this name is there: correct the paths, or name another folder with '
        '--photos'
    ),
}
