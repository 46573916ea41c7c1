"""Photos that a table calls otherwise than the disk: one look at the folder. For
tools/make_lists.py.
"""

import os
import posixpath
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from wildlife.lists.folders import photo_extensions, photos_below
from wildlife.words import counted, is_plain

ABSOLUTE = re.compile(r'[A-Za-z]:/|/')
WEB = re.compile(r'[A-Za-z][\w+.-]+://')
SAMPLE = 200  # paths that tell which folder is meant


@dataclass
class Matches:
    """found: path of the table -> path of the one file that fits. note: by which rules, '' = none
    is found. reasons: why others that may be photos are not, and what to do.
    """

    found: dict = field(default_factory=dict)
    note: str = ''
    reasons: str = ''


def match_paths(paths: list, root, may_move: bool) -> Matches:
    """Find the files of a table's paths that do not exist as they are written.

    A file fits whose path differs in the Unicode form of accents, in case, or in a photo's ending
    that the table lacks or has otherwise; where several fit, none is taken. Folders must be the
    table's, but for a beginning that all paths have in
    common: of absolute paths from another computer, and of relative ones with ``may_move``. Names
    without any folder may then be anywhere.

    Args:
        paths: different ones, with '/'.
        root: the photos' folder; files are looked for below it.
        may_move: whether relative paths may begin elsewhere: not where others in the table exist as
        they are written.
    """
    missing, below = set(paths), photos_below(root)[0]
    photos = [
        path for path in below if is_plain(path) and path not in missing
    ]  # a link to nothing is missing, too
    files, names = _Files(photos), _Files(photos, names_only=True)
    found, how, why, endings = {}, defaultdict(list), defaultdict(list), {'', *photo_extensions()}
    for path, old, new, anywhere in _plan(paths, names, may_move):
        rule, fitting = files.find(
            posixpath.join(new, posixpath.normpath(path)[len(old) :].lstrip('/'))
        )
        namesakes = names.find(posixpath.basename(path))
        place = f"in the folder ('{old or '.'}' is '{new or '.'}' here)" if old != new else ''
        if anywhere and not fitting:
            (rule, fitting), place = namesakes, 'in the folder (the table names none)'
        if len(fitting) == 1:
            found[path] = fitting[0]
            how[' and '.join(filter(None, (place, rule)))].append(path)
        elif os.path.splitext(path)[1].lower() in endings:  # else it is a video or the like
            is_link = os.path.islink(os.path.join(root, path))
            why['link' if is_link else _reason(path, fitting, namesakes[1])].append(
                (path, fitting or namesakes[1])
            )
    return Matches(
        found, _note(found, how), _reasons(why, [path for path in below if not is_plain(path)])
    )


def _note(found, how):
    """how: rule -> paths."""
    ways = [
        f"{len(some)} {rule}, as '{some[0]}' for '{found[some[0]]}'" for rule, some in how.items()
    ]
    return (
        (
            f'path: {counted(len(found), "photo")} of the table differ from the disk, each '
            'matched with the one file that '
            f'fits: {"; ".join(ways)}'
        )
        if ways
        else ''
    )


def _reasons(why, strange):
    """why: reason -> (path, files that might be meant). strange: files whose names no table can
    hold.
    """
    reasons = []
    for reason, some in why.items():
        path, files = some[0]
        reasons.append(
            REASONS[reason].format(
                count=len(some), path=path, files=' and '.join(map(repr, files[:2]))
            )
        )
    if reasons and strange:
        reasons.append(
            f'{counted(len(strange), "photo")} there with a name that is no UTF-8 text, as '
            f'{ascii(strange[0])}: '
            'rename these files'
        )
    return '; '.join(reasons)


class _Files:
    """Files by the spellings of their paths or, with ``names_only``, of their names."""

    def __init__(self, paths, names_only=False):
        self.spelled = {rule: defaultdict(list) for rule in SPELLINGS}
        for path in paths:
            for rule, (spelling, _) in SPELLINGS.items():
                self.spelled[rule][
                    spelling(posixpath.basename(path) if names_only else path)
                ].append(path)

    def find(self, path):
        """(rule, files) of the first rule by which any file fits; ('', []) where none does."""
        for rule, (_, spelling) in SPELLINGS.items():
            if fitting := self.spelled[rule].get(spelling(path)):
                return rule, fitting
        return '', []


def _composed(path):
    return unicodedata.normalize('NFC', path)


def _folded(path):
    return _composed(path).casefold()


def _without_ending(path):
    return os.path.splitext(_folded(path))[0]  # of a photo


def _without_photo_ending(path):
    return (
        _without_ending(path) if os.path.splitext(_folded(path))[1] in photo_extensions() else path
    )


SPELLINGS = {  # rule: (spelling of the file, of the table)
    '': (str, str),
    'in the Unicode form of accents': (_composed, _composed),
    'in upper and lower case': (_folded, _folded),
    'in the ending, which the table lacks': (_without_ending, _folded),
    'in the ending': (_without_ending, _without_photo_ending),
}


def _plan(paths, names, may_move):
    """For each path: (path, its beginning, the folder in its place, whether the file may be in any
    folder).
    """
    absolute = [path for path in paths if ABSOLUTE.match(path)]
    relative = [path for path in paths if not ABSOLUTE.match(path)]
    for group, moves in ((absolute, True), (relative, may_move)):
        anywhere = moves and not any('/' in path for path in group)
        old, new = _moved_folder(group, names) if moves and not anywhere else ('', '')
        for path in group:
            yield path, old, new, anywhere


def _moved_folder(paths, names):
    """(old, new): the beginning that all paths have in common and the folder in its place; ('', '')
    where it is not clear, or where fewer than half of the paths have a file then.
    """
    paths = [posixpath.normpath(path) for path in paths]
    common = os.path.commonprefix([path.split('/')[:-1] for path in paths])
    some = paths[:: max(1, len(paths) // SAMPLE)]
    votes = Counter(move for path in some for move in _moves(path, len(common), names))
    most = max(votes.values(), default=0)
    best = sorted(
        (move for move in votes if votes[move] == most), key=lambda move: (move[0], move[1] != '')
    )
    is_clear = len(best) == 1 or (len(best) > 1 and (best[0][0] < best[1][0] or not best[0][1]))
    if not is_clear or 2 * most < len(some):
        return '', ''
    return '/'.join(common[: best[0][0]]), best[0][1]


def _moves(path, most, names):
    """{(number of folders at the beginning, at most ``most``, that are another's; the folder in
    their place)}.
    """
    *folders, name = path.split('/')
    moves = set()
    for file in names.find(name)[1]:
        above = file.split('/')[:-1]
        same = 0  # folders above both that are equal
        while same < min(len(above), len(folders)) and _folded(above[-1 - same]) == _folded(
            folders[-1 - same]
        ):
            same += 1
        if len(folders) - same <= most:
            moves.add((len(folders) - same, '/'.join(above[: len(above) - same])))
    return moves


def _reason(path, fitting, namesakes):
    if WEB.match(path):
        return 'web'
    if len(fitting) > 1:
        return 'several'
    if namesakes:
        return 'elsewhere'
    return 'absolute' if ABSOLUTE.match(path) else 'nowhere'


REASONS = {
    'link': (
        "{count} x a link to a file that is missing, as '{path}': bring the file back, or "
        'delete the link'
    ),
    'web': '{count} x a web address: download the photos',
    'several': "{count} x several files fit, as '{path}' fits {files}: write whole paths",
    'elsewhere': "{count} x a file of this name in another folder, as {files} for '{path}': "
    'correct the paths, or name the '
    'folder that they begin in with --photos',
    'absolute': '{count} x an absolute path of another computer, and no file of this name is '
    'there: --photos names the '
    "photos' folder",
    'nowhere': (
        '{count} x no file of this name is there: correct the paths, or name another '
        'folder with --photos'
    ),
}
