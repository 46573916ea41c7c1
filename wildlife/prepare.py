"""Prepared copies of photos: training then need not crop boxes or apply EXIF orientations."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from datasets.images import read_image
from datasets.records import CONTROL, LINE
from utils.errors import InputError
from utils.files import atomic_write, writing
from utils.logger import progress
from wildlife.crops import Change

# Pillow options that save these formats without loss.
LOSSLESS: dict[str, dict[str, Any]] = {
    'PNG': {},
    'BMP': {},
    'TIFF': {'compression': 'tiff_lzw'},
    'WEBP': {'lossless': True},
}
# This file marks a folder as made by make_lists. It holds one JSON list per prepared photo: the
# photo's path and what it was made from.
MARK = '.made_by_make_lists'
LONGEST = 900  # characters of a path in a list
LONGEST_NAME = 150  # bytes of a file's name; its temporary name is longer


def listable(path: str) -> bool:
    """Return whether a line of a list can hold this path.

    It cannot hold control characters, backslashes, or spaces at either end.
    """
    match = LINE.fullmatch(f'{path} 0 - - -'.strip())
    return (
        match is not None
        and match[1] == path
        and len(path) <= LONGEST
        and '\\' not in path
        and not CONTROL.search(path)
    )


def prepared_name(path: str, change: Change | None) -> str:
    """Return the path of a prepared photo in its folder.

    The name of a crop contains its box. Two animals in one photo therefore get two files, and
    another margin gives other files.
    """
    stem, ending = os.path.splitext(path)
    if change and change.box:
        left, top, right, bottom = change.box
        stem += f'__{left}_{top}_{right - left}_{bottom - top}'
        if change.theta:
            stem += f'_turned{change.theta:.4g}'
    if change and change.kind not in ('JPEG', 'MPO', *LOSSLESS):
        ending += '.png'
    name = f'{stem}{ending or ".jpg"}'
    if len(name) > LONGEST or len(os.path.basename(name).encode()) > LONGEST_NAME:
        return f'long/{hashlib.sha256(name.encode()).hexdigest()[:32]}{ending or ".jpg"}'
    return name if listable(name) else re.sub(r'[^\w/.()+,=@-]', '_', name)


def check_folder(folder: Path, originals: Iterable[Path]) -> None:
    """Check that the prepared folder is new, empty or made by make_lists, and holds no original.

    Args:
        folder: The folder of the prepared photos.
        originals: The paths of the photos that will be read; they are never changed.

    Raises:
        InputError: The folder is a file, belongs to something else, or holds an original.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f'{folder}: this is a file, but the prepared photos need a folder; choose another '
            'with --photos-out'
        )
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise InputError(
            f'{folder}: this folder is not empty and was not made by make_lists; choose another '
            'folder for the prepared photos with --photos-out'
        )
    root = os.path.join(os.path.realpath(folder), '')
    inside = next((path for path in originals if os.path.realpath(path).startswith(root)), None)
    if inside:
        raise InputError(
            f'{folder}: this folder contains photos of the source ({inside}), which would be '
            'mixed with the prepared ones; choose another folder with --photos-out'
        )


def prepare_all(folder: Path, photos: Mapping[str, tuple[Path, Change | None]]) -> None:
    """Make the prepared photos; skip those that an earlier run made from the same file.

    The file ``MARK`` in the folder records what each photo was made from. The line of a photo is
    written after the photo, and removed before the photo is made again.

    Args:
        folder: The folder of the prepared photos.
        photos: Path in ``folder`` -> (original, how it is changed).

    Raises:
        InputError: A photo cannot be read or written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    origins = {path: _origin(*photo) for path, photo in photos.items()}
    made = {
        path: origin
        for path, origin in _read_mark(folder / MARK).items()
        if origins.get(path) == origin and (folder / path).is_file()
    }
    with atomic_write(folder / MARK) as file:
        file.writelines(_line(path, origin) for path, origin in made.items())
    with writing(folder / MARK), open(folder / MARK, 'a', encoding='utf-8') as file:
        for path, (original, change) in progress(photos.items(), 'prepared'):
            if path not in made:
                prepare(original, folder / path, change)
                file.write(_line(path, origins[path]))
                file.flush()


def _origin(path: Path, change: Change | None) -> list[object]:
    """Describe what a prepared photo is made from, in types that JSON preserves."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise InputError(f'{path}: the photo can no longer be read ({error.strerror})') from None
    return [os.path.realpath(path), status.st_size, status.st_mtime_ns, str(change)]


def _line(path: str, origin: list[object]) -> str:
    return json.dumps([path, *origin]) + '\n'


def _read_mark(path: Path) -> dict[str, list[object]]:
    """Read {path: origin}; broken lines are skipped, since a killed run may leave one."""
    made = {}
    if path.is_file():
        for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
            with contextlib.suppress(ValueError, TypeError):
                name, *origin = json.loads(line)
                made[name] = origin
    return made


def prepare(source: Path, target: Path, change: Change | None) -> None:
    """Make one prepared photo. The original is only read.

    A changed photo is encoded again: JPEG with quality 95; PNG, BMP, TIFF and WebP without loss;
    other formats as PNG. An unchanged photo is copied. It is not hard-linked, because edits of the
    copy would then change the original.

    Raises:
        InputError: The photo cannot be read or written.
    """
    with writing(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
    if change is None:
        with atomic_write(target, 'wb') as file:
            file.write(_content(source))
        return
    image = change(read_image(str(source)))
    kind = change.kind if change.kind in LOSSLESS else 'PNG'
    options = LOSSLESS[kind]
    if change.kind in ('JPEG', 'MPO'):
        kind, options = 'JPEG', {'quality': 95, 'subsampling': 0}
    with atomic_write(target, 'wb') as file:
        image.save(file, format=kind, **options)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f'{path}: the photo cannot be read ({error.strerror})') from None
