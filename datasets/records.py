"""Photos as records: what a list line becomes, how lists are read, and where their photos are."""

import hashlib
import json
import logging
import os
import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice
from statistics import median
from typing import NamedTuple

from datasets.images import find_unreadable
from utils.errors import InputError

logger = logging.getLogger('transreid')

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

    path: as listed, or joined with its folder once it is located.
    pid: the individual (>= 0; in a train list 0 … n-1), in a gallery also NOBODY.
    camid, viewid: numbers of the camera and the view from 0, as an embedding needs them: 0 also
    where unknown. The view of
        an animal is its side.
    frame: (a, b, n) of ATRW: (a, b) is the camera sequence, n the frame in it. None elsewhere.
    group: name of the group of queries that is averaged apart (ATRW: 'sing', 'multi'), '' = none.
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
    frame: tuple | None = None
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

    ``cameras``, ``views``: sizes that an embedding needs, largest number + 1, at least 1.
    """

    ids: int
    images: int
    cameras: int
    views: int


def count(records):
    """``Counts`` of a list of records."""
    return Counts(
        ids=len({record.pid for record in records} - {NOBODY}),
        images=len(records),
        cameras=1 + max((record.camid for record in records), default=0),
        views=1 + max((record.viewid for record in records), default=0),
    )


def counts_table(splits):
    """The table logged at the start of a run, one row a split.

    splits: dict of name to list of records. Returns text of several lines, columns aligned.
    """
    rows = [('split', 'photos', 'individuals', 'photos per individual: min', 'median', 'max')]
    for name, records in splits.items():
        sizes = Counter(record.pid for record in records if record.pid != NOBODY).values() or [0]
        rows.append(
            (
                name,
                str(len(records)),
                str(count(records).ids),
                str(min(sizes)),
                f'{median(sizes):g}',
                str(max(sizes)),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        '  '.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    return '\n'.join(lines)


def read_list(path, allow_outside=False, is_gallery=False):
    """Read a split: one photo a line, ``relative/path.jpg label [side] [camera] [encounter]``.

    Columns are separated by blanks of any kind, blank lines are skipped, the text is UTF-8 with or
    without BOM. A path may hold blanks when its last part has a file extension, its folders are
    separated by '/', and it stays below the folder that it is relative to unless ``allow_outside``
    (then it may be absolute too). The label is an integer >= 0 (the
    original took floats: ``3.0`` is refused here), in a gallery's list (``is_gallery``) also
    NOBODY; the side is 0 (left) or 1 (right) and becomes the record's view, camera and encounter
    are integers >= 0; each of the three may be ``-``, unknown.

    Returns a list of ``Record`` with the paths as listed. Raises ``InputError`` (``file:line: …``).
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


def read_file(path, what, missing):
    """The bytes of a file that the user names. ``InputError``: ``missing`` where there is none; a
    folder, pipe or device (which could be waited for without end); more than 100 MB. what: its
    kind, for messages.
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


def _parse(line, where, allow_outside, is_gallery):
    if len(line) > MAX_LINE:
        raise InputError(
            f'{where}: a line of {len(line)} characters; write one photo a line: {COLUMNS}'
        )
    match = LINE.fullmatch(line)
    columns = match.group(2).split() if match else []
    if not 1 <= len(columns) <= 4:
        raise InputError(f'{where}: expected {COLUMNS} separated by blanks, got {_shown(line)}')
    path = match.group(1)
    label, side, camera, encounter = columns + ['-'] * (4 - len(columns))
    if not INTEGER.fullmatch(label):
        raise InputError(
            f'{where}: label {_shown(label)} is no integer; labels are whole numbers from 0, of '
            'up to 18 digits'
        )
    if int(label) < (NOBODY if is_gallery else 0):
        raise InputError(
            f"{where}: label '{label}' is negative; labels are whole numbers from 0. Only a "
            'gallery list that '
            f'is not the query list too may hold {NOBODY}, for photos of none of the '
            'individuals: name it in '
            'DATASETS.GALLERY_LIST'
        )
    if side not in ('0', '1', '-'):
        raise InputError(
            f"{where}: side {_shown(side)} is neither 0 (left) nor 1 (right) nor '-'; leave it "
            'out where unknown'
        )
    for name, text, digits in (('camera', camera, 6), ('encounter', encounter, 15)):
        if text != '-' and not (text.isascii() and text.isdigit() and len(text) <= digits):
            raise InputError(
                f'{where}: {name} {_shown(text)} is no whole number from 0 of up to {digits} '
                "digits; write '-' "
                f'where it is unknown'
            )
    if CONTROL.search(path):
        raise InputError(
            f'{where}: path {_shown(path)} holds a control character; rename the photo'
        )
    if '\\' in path:
        raise InputError(
            f"{where}: path '{_clipped(path)}' has a backslash; write folders with '/'"
        )
    if not allow_outside and (
        os.path.isabs(path) or os.path.normpath(path).split(os.sep)[0] == os.pardir
    ):
        raise InputError(f"{where}: path {_shown(path)} leads out of the photos' folder; {OUTSIDE}")
    side, camera, encounter = (
        None if text == '-' else int(text) for text in (side, camera, encounter)
    )
    return Record(
        path=path,
        pid=int(label),
        camid=camera or 0,
        viewid=side or 0,
        side=side,
        encounter=encounter,
        camera=camera,
    )


def _shown(text):
    """In quotes, on one line, not too long."""
    return repr(_clipped(text))


def _clipped(text):
    return text if len(text) <= 100 else f'{text[:100]}…'


def check_contiguous(records, path):
    """Training labels are rows of the classifier: 0 … n-1, each with a photo, n >= 2. Else
    ``InputError``.
    """
    labels = {record.pid for record in records}
    largest = max(labels)
    gaps = largest + 1 - len(labels)
    if gaps:
        first = ', '.join(
            map(str, islice((label for label in range(largest) if label not in labels), 3))
        )
        raise InputError(
            f'{path}: training labels must be 0 … n-1 without a gap, but of 0 … {largest} {gaps} '
            'do not '
            f'occur ({first}{" …" if gaps > 3 else ""}); renumber the individuals'
        )
    if len(labels) == 1:
        raise InputError(
            f'{path}: a single individual; training tells individuals apart, so list at least two'
        )


def locate(records, root, skip_missing, what, key, allow_outside=False, skip_broken=False):
    """Join the paths with their folder and see that the photos are there, before anything is
    computed.

    root: folder of the photos; key: the config keys it comes from; what: the list's name, for
    messages.
    skip_missing: go on without the photos that are missing, and log how many
    (DATASETS.SKIP_MISSING).
    skip_broken: decode all photos, skip those that cannot be read, and log which
    (DATASETS.SKIP_BROKEN).
    allow_outside: whether a photo may really be elsewhere, by links too (DATASETS.ALLOW_OUTSIDE).
    root itself may be a link.

    Returns the located records. Raises ``InputError`` where the folder or photos are missing or
    elsewhere, or none is left.
    """
    if not os.path.isdir(root):
        raise InputError(
            f"{key}: there is no folder '{root}'; set it to where the photos of {what} are"
        )
    is_inside = _inside(root)
    found, missing, outside = [], [], []
    for record in records:
        path = os.path.join(root, record.path)
        if not os.path.isfile(path):
            missing.append(record)
        elif allow_outside or is_inside(path):
            found.append(replace(record, path=path))
        else:
            outside.append(record)
    if outside:
        raise InputError(_outside(outside, root, what, key, len(records)))
    if missing:
        first = ', '.join(_clipped(record.path) for record in missing[:3]) + (
            ' …' if len(missing) > 3 else ''
        )
        message = (
            f"{what}: {len(missing)} of {len(records)} photos are missing in '{root}' ({first})"
        )
        if not skip_missing:
            raise InputError(
                f'{message}; check {key}, or set DATASETS.SKIP_MISSING True to go on without them'
            )
        if not found:
            raise InputError(f'{message}; nothing is left: check {key}')
        logger.warning(
            '%s; going on without them, %d individuals have no photo left',
            message,
            _lost(records, found),
        )
    return _skip_broken(found, what) if skip_broken else found


def _lost(before, after):
    """How many individuals of the records ``before`` have none in ``after``."""
    return len({record.pid for record in before} - {record.pid for record in after} - {NOBODY})


def _skip_broken(records, what):
    """Located records without those whose photo cannot be decoded, each named in the log."""
    broken = find_unreadable([record.path for record in records])
    if not broken:
        return records
    for path, reason in broken.items():
        if not os.path.lexists(path):  # a disk that is pulled out is no broken photo
            raise InputError(f'{path}: {reason}; bring it back (is the disk still mounted?)')
    left = [record for record in records if record.path not in broken]
    for path, reason in broken.items():
        logger.warning('skipped: %s: %s', path, reason)
    message = f'{what}: {len(records) - len(left)} of {len(records)} photos cannot be read'
    if not left:
        raise InputError(f'{message}; nothing is left: replace them')
    logger.warning(
        '%s; going on without them, %d individuals have no photo left',
        message,
        _lost(records, left),
    )
    return left


def _outside(records, root, what, key, count):
    """What to say of photos that really are elsewhere: where, and what ``key`` would be right, if
    one would.
    """
    path = os.path.join(root, records[0].path)
    real = os.path.realpath(path)
    message = f"{what}: {path} really is {real}, outside '{root}'"
    if len(records) > 1:
        message += f', and so are {len(records) - 1} more of {count} photos'
    folder = real.removesuffix(os.sep + os.path.normpath(records[0].path))
    if folder != real and all(
        os.path.realpath(os.path.join(root, record.path))
        == os.path.join(folder, os.path.normpath(record.path))
        for record in records
    ):
        return (
            f"{message}; set {key} to '{folder}', or DATASETS.ALLOW_OUTSIDE to True if you "
            'trust the list'
        )
    return f'{message}; {OUTSIDE}'


def _inside(root):
    """A function of a file's path: whether the file really is below ``root``, links followed. Each
    folder is looked up once.
    """
    root, folders = os.path.realpath(root), {}

    def below(path):
        return os.path.join(os.path.realpath(path), '').startswith(os.path.join(root, ''))

    def is_inside(path):
        folder = os.path.dirname(path)
        if folder not in folders:
            folders[folder] = below(folder)
        return below(path) if os.path.islink(path) else folders[folder]

    return is_inside


def fingerprint(records, root):
    """What a split was, for a later run or another machine to compare.

    records: located; root: the folder that they were located in. Returns {'photos': count,
    'sha256': hex} over (path below the root with '/', bytes, pid, camid, viewid, the encounter if
    known) in the list's order: the same wherever the data lie. Raises ``InputError`` where a photo
    has gone.
    """
    digest = hashlib.sha256()
    for record in records:
        try:
            size = os.stat(record.path).st_size
        except OSError as error:
            raise InputError(
                f'{record.path}: the photo was there a moment ago and cannot be read now '
                f'({error.strerror}); '
                f'is its disk still there?'
            ) from None
        path = os.path.relpath(record.path, root).replace(os.sep, '/')
        encounter = [] if record.encounter is None else [record.encounter]
        digest.update(
            json.dumps([path, size, record.pid, record.camid, record.viewid, *encounter]).encode()
        )
    return {'photos': len(records), 'sha256': digest.hexdigest()}
