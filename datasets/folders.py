"""Where the photos of a list are: found in their folder, before anything is computed."""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from datasets.images import find_unreadable
from datasets.records import NOBODY, OUTSIDE, Record
from utils.errors import InputError
from utils.words import first_few, shortened

logger = logging.getLogger('transreid')


@dataclass(frozen=True)
class PhotoFolder:
    """A folder of photos, and what is done where one of them is not as it should be.

    Args:
        root: of the paths in a list; it may be a link.
        key: the config keys that ``root`` comes from, for messages.
        skip_missing: skip photos that are missing, and log how many (DATASETS.SKIP_MISSING).
        allow_outside: whether a photo may really be elsewhere, by links too
            (DATASETS.ALLOW_OUTSIDE).
        skip_broken: decode all photos, skip those that cannot be read, and log which
            (DATASETS.SKIP_BROKEN).
    """

    root: str
    key: str
    skip_missing: bool = False
    allow_outside: bool = False
    skip_broken: bool = False


def locate(records: Sequence[Record], folder: PhotoFolder, what: str) -> list[Record]:
    """Return the records with paths joined with their folder, of photos that are there.

    Args:
        records: as listed.
        folder: of the photos.
        what: the list's name, for messages.

    Raises:
        InputError: where the folder or photos are missing or elsewhere, or none is left.
    """
    if not os.path.isdir(folder.root):
        raise InputError(
            f"{folder.key}: there is no folder '{folder.root}'; set it to where the photos of "
            f'{what} are'
        )
    is_inside = _inside(folder.root)
    found, missing, outside = [], [], []
    for record in records:
        path = os.path.join(folder.root, record.path)
        if not os.path.isfile(path):
            missing.append(record)
        elif folder.allow_outside or is_inside(path):
            found.append(replace(record, path=path))
        else:
            outside.append(record)
    if outside:
        raise InputError(_name_outside(outside, folder, what, len(records)))
    if missing:
        _skip_missing(missing, found, folder, what)
    return _skip_broken(found, what) if folder.skip_broken else found


def _skip_missing(
    missing: Sequence[Record], found: Sequence[Record], folder: PhotoFolder, what: str
) -> None:
    """Log how many photos are missing, or raise."""
    first = first_few([shortened(record.path) for record in missing])
    message = (
        f'{what}: {len(missing)} of {len(missing) + len(found)} photos are missing in '
        f"'{folder.root}' ({first})"
    )
    if not folder.skip_missing:
        raise InputError(
            f'{message}; check {folder.key}, or set DATASETS.SKIP_MISSING True to go on without '
            'them'
        )
    if not found:
        raise InputError(f'{message}; nothing is left: check {folder.key}')
    _log_skipped(message, missing, found)


def _skip_broken(records: list[Record], what: str) -> list[Record]:
    """Located records without those whose photo cannot be decoded, each named in the log."""
    broken = find_unreadable([record.path for record in records])
    for path, reason in broken.items():
        if not os.path.lexists(path):  # a disk that is pulled out is no broken photo
            raise InputError(f'{path}: {reason}; bring it back (is the disk still mounted?)')
    left = [record for record in records if record.path not in broken]
    for path, reason in broken.items():
        logger.warning('skipped: %s: %s', path, reason)
    message = f'{what}: {len(records) - len(left)} of {len(records)} photos cannot be read'
    if broken and not left:
        raise InputError(f'{message}; nothing is left: replace them')
    if broken:
        _log_skipped(message, [record for record in records if record.path in broken], left)
    return left


def _log_skipped(message: str, skipped: Sequence[Record], left: Sequence[Record]) -> None:
    lost = {record.pid for record in skipped} - {record.pid for record in left} - {NOBODY}
    logger.warning(
        '%s; going on without them, %d individuals have no photo left', message, len(lost)
    )


def _name_outside(records: Sequence[Record], folder: PhotoFolder, what: str, count: int) -> str:
    """The message on photos that really are elsewhere, with the ``root`` that would suit all."""
    path = os.path.join(folder.root, records[0].path)
    real = os.path.realpath(path)
    message = f"{what}: {path} really is {real}, outside '{folder.root}'"
    if len(records) > 1:
        message += f', and so are {len(records) - 1} more of {count} photos'
    better = real.removesuffix(os.sep + os.path.normpath(records[0].path))
    suits_all = better != real and all(
        os.path.realpath(os.path.join(folder.root, record.path))
        == os.path.join(better, os.path.normpath(record.path))
        for record in records
    )
    if suits_all:
        return (
            f"{message}; set {folder.key} to '{better}', or DATASETS.ALLOW_OUTSIDE to True if you "
            'trust the list'
        )
    return f'{message}; {OUTSIDE}'


def _inside(root: str) -> Callable[[str], bool]:
    """Whether a file really is below ``root``, links followed; each folder is looked up once."""
    root = os.path.realpath(root)
    folders: dict[str, bool] = {}

    def below(path: str) -> bool:
        return os.path.join(os.path.realpath(path), '').startswith(os.path.join(root, ''))

    def is_inside(path: str) -> bool:
        folder = os.path.dirname(path)
        if folder not in folders:
            folders[folder] = below(folder)
        return below(path) if os.path.islink(path) else folders[folder]

    return is_inside


def fingerprint(records: Sequence[Record], root: str) -> dict[str, int | str]:
    """Return what a split was, for a later run or another machine to compare.

    The same wherever the data lie.

    Args:
        records: located.
        root: the folder that they were located in.

    Returns:
        {'photos': count, 'sha256': hex} over (path below the root with '/', bytes, pid, camid,
        viewid, the encounter if known) in the list's order.

    Raises:
        InputError: where a photo has gone.
    """
    digest = hashlib.sha256()
    for record in records:
        try:
            size = os.stat(record.path).st_size
        except OSError as error:
            raise InputError(
                f'{record.path}: the photo was there a moment ago and cannot be read now '
                f'({error.strerror}); is its disk still there?'
            ) from None
        path = os.path.relpath(record.path, root).replace(os.sep, '/')
        entry = [path, size, record.pid, record.camid, record.viewid]
        if record.encounter is not None:
            entry.append(record.encounter)
        digest.update(json.dumps(entry).encode())
    return {'photos': len(records), 'sha256': digest.hexdigest()}
