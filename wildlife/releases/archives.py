"""The files in archives and folders: names, sizes, contents.

Nothing is unpacked under a name of its own: a program asks for contents and says where each goes,
so an archive's names lead nowhere, and links and devices in it are skipped. An archive is read
once to its end before anything is written: the checksum of a compressed one stands there.
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
    NotImplementedError,  # a kind of compression that is not read here
)

Archive = zipfile.ZipFile | tarfile.TarFile
Member = zipfile.ZipInfo | tarfile.TarInfo


class File(NamedTuple):
    """A file of a release.

    Attributes:
        source: its archive, or the folder that ``name`` is relative to.
        name: with '/', NFC.
        size: bytes.
        path: where it lies, for opening (the name there may be NFD); None in an archive.
    """

    source: Path
    name: str
    size: int
    path: Path | None = None

    @property
    def base(self) -> str:
        """'00002_001.jpg'."""
        return PurePosixPath(self.name).name

    @property
    def folders(self) -> tuple[str, ...]:
        """('IJCB 2021', 'train', '2') of 'IJCB 2021/train/2/00002_001.jpg'."""
        return PurePosixPath(self.name).parts[:-1]

    def __str__(self) -> str:
        return f'{self.source}: {self.name}'


def warn(text: str) -> None:
    """Print a warning to stderr."""
    sys.stderr.write(f'warning: {text}\n')


def plain(name: str) -> str:
    """Return a name as it is compared: NFC (macOS stores NFD), the ending in lower case."""
    stem, ending = os.path.splitext(unicodedata.normalize('NFC', name))
    return stem + ending.lower()


def files_below(
    folder: str | Path, leave_out: Iterable[str | os.PathLike[str]] = ()
) -> Iterator[Path]:
    """Yield the files below a folder by name, without hidden ones and what macOS adds.

    Links to folders are followed, but not to a folder that they are in.

    Args:
        folder: where to look.
        leave_out: folders that are not looked into.

    Raises:
        InputError: a folder cannot be read.
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
    return path.name.lower().endswith(TAR + ZIP)


def is_unread(path: Path) -> bool:
    """Whether it is an archive of a kind that is not read here."""
    return path.name.lower().endswith(UNREAD)


def _is_junk(name: str) -> bool:
    return name.startswith(('.', '__MACOSX'))


def list_archive(path: Path) -> list[File]:
    """Return the files of an archive, which is read to its end.

    Raises:
        InputError: it is empty, damaged, encrypted, or a name leads out of it.
    """
    found = []
    with _reading(path) as archive:
        for _, name, size in _members(archive, path):
            found.append(File(path, name, size))
        if isinstance(archive, tarfile.TarFile) and archive.fileobj:
            while archive.fileobj.read(2**20):  # to the end, where the checksum is
                pass
    if not found:
        raise InputError(f'{path}: the archive is empty; download it again')
    return found


def read_contents(files: Iterable[File]) -> Iterator[tuple[File, bytes]]:
    """Yield (file, its bytes), archive by archive, in the order of each archive."""
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
    """Open one of the archive's own members."""
    if isinstance(archive, zipfile.ZipFile):
        return archive.open(member)
    stream = archive.extractfile(member)
    assert stream  # it is a plain file
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
            f'{file}: {len(content)} bytes, not {file.size}: cut off or changed; download it again'
        )
    return content


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[Archive]:
    """An open archive; what the reader says of damage within this block becomes one line."""
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
            f'{path}: the archive is cut off or damaged ({reason}); download it again'
        ) from None


def _members(archive: Archive, path: Path) -> Iterator[tuple[Member, str, int]]:
    """(member, name, bytes) of the plain files of an archive, in its order."""
    for member in archive.infolist() if isinstance(archive, zipfile.ZipFile) else archive:
        if not _is_file(member):
            continue
        name = _zip_name(member) if isinstance(member, zipfile.ZipInfo) else member.name
        parts = PurePosixPath(name).parts
        if '..' in parts or name.startswith('/') or '\\' in name or re.match('[A-Za-z]:', name):
            raise InputError(
                f'{path}: the name {name!r} leads out of the archive, as in no release; get it '
                'from its makers'
            )
        if any(map(_is_junk, parts)):
            continue
        if isinstance(member, zipfile.ZipInfo) and member.flag_bits & 1:
            raise InputError(
                f'{path}: the archive is encrypted; unpack it with its password and give the folder'
            )
        yield member, unicodedata.normalize('NFC', str(PurePosixPath(name))), _size(member)


def _is_file(member: Member) -> bool:
    """Whether it is no folder, link or device."""
    if isinstance(member, zipfile.ZipInfo):
        return not member.is_dir() and not stat.S_ISLNK(member.external_attr >> 16)
    return member.isfile()


def _size(member: Member) -> int:
    return member.file_size if isinstance(member, zipfile.ZipInfo) else member.size


def _zip_name(member: zipfile.ZipInfo) -> str:
    """Names that are not marked as UTF-8 mostly are, from macOS; Python takes them for cp437."""
    if not member.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            return member.filename.encode('cp437').decode('utf-8')
    return member.filename
