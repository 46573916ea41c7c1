"""A release: all files in its archives and folders, and copying them."""

import contextlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from datasets.images import photo_extensions
from utils.errors import InputError
from utils.files import atomic_write, drop_leftovers, free_bytes, writing
from utils.logger import progress
from wildlife.releases.archives import (
    TAR,
    ZIP,
    File,
    file_at,
    files_below,
    is_archive,
    is_unread,
    list_archive,
    plain,
    read_contents,
    warn,
)

LARGEST = 10**8  # bytes; no photo or list of a release is larger


class Release:
    """The files of several archives and folders, without hidden files and those of macOS.

    The name of a given folder is part of the names of its files, because it may say what they are
    ('train').

    Args:
        paths: Archives (zip; tar, plain or compressed), folders, or single files. The extension of
            a link, not of its target, decides the kind of archive.
        inside: Pattern for archive names; archives directly in a given folder are read if their
            names match.
        leave_out: Folders below the given ones to skip, for example outputs of the tools.

    Raises:
        InputError: If a path is missing, or an archive is damaged, encrypted or of an unsupported
            kind, or contains a name that leads out of it.
    """

    def __init__(
        self, paths: Iterable[str | Path], inside: str, leave_out: Iterable[Path] = ()
    ) -> None:
        self.files: list[File] = []
        leave_out = list(leave_out)
        for path in map(Path, paths):
            if not path.exists():
                raise InputError(
                    f'{path}: no such archive or folder; give the downloaded archive, or the '
                    'folder it was unpacked to'
                )
            path = Path(os.path.abspath(path))
            if path.is_dir():
                self._add_folder(path, inside, leave_out)
            elif is_archive(path):
                self.files += list_archive(path)
            elif is_unread(path):
                raise InputError(
                    f'{path}: unsupported kind of archive (supported: {", ".join(TAR + ZIP)}); '
                    'unpack it and give the folder instead'
                )
            else:
                self.files.append(file_at(path.parent, path))

    def _add_folder(self, folder: Path, inside: str, leave_out: list[Path]) -> None:
        for path in files_below(folder, leave_out):
            if not is_archive(path):
                self.files.append(file_at(folder.parent, path))
        for path in sorted(folder.iterdir()):
            if path.is_file() and re.match(inside, path.name, re.IGNORECASE):
                if is_archive(path):
                    self.files += list_archive(path)
                elif is_unread(path):
                    warn(f'{path}: unsupported kind of archive, skipped; unpack it in this folder')

    def photos(self, wanted: Callable[[File], bool] = lambda file: True) -> dict[str, File]:
        """Return the photos for which ``wanted(file)`` is true, by their ``plain`` base names.

        A photo that is found twice, for example in an archive and unpacked, counts once.

        Raises:
            InputError: If photos of the same name differ in size or in the name of their folder,
                because lists could not tell them apart.
        """
        found: dict[str, File] = {}
        extensions = photo_extensions()
        for file in self.files:
            if PurePosixPath(file.base).suffix.lower() in extensions and wanted(file):
                first = found.setdefault(plain(file.base), file)
                if first.folders[-1:] != file.folders[-1:]:
                    raise InputError(
                        f'{first} and {file} have the same name in different folders, so lists '
                        'could not tell them apart; give only one release, with its original '
                        'folders'
                    )
                if first.size != file.size:
                    raise InputError(
                        f'{first} and {file} have the same name, but {first.size} and {file.size} '
                        'bytes; give only one release'
                    )
        return found

    def find(self, base: str) -> File | None:
        """Return the first file of this name, or None."""
        return next((file for file in self.files if file.base == base), None)

    def text(self, file: File) -> str:
        """Return the text of a list, in UTF-8 or cp1252, the encoding of older Windows systems."""
        if file.size > LARGEST:
            raise InputError(
                f'{file}: a list must not be larger than {LARGEST // 10**6} MB; check that this is '
                'the right file'
            )
        content = next(read_contents([file]))[1]
        try:
            text = content.decode('utf-8-sig')
        except UnicodeDecodeError:
            text = content.decode('cp1252', errors='replace')
        return unicodedata.normalize('NFC', text)  # as the names are

    @contextlib.contextmanager
    def on_disk(self, file: File) -> Iterator[Path]:
        """Provide a path from which ``file`` can be read within a ``with`` block."""
        if file.path:
            yield file.path
        else:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / file.base
                path.write_bytes(next(read_contents([file]))[1])
                yield path


def copy_files(targets: Mapping[File, Sequence[Path]], text: str = 'copying') -> tuple[int, int]:
    """Copy files of a release, reading each archive once.

    Targets that already have the same bytes are kept, so an interrupted copy resumes. The others
    are written under a temporary name and renamed.

    Args:
        targets: Paths that each file is copied to.
        text: Text of the progress bar.

    Returns:
        Number of paths written, and number of paths kept.

    Raises:
        InputError: If an archive is damaged, there is not enough space, or a file is larger than
            100 MB.
    """
    for file in targets:
        if file.size > LARGEST:
            raise InputError(
                f'{file}: {file.size / 1e6:.0f} MB are too large for a photo; check that this is '
                'the right archive'
            )
    _check_space(targets)
    for folder in sorted({path.parent for paths in targets.values() for path in paths}):
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        drop_leftovers(folder)
    written = 0
    for file, content in progress(read_contents(targets), text, total=len(targets)):
        for path in targets[file]:
            if not _holds(path, content):
                _write(path, content)
                written += 1
    return written, sum(map(len, targets.values())) - written


def _size_on_disk(path: Path) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _holds(path: Path, content: bytes) -> bool:
    try:
        return _size_on_disk(path) == len(content) and path.read_bytes() == content
    except OSError:
        return False


def _check_space(targets: Mapping[File, Sequence[Path]]) -> None:
    missing = [
        (path, file.size)
        for file, paths in targets.items()
        for path in paths
        if _size_on_disk(path) != file.size
    ]
    if not missing:
        return
    needed = sum(size for _, size in missing)
    folder = missing[0][0].parent
    free = free_bytes(folder)
    if needed > free:
        raise InputError(
            f'{folder}: the photos need {needed / 1e9:.1f} GB, but only {free / 1e9:.1f} GB '
            'are free; free up space, or give another folder as --out'
        )


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path, 'wb', sync=False) as file:
        file.write(content)
