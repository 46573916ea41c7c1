"""One photo that lists name several times: by other spellings or links, in repeated lines, as files
with the same bytes.
"""

import functools
import hashlib
import logging
import os
from collections import Counter, defaultdict
from dataclasses import replace

from utils.files import sha256_file

logger = logging.getLogger('transreid')

HEAD = 16384  # bytes


def as_photos(*lists: tuple) -> list:
    """Lists of records that are compared with each other, such that a path is a file and
    ``Record.photo`` is a photo.

    lists: (name, located records). Returns the records of each.
    """
    return mark_copies(*one_spelling(*lists))


def one_spelling(*lists: tuple) -> list:
    """Each file by the first of its paths; lines that then say the same as an earlier line of their
    list are dropped, and told.

    A file may be listed as ``x.jpg``, ``./x.jpg``, ``a/../x.jpg``, by a link, or in another case on
    a disk that ignores it. Arguments and result as of ``as_photos``.
    """
    path_of, spelled = {}, []
    for name, records in lists:
        paths = [path_of.setdefault(_file(record.path), record.path) for record in records]
        named = [
            record if record.path == path else replace(record, path=path)
            for record, path in zip(records, paths, strict=True)
        ]
        times = Counter(named)
        spelled.append(list(times))
        if len(times) < len(named):
            first = next(record.path for record in times if times[record] > 1)
            logger.warning(
                '%s: %d of %d lines repeat another and count once, first of %s',
                name,
                len(named) - len(times),
                len(named),
                first,
            )
    return spelled


def _file(path):
    """The same for all paths of a file."""
    try:
        status = os.stat(path)
    except OSError:  # whoever reads it will tell
        return path
    return (
        (status.st_dev, status.st_ino, status.st_size) if status.st_ino else os.path.realpath(path)
    )


def mark_copies(*lists: list) -> list:
    """Lists of located records with ``copy_of``, which says whose bytes are the same."""
    same = same_photos({record.path for records in lists for record in records})
    return [
        [
            record
            if same[record.path] == record.path
            else replace(record, copy_of=same[record.path])
            for record in records
        ]
        for records in lists
    ]


def same_photos(paths) -> dict:
    """{path: the path that stands for all files with the same bytes}. Files that are empty or
    cannot be read stand for themselves.

    Only files of equal size are opened, and read to their end only where they begin alike.
    """
    groups = [sorted(paths)]
    for key in (os.path.getsize, _head, _digest):  # the cheap ones first
        groups = [part for group in groups for part in _parts(group, key) if len(part) > 1]
    return {path: path for path in paths} | {path: group[0] for group in groups for path in group}


def _parts(paths, key):
    parts = defaultdict(list)
    for path in paths:
        try:
            value = key(path)
        except OSError:  # the loader will tell
            continue
        if value:  # of an empty file the size is 0: it is no photo
            parts[value].append(path)
    return parts.values()


def _head(path):
    return _sha256(path, _stamp(path), whole=False)


def _digest(path):
    return _sha256(path, _stamp(path), whole=True)


def _stamp(path):
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


@functools.cache  # a training looks at its own lists, then at these together with the test's
def _sha256(path, stamp, whole):
    if whole:
        return sha256_file(path)
    with open(path, 'rb') as file:
        return hashlib.sha256(file.read(HEAD)).hexdigest()
