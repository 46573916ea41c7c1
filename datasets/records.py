"""Photos as records, and how lists are read."""

import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

from utils.errors import InputError
from utils.words import first_few, shortened

# The path ends with the last column that has a file extension, so it may contain spaces. Without an
# extension it is the first column.
LINE = re.compile(r'(.*\.[A-Za-z]\w*|\S+)((?:\s+\S+)*)')
INTEGER = re.compile(r'[+-]?[0-9]{1,18}')  # fits into int64
CONTROL = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029]')
MAX_BYTES = 10**8  # largest size of a list; enough for a million photos
MAX_LINE = 1000  # most characters in a line
OPTIONAL = {  # columns after the label, with their allowed values
    'side': (re.compile('[01]'), '0 (left) or 1 (right)'),
    'camera': (re.compile('[0-9]{1,6}'), 'a whole number with at most 6 digits'),
    'encounter': (re.compile('[0-9]{1,15}'), 'a whole number with at most 15 digits'),
}
NOBODY = -1  # label of a distractor: a gallery photo that shows none of the individuals


@dataclass(frozen=True, slots=True)
class Record:
    """One photo.

    Args:
        path: The path as listed; once located, the path of the file.
        pid: The individual, >= 0 (0 … n-1 in a train list). A gallery may also contain NOBODY.
        camid: The camera number for the embedding, from 0; also 0 if the camera is unknown.
        viewid: The view number for the embedding, from 0; the view of an animal is its side.
        frame: ATRW only: (a, b, n), the camera sequence (a, b) and the frame n in it.
        group: Each group of queries is averaged separately (ATRW: 'sing', 'multi'); '' = no group.
        side: The side of the animal: 0 = left, 1 = right, None = unknown.
        encounter: The number of the event (a burst, a sighting) in which the photo was taken, None
            = unknown.
        camera: The camera number, None = unknown.
        copy_of: The path that represents all files with the same bytes, '' = its own; see
            ``datasets.photos.as_photos``.
    """

    path: str
    pid: int
    camid: int = 0
    viewid: int = 0
    frame: tuple[int, ...] | None = None
    group: str = ''
    side: int | None = None
    encounter: int | None = None
    camera: int | None = None
    copy_of: str = ''

    @property
    def photo(self) -> str:
        """The path that all files with the same bytes share."""
        return self.copy_of or self.path


def individuals(records: Iterable[Record]) -> int:
    """Return the number of individuals in the photos; distractors do not count."""
    return len({record.pid for record in records} - {NOBODY})


def counts_table(splits: Mapping[str, Sequence[Record]]) -> str:
    """Return the table that is logged at the start of a run, with one row per split."""
    rows = [
        [f'{"split":11}', 'photos', 'individuals', 'photos per individual: min', 'median', 'max']
    ]
    for name, records in splits.items():
        photos = Counter(record.pid for record in records if record.pid != NOBODY)
        sizes = list(photos.values()) or [0]
        numbers = (len(records), len(photos), min(sizes), f'{median(sizes):g}', max(sizes))
        rows.append([f'{name:11}', *map(str, numbers)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return '\n'.join('  '.join(map(str.rjust, row, widths)) for row in rows)


def read_list(
    path: str | Path, allow_outside: bool = False, is_gallery: bool = False
) -> list[Record]:
    """Read a list, one photo per line: ``relative/path.jpg label [side] [camera] [encounter]``.

    The text is UTF-8, with or without BOM. Spaces or tabs separate the columns; blank lines are
    skipped. A path may contain spaces if its last part has a file extension; '/' separates its
    folders. The label is an integer >= 0 (the original also accepts floats; here ``3.0`` is
    rejected). The side is 0 (left) or 1 (right) and becomes the view; camera and encounter are
    integers >= 0. Each of these three may be ``-`` for unknown.

    Args:
        path: The path of the list.
        allow_outside: Whether paths may be absolute or leave the folder they are relative to.
        is_gallery: Whether labels may be NOBODY.

    Returns:
        The records, with the paths as listed.

    Raises:
        InputError: The list cannot be read, or a line is malformed (``file:line: …``).
    """
    missing = f'{path}: no such list; check DATASETS.LIST_DIR and the DATASETS.*_LIST keys'
    return [
        _parse(line, f'{path}:{number}', allow_outside, is_gallery)
        for number, line in read_lines(path, 'list', missing)
    ]


def read_lines(path: str | Path, what: str, missing: str) -> list[tuple[int, str]]:
    """Return the lines of a text file with their numbers, from 1, without blank lines.

    Args:
        path: The path of the file.
        what: The kind of file, for messages.
        missing: The message if there is no such file.

    Raises:
        InputError: As in ``read_file``; or the file is not UTF-8, or has only blank lines.
    """
    content = read_file(path, what, missing)
    try:
        lines = re.split(r'\r\n|\r|\n', content.decode('utf-8-sig'))
    except UnicodeDecodeError as error:
        number = content.count(b'\n', 0, error.start) + 1
        raise InputError(f'{path}:{number}: not UTF-8 text; save the {what} as UTF-8') from None
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    if not any(line for _, line in numbered):
        raise InputError(f'{path}: the {what} is empty')
    return [(number, line) for number, line in numbered if line]


def read_file(path: str | Path, what: str, missing: str) -> bytes:
    """Return the bytes of a file that the user names.

    Args:
        path: The path of the file.
        what: The kind of file, for messages.
        missing: The message if there is no such file.

    Raises:
        InputError: There is no such file; it is a folder, or a pipe or device (which could block
            forever); it has more than 100 MB.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise OSError('a folder, pipe or device; give the path of a file')
        if status.st_size > MAX_BYTES:
            raise OSError(f'larger than {MAX_BYTES // 10**6} MB; is it the right file?')
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(missing) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, 'strerror', None) or error
        raise InputError(f'{path}: the {what} cannot be read: {reason}') from None


def _parse(line: str, where: str, allow_outside: bool, is_gallery: bool) -> Record:
    match = LINE.fullmatch(line) if len(line) <= MAX_LINE else None
    columns = match[2].split() if match else []
    if not match or not 1 <= len(columns) <= 1 + len(OPTIONAL):
        raise InputError(
            f"{where}: expected 'path label [side] [camera] [encounter]' separated by spaces, got "
            f'{_quoted(line)}'
        )
    path, label = match[1], columns[0]
    _check_path(path, where, allow_outside)
    if not INTEGER.fullmatch(label) or int(label) < (NOBODY if is_gallery else 0):
        raise InputError(
            f'{where}: label {_quoted(label)} is not a whole number >= 0 with at most 18 digits; '
            f'only a separate gallery list (DATASETS.GALLERY_LIST) may contain {NOBODY}, for '
            'photos of none of the individuals'
        )
    known: dict[str, int] = {}
    for text, (name, (allowed, description)) in zip(columns[1:], OPTIONAL.items()):
        if text == '-':
            continue
        if not allowed.fullmatch(text):
            raise InputError(
                f"{where}: {name} {_quoted(text)} is not {description}; write '-' if unknown"
            )
        known[name] = int(text)
    return Record(
        path,
        int(label),
        camid=known.get('camera', 0),
        viewid=known.get('side', 0),
        side=known.get('side'),
        encounter=known.get('encounter'),
        camera=known.get('camera'),
    )


def _check_path(path: str, where: str, allow_outside: bool) -> None:
    leaves = os.path.isabs(path) or os.path.normpath(path).split(os.sep)[0] == os.pardir
    problems = {
        'contains a control character; rename the photo': bool(CONTROL.search(path)),
        "contains a backslash; separate folders with '/'": '\\' in path,
        'leads out of the photo folder; move the photo into it, or set DATASETS.ALLOW_OUTSIDE True '
        'if you trust the list': leaves and not allow_outside,
    }
    for problem, is_found in problems.items():
        if is_found:
            raise InputError(f'{where}: path {_quoted(path)} {problem}')


def _quoted(text: str) -> str:
    return repr(shortened(text))


def check_contiguous(records: Sequence[Record], path: str) -> None:
    """Check that the training labels are 0 … n-1 with n >= 2, as they are rows of the classifier.

    Args:
        records: The records of the train list.
        path: The path of the list, for messages.

    Raises:
        InputError: Labels are missing, or there is only one.
    """
    labels = {record.pid for record in records}
    gaps = (str(label) for label in range(max(labels)) if label not in labels)
    missing = list(islice(gaps, 4))
    if missing:
        raise InputError(
            f'{path}: training labels must be 0 … n-1 without gaps, but some of 0 … {max(labels)} '
            f'are missing ({first_few(missing)}); renumber the individuals'
        )
    if len(labels) == 1:
        raise InputError(f'{path}: a single individual; training needs at least two to tell apart')
