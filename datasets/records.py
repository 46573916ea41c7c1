"""Photos as records: what a line of a list becomes, and how lists are read."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

from utils.errors import InputError
from utils.words import first_few, shortened

# The path ends with the last column that has a file extension (so it may hold blanks), else it is
# the first column.
LINE = re.compile(r'(.*\.[A-Za-z]\w*|\S+)((?:\s+\S+)*)')
INTEGER = re.compile(r'[+-]?[0-9]{1,18}')  # fits int64
CONTROL = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029]')
MAX_BYTES = 10**8  # of a list: a million photos and more
MAX_LINE = 1000  # characters
COLUMNS = "'path label [side] [camera] [encounter]'"
OUTSIDE = 'keep photos below their folder, or set DATASETS.ALLOW_OUTSIDE True if you trust the list'
NOBODY = -1  # label of a distractor: a gallery photo that shows none of the individuals


@dataclass(frozen=True, slots=True)
class Record:
    """One photo.

    Args:
        path: as listed, or joined with its folder once it is located.
        pid: the individual (>= 0; in a train list 0 … n-1), in a gallery also NOBODY.
        camid: number of the camera from 0, as an embedding needs it: 0 also where unknown.
        viewid: number of the view, likewise; the view of an animal is its side.
        frame: (a, b, n) of ATRW: (a, b) is the camera sequence, n the frame in it. Else None.
        group: of queries that is averaged apart (ATRW: 'sing', 'multi'), '' = none.
        side: of the animal, 0 = left, 1 = right, None = unknown.
        encounter: number of the event at which the photo was taken (a burst, a sighting), None =
            unknown.
        camera: number of the camera, None = unknown.
        copy_of: path that stands for all files with the same bytes, '' = its own; see
            ``datasets.copies``.
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
        """The same for files with the same bytes."""
        return self.copy_of or self.path


class Counts(NamedTuple):
    """What a split holds; distractors are no individual.

    Args:
        ids: individuals.
        images: photos.
        cameras: size that an embedding needs, largest number + 1, at least 1.
        views: likewise.
    """

    ids: int
    images: int
    cameras: int
    views: int


def count(records: Sequence[Record]) -> Counts:
    """Return the ``Counts`` of records."""
    return Counts(
        ids=len({record.pid for record in records} - {NOBODY}),
        images=len(records),
        cameras=1 + max((record.camid for record in records), default=0),
        views=1 + max((record.viewid for record in records), default=0),
    )


def counts_table(splits: Mapping[str, Sequence[Record]]) -> str:
    """Return the table logged at the start of a run, a row for each split, columns aligned."""
    rows = [['split', 'photos', 'individuals', 'photos per individual: min', 'median', 'max']]
    for name, records in splits.items():
        photos = Counter(record.pid for record in records if record.pid != NOBODY)
        sizes = list(photos.values()) or [0]
        numbers = (len(records), len(photos), min(sizes), f'{median(sizes):g}', max(sizes))
        rows.append([name, *map(str, numbers)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *cells in rows:
        aligned = map(str.rjust, cells, widths[1:])
        lines.append('  '.join([name.ljust(widths[0]), *aligned]))
    return '\n'.join(lines)


def read_list(
    path: str | Path, allow_outside: bool = False, is_gallery: bool = False
) -> list[Record]:
    """Read a split: one photo a line, ``relative/path.jpg label [side] [camera] [encounter]``.

    Columns are separated by blanks of any kind, blank lines are skipped, the text is UTF-8 with or
    without BOM. A path may hold blanks when its last part has a file extension; its folders are
    separated by '/'. The label is an integer >= 0 (the original took floats: ``3.0`` is rejected
    here). The side is 0 (left) or 1 (right) and becomes the record's view; camera and encounter
    are integers >= 0; each of the three may be ``-``, unknown.

    Args:
        path: of the list.
        allow_outside: whether paths may be absolute, or leave the folder they are relative to.
        is_gallery: whether labels may be NOBODY.

    Returns:
        Records with the paths as listed.

    Raises:
        InputError: ``file:line: …``
    """
    content = read_file(
        path, 'list', f'{path}: no such list; check DATASETS.LIST_DIR and the DATASETS.*_LIST keys'
    )
    try:
        lines = re.split(r'\r\n|\r|\n', content.decode('utf-8-sig'))
    except UnicodeDecodeError as error:
        number = content.count(b'\n', 0, error.start) + 1
        raise InputError(f'{path}:{number}: not UTF-8 text; save the list as UTF-8') from None
    records = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            records.append(_parse(line.strip(), f'{path}:{number}', allow_outside, is_gallery))
    if not records:
        raise InputError(f'{path}: the list is empty; write one photo a line: {COLUMNS}')
    return records


def read_file(path: str | Path, what: str, missing: str) -> bytes:
    """Return the bytes of a file that the user names.

    Args:
        path: of the file.
        what: its kind, for messages.
        missing: the message where there is no such file.

    Raises:
        InputError: no such file; a folder, pipe or device (which could be waited for without end);
            more than 100 MB.
    """
    try:
        if not os.path.isfile(path):
            os.stat(path)  # says why not
            raise InputError(
                f'{path}: the {what} cannot be read (a folder, pipe or device); give the path of '
                'a file'
            )
        with open(path, 'rb') as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(missing) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise InputError(
            f'{path}: the {what} cannot be read ({getattr(error, "strerror", None) or error})'
        ) from None
    if len(content) > MAX_BYTES:
        raise InputError(
            f'{path}: the {what} is larger than {MAX_BYTES // 10**6} MB; is it the right file?'
        )
    return content


def _parse(line: str, where: str, allow_outside: bool, is_gallery: bool) -> Record:
    if len(line) > MAX_LINE:
        raise InputError(
            f'{where}: a line of {len(line)} characters; write one photo a line: {COLUMNS}'
        )
    match = LINE.fullmatch(line)
    columns = match[2].split() if match else []
    if not match or not 1 <= len(columns) <= 4:
        raise InputError(f'{where}: expected {COLUMNS} separated by blanks, got {_quoted(line)}')
    label, side, camera, encounter = columns + ['-'] * (4 - len(columns))
    _check_label(label, where, is_gallery)
    if side not in ('0', '1', '-'):
        raise InputError(
            f"{where}: side {_quoted(side)} is neither 0 (left) nor 1 (right) nor '-'; leave it "
            'out where unknown'
        )
    _check_path(match[1], where, allow_outside)
    seen_from = None if side == '-' else int(side)
    taken_by = _parse_number('camera', camera, 6, where)
    return Record(
        path=match[1],
        pid=int(label),
        camid=taken_by or 0,
        viewid=seen_from or 0,
        side=seen_from,
        encounter=_parse_number('encounter', encounter, 15, where),
        camera=taken_by,
    )


def _check_label(label: str, where: str, is_gallery: bool) -> None:
    if not INTEGER.fullmatch(label):
        raise InputError(
            f'{where}: label {_quoted(label)} is no integer; labels are whole numbers from 0, of '
            'up to 18 digits'
        )
    if int(label) < (NOBODY if is_gallery else 0):
        raise InputError(
            f"{where}: label '{label}' is negative; labels are whole numbers from 0. Only a "
            f'gallery list that is not the query list too may hold {NOBODY}, for photos of none of '
            'the individuals: name it in DATASETS.GALLERY_LIST'
        )


def _parse_number(name: str, text: str, digits: int, where: str) -> int | None:
    if text == '-':
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= digits):
        raise InputError(
            f'{where}: {name} {_quoted(text)} is no whole number from 0 of up to {digits} '
            "digits; write '-' where it is unknown"
        )
    return int(text)


def _check_path(path: str, where: str, allow_outside: bool) -> None:
    if CONTROL.search(path):
        raise InputError(
            f'{where}: path {_quoted(path)} holds a control character; rename the photo'
        )
    if '\\' in path:
        raise InputError(
            f"{where}: path '{shortened(path)}' has a backslash; write folders with '/'"
        )
    leaves = os.path.isabs(path) or os.path.normpath(path).split(os.sep)[0] == os.pardir
    if leaves and not allow_outside:
        raise InputError(
            f"{where}: path {_quoted(path)} leads out of the photos' folder; {OUTSIDE}"
        )


def _quoted(text: str) -> str:
    """In quotes, on one line, not too long."""
    return repr(shortened(text))


def check_contiguous(records: Sequence[Record], path: str) -> None:
    """Check that training labels are 0 … n-1, each with a photo, n >= 2: rows of the classifier.

    Args:
        records: of the train list.
        path: of the list, for messages.

    Raises:
        InputError: names the first labels that are missing.
    """
    labels = {record.pid for record in records}
    largest = max(labels)
    gaps = largest + 1 - len(labels)
    if gaps:
        missing = (str(label) for label in range(largest) if label not in labels)
        raise InputError(
            f'{path}: training labels must be 0 … n-1 without a gap, but of 0 … {largest} {gaps} '
            f'do not occur ({first_few(list(islice(missing, 4)))}); renumber the individuals'
        )
    if len(labels) == 1:
        raise InputError(
            f'{path}: a single individual; training tells individuals apart, so list at least two'
        )
