"""Locates the photos of a list before anything is computed."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from datasets.images import find_unreadable
from datasets.records import NOBODY, Record
from utils.errors import InputError
from utils.logger import logger
from utils.words import first_few, shortened


@dataclass(frozen=True)
class PhotoFolder:
    """A folder of photos, and what to do about missing, outside and broken photos.

    Args:
        root: The folder that the paths in a list are relative to; it may be a link.
        key: The config keys that ``root`` comes from, for messages.
        skip_missing: Whether missing photos are skipped and counted in the log
            (DATASETS.SKIP_MISSING).
        allow_outside: Whether photos may be outside ``root``, for example through links
            (DATASETS.ALLOW_OUTSIDE).
        skip_broken: Whether all photos are decoded, and those that cannot be read are skipped and
            named in the log (DATASETS.SKIP_BROKEN).
    """

    root: str
    key: str
    skip_missing: bool = False
    allow_outside: bool = False
    skip_broken: bool = False


def locate(records: Sequence[Record], folder: PhotoFolder, what: str) -> list[Record]:
    """Return the records of the photos that exist, with the paths of their files.

    Args:
        records: The records as listed.
        folder: The folder of the photos.
        what: The name of the list, for messages.

    Raises:
        InputError: The folder is missing, photos are missing or outside it, or none is left.
    """
    if not os.path.isdir(folder.root):
        raise InputError(f"{folder.key}: there is no folder '{folder.root}' with photos of {what}")
    real_path = cache(os.path.realpath)  # so that each folder is looked up once
    inside = os.path.join(real_path(folder.root), '')
    found, missing, outside = [], [], []
    for record in records:
        path = os.path.join(folder.root, record.path)
        place = path if os.path.islink(path) else os.path.dirname(path)
        if not os.path.isfile(path):
            missing.append(record)
        elif folder.allow_outside or os.path.join(real_path(place), '').startswith(inside):
            found.append(replace(record, path=path))
        else:
            outside.append(record)
    if outside:
        path = os.path.join(folder.root, outside[0].path)
        raise InputError(
            f"{what}: {len(outside)} of {len(records)} photos are outside '{folder.root}' ({path} "
            f'resolves to {os.path.realpath(path)}); set {folder.key} to the folder they are in, '
            'or DATASETS.ALLOW_OUTSIDE True if you trust the list'
        )
    if missing:
        message = (
            f'{what}: {len(missing)} of {len(records)} photos are missing in '
            f"'{folder.root}' ({first_few([shortened(record.path) for record in missing])})"
        )
        if not folder.skip_missing:
            raise InputError(f'{message}; check {folder.key}, or set DATASETS.SKIP_MISSING True')
        _log_skipped(message, missing, found)
    return _skip_broken(found, what) if folder.skip_broken else found


def _skip_broken(records: list[Record], what: str) -> list[Record]:
    reasons = find_unreadable([record.path for record in records])
    for path, reason in reasons.items():
        if not os.path.lexists(path):  # the disk was unplugged
            raise InputError(f'{path}: {reason}; bring it back (is the disk still mounted?)')
        logger.warning('skipped: %s: %s', path, reason)
    broken = [record for record in records if record.path in reasons]
    left = [record for record in records if record.path not in reasons]
    if broken:
        message = f'{what}: {len(broken)} of {len(records)} photos cannot be read'
        _log_skipped(message, broken, left)
    return left


def _log_skipped(message: str, skipped: Sequence[Record], left: Sequence[Record]) -> None:
    if not left:
        raise InputError(f'{message}; no photo is left')
    lost = {record.pid for record in skipped} - {record.pid for record in left} - {NOBODY}
    logger.warning(
        '%s; they are skipped, and %d individuals have no photo left', message, len(lost)
    )


def fingerprint(records: Sequence[Record], root: str) -> dict[str, int | str]:
    """Return a fingerprint of a split, which a later run or another machine can compare.

    It does not depend on where the photos are stored.

    Args:
        records: The located records.
        root: The folder that they were located in.

    Returns:
        {'photos': count, 'sha256': hex}, where the digest covers, in the order of the list, the
        path below the root (with '/'), bytes, pid, camid, viewid and the encounter if known.

    Raises:
        InputError: A photo has disappeared since it was located.
    """
    digest = hashlib.sha256()
    for record in records:
        try:
            size = os.path.getsize(record.path)
        except OSError as error:
            raise InputError(
                f'{record.path}: the photo was there a moment ago and cannot be read now '
                f'({error.strerror}); is its disk still mounted?'
            ) from None
        path = os.path.relpath(record.path, root).replace(os.sep, '/')
        entry = [path, size, record.pid, record.camid, record.viewid]
        if record.encounter is not None:
            entry.append(record.encounter)
        digest.update(json.dumps(entry).encode())
    return {'photos': len(records), 'sha256': digest.hexdigest()}
