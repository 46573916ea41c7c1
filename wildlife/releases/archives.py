"""The files in archives and folders: names, sizes, contents.

No archive is unpacked under its own names. A caller asks for the content of a file and decides
where it goes, so the names in an archive cannot lead out of the target folder. Links and devices
are skipped. Before anything is written, an archive is read to its end, because the checksum of a
compressed archive is stored there.
"""

import contextlib
import lzma
import os
import re
import stat
import sys
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from utils.errors import InputError

TAR = ('.tar', '.tar.gz', '.tgz', '.tar.bz2', '.tar.xz')
ZIP = ('.zip',)
UNREAD = ('.rar', '.7z', '.zst')
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,  # an unsupported kind of compression
)

Archive = zipfile.ZipFile | tarfile.TarFile
Member = zipfile.ZipInfo | tarfile.TarInfo


class File(NamedTuple):
    """A file of a release.

    Attributes:
        source: Archive of the file, or the folder that ``name`` is relative to.
        name: Path with '/', normalised to NFC.
        size: Bytes.
        path: Path to open the file (its name on disk may be NFD); None in an archive.
    """

    source: Path
    name: str
    size: int
    path: Path | None = None

    @property
    def base(self) -> str:
        """File name without folders, for example '00002_001.jpg'."""
        return PurePosixPath(self.name).name

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders of ``name``: ('IJCB 2021', 'train') for 'IJCB 2021/train/00002_001.jpg'."""
        return PurePosixPath(self.name).parts[:-1]

    def __str__(self) -> str:
        return f'{self.source}: {self.name}'


def warn(text: str) -> None:
    """Print a warning to stderr."""
    sys.stderr.write(f'warning: {text}\n')


def plain(name: str) -> str:
    """Normalise a name for comparison: NFC (macOS stores NFD), extension in lower case."""
    stem, ending = os.path.splitext(unicodedata.normalize('NFC', name))
    return stem + ending.lower()


def files_below(
    folder: str | Path, leave_out: Iterable[str | os.PathLike[str]] = ()
) -> Iterator[Path]:
    """Yield the files below a folder in the order of their names.

    Hidden files and those that macOS adds are skipped. Links to folders are followed unless they
    point to a folder that contains them.

    Args:
        folder: Folder to search.
        leave_out: Folders to skip.

    Raises:
        InputError: If a folder cannot be read.
    """
    return _files_below(folder, {os.path.realpath(other) for other in leave_out}, ())


def _files_below(folder: str | Path, leave_out: set[str], above: tuple[str, ...]) -> Iterator[Path]:
    above = (*above, os.path.realpath(folder))
    try:
        names = sorted(name for name in os.listdir(folder) if not _is_junk(name))
    except OSError as error:
        raise InputError(f'{folder}: the folder cannot be read ({error.strerror})') from None
    for path in (Path(folder, name) for name in names):
        if path.is_file():
            yield path
        elif (
            path.is_dir()
            and (real := os.path.realpath(path)) not in above
            and real not in leave_out
        ):
            yield from _files_below(path, leave_out, above)


def file_at(root: Path, path: Path) -> File:
    """Return the ``File`` at a path, named relative to ``root``."""
    name = unicodedata.normalize('NFC', path.relative_to(root).as_posix())
    return File(root, name, path.stat().st_size, path)


def is_archive(path: Path) -> bool:
    """Whether this is an archive of a supported kind, by its name."""
    return path.name.lower().endswith(TAR + ZIP)


def is_unread(path: Path) -> bool:
    """Whether this is an archive of an unsupported kind, by its name."""
    return path.name.lower().endswith(UNREAD)


def _is_junk(name: str) -> bool:
    return name.startswith(('.', '__MACOSX'))


def list_archive(path: Path) -> list[File]:
    """Return the files of an archive, after reading it to its end.

    Raises:
        InputError: If the archive is empty, damaged or encrypted, or a name in it leads out of it.
    """
    found = []
    with _reading(path) as archive:
        for _, name, size in _members(archive, path):
            found.append(File(path, name, size))
        if isinstance(archive, tarfile.TarFile) and archive.fileobj:
            while archive.fileobj.read(2**20):  # the checksum is at the end
                pass
    if not found:
        raise InputError(f'{path}: the archive is empty; download it again')
    return found


def read_contents(files: Iterable[File]) -> Iterator[tuple[File, bytes]]:
    """Yield (file, bytes) archive by archive, in the order of each archive."""
    wanted: dict[Path, dict[str, File]] = {}
    for file in files:
        wanted.setdefault(file.source, {})[file.name] = file
    for source, by_name in wanted.items():
        if source.is_dir():
            for file in by_name.values():
                yield file, _read(file, (file.path or source / file.name).open, 'rb')
            continue
        with _reading(source) as archive:
            for member, name, _ in _members(archive, source):
                if name in by_name:
                    file = by_name.pop(name)
                    yield file, _read(file, partial(_open, archive), member)
                if not by_name:
                    break


def _open(archive: Archive, member: Any) -> IO[bytes]:
    if isinstance(archive, zipfile.ZipFile):
        return archive.open(member)
    stream = archive.extractfile(member)
    assert stream  # None only for members that are not regular files
    return stream


def _read(file: File, open_stream: Callable[..., IO[bytes]], what: str | Member) -> bytes:
    try:
        with open_stream(what) as stream:
            content = stream.read(file.size + 1)
    except OSError as error:
        raise InputError(
            f'{file} cannot be read ({error.strerror or error}); download it again'
        ) from error
    if len(content) != file.size:
        raise InputError(
            f'{file}: has {len(content)} bytes instead of {file.size}, so it is truncated or has '
            'changed; download it again'
        )
    return content


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[Archive]:
    """Open an archive; errors about damage within this block become a one-line ``InputError``."""
    open_archive: Callable[[Path], Archive] = tarfile.open
    if path.name.lower().endswith(ZIP):
        open_archive = zipfile.ZipFile
    try:
        with open_archive(path) as archive:
            yield archive
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno:
            raise InputError(f'{path}: the archive cannot be read ({error.strerror})') from None
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise InputError(
            f'{path}: the archive is truncated or damaged ({reason}); download it again'
        ) from None


def _members(archive: Archive, path: Path) -> Iterator[tuple[Member, str, int]]:
    """Yield (member, name, bytes) of the regular files in an archive, in its order."""
    for member in archive.infolist() if isinstance(archive, zipfile.ZipFile) else archive:
        if not _is_file(member):
            continue
        name = _zip_name(member) if isinstance(member, zipfile.ZipInfo) else member.name
        parts = PurePosixPath(name).parts
        if '..' in parts or name.startswith('/') or '\\' in name or re.match('[A-Za-z]:', name):
            raise InputError(
                f'{path}: the name {name!r} leads out of the archive, which no official release '
                'contains; download the archive from its authors'
            )
        if any(map(_is_junk, parts)):
            continue
        if isinstance(member, zipfile.ZipInfo) and member.flag_bits & 1:
            raise InputError(
                f'{path}: the archive is encrypted; unpack it with its password and give the '
                'folder instead'
            )
        yield member, unicodedata.normalize('NFC', str(PurePosixPath(name))), _size(member)


def _is_file(member: Member) -> bool:
    """Whether the member is a regular file: not a folder, link or device."""
    if isinstance(member, zipfile.ZipInfo):
        return not member.is_dir() and not stat.S_ISLNK(member.external_attr >> 16)
    return member.isfile()


def _size(member: Member) -> int:
    return member.file_size if isinstance(member, zipfile.ZipInfo) else member.size


def _zip_name(member: zipfile.ZipInfo) -> str:
    """Return the name of a zip member, decoded as UTF-8 where possible.

    macOS does not mark its UTF-8 names as such, and Python then decodes them as cp437.
    """
    if not member.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            return member.filename.encode('cp437').decode('utf-8')
    return member.filename
