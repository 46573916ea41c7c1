"""A release: all files of its archives and folders, and how they are copied."""

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

LARGEST = 10**8  # bytes of one file; a photo of more is none


class Release:
    """The files of several archives and folders, without hidden ones and what macOS adds.

    A folder's own name counts as part of its files' names, as it may say what they are ('train').

    Args:
        paths: archives (tar, plain or compressed; zip), folders, or single files; of a link the
            name that is given says which.
        inside: of a folder also the archives in it whose name matches this pattern are read.
        leave_out: folders below those, what the tools make for example.

    Raises:
        InputError: missing, damaged, encrypted, of a kind that is not read, or with a name that
            leads out.
    """

    def __init__(
        self, paths: Iterable[str | Path], inside: str, leave_out: Iterable[Path] = ()
    ) -> None:
        self.files: list[File] = []
        leave_out = list(leave_out)
        for path in map(Path, paths):
            if not path.exists():
                raise InputError(
                    f'{path}: no such archive or folder; give the download, or what it was '
                    'unpacked to'
                )
            path = Path(os.path.abspath(path))
            if path.is_dir():
                self._add_folder(path, inside, leave_out)
            elif is_archive(path):
                self.files += list_archive(path)
            elif is_unread(path):
                raise InputError(
                    f'{path}: this kind of archive is not read (but {", ".join(TAR + ZIP)}); '
                    'unpack it and give the folder'
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
                    warn(f'{path} is of a kind that is not read here; unpack it beside')

    def photos(self, wanted: Callable[[File], bool] = lambda file: True) -> dict[str, File]:
        """Return the photos for which ``wanted(file)`` holds, by their ``plain`` base names.

        A photo that is there twice, unpacked beside its archive for example, counts once.

        Raises:
            InputError: two of the same name differ in size or in their folder, so that lists
                could not tell them apart.
        """
        found: dict[str, File] = {}
        extensions = photo_extensions()
        for file in self.files:
            if PurePosixPath(file.base).suffix.lower() in extensions and wanted(file):
                first = found.setdefault(plain(file.base), file)
                if first.folders[-1:] != file.folders[-1:]:
                    raise InputError(
                        f'{first} and {file} have the same name in different folders, so no list '
                        'could tell them apart; give one release only, as it came'
                    )
                if first.size != file.size:
                    raise InputError(
                        f'{first} and {file} have the same name, but {first.size} and {file.size} '
                        'bytes; give one release only'
                    )
        return found

    def find(self, base: str) -> File | None:
        """Return the first file of this name, or None."""
        return next((file for file in self.files if file.base == base), None)

    def text(self, file: File) -> str:
        """Return the text of a list, UTF-8 or, from an older Windows, cp1252."""
        if file.size > LARGEST:
            raise InputError(
                f'{file}: a list of more than {LARGEST // 10**6} MB; is it the right file?'
            )
        content = next(read_contents([file]))[1]
        try:
            text = content.decode('utf-8-sig')
        except UnicodeDecodeError:
            text = content.decode('cp1252', errors='replace')
        return unicodedata.normalize('NFC', text)  # as the names are

    @contextlib.contextmanager
    def on_disk(self, file: File) -> Iterator[Path]:
        """A path at which ``file`` can be read, within this block."""
        if file.path:
            yield file.path
        else:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / file.base
                path.write_bytes(next(read_contents([file]))[1])
                yield path


def copy_files(targets: Mapping[File, Sequence[Path]], text: str = 'copying') -> tuple[int, int]:
    """Copy files of a release; an archive is read once.

    A path with the same bytes is left as it is, so that an interrupted copy resumes; others are
    written under a temporary name and renamed.

    Args:
        targets: paths that each file is copied to.
        text: beside the progress bar.

    Returns:
        Counts of paths: written, kept.

    Raises:
        InputError: damaged archive, no space, or a file of more than 100 MB.
    """
    for file in targets:
        if file.size > LARGEST:
            raise InputError(
                f'{file}: {file.size / 1e6:.0f} MB, more than a photo has; is it the right archive?'
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
    with contextlib.suppress(OSError):  # where nobody knows, one tries
        free = free_bytes(folder)
        if needed > free:
            raise InputError(
                f'{folder}: the photos need {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; '
                'make space there'
            )


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path, 'wb', sync=False) as file:
        file.write(content)
