"""Archives and folders as they were released, read as one set of files.

Nothing is unpacked under a name of its own: a program asks for files and says where each goes, so
an archive's names lead nowhere, and links and devices in it are left out. The archives themselves
are only read, each once to its end before anything
is written: the checksum of a compressed one stands there.
"""

import contextlib
import lzma
import os
import re
import stat
import sys
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from utils.errors import InputError
from utils.files import atomic_write, drop_leftovers, free_bytes, writing
from utils.logger import progress
from wildlife.lists.folders import photo_extensions

TAR = ('.tar', '.tar.gz', '.tgz', '.tar.bz2', '.tar.xz')
ZIP = ('.zip',)
UNREAD = ('.rar', '.7z', '.zst')
LARGEST = 10**8  # bytes of one file; a photo of more is none
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,
)  # a kind of compression that is not read here


class File(NamedTuple):
    """A file of a release. source: its archive, or the folder that ``name`` is relative to. name:
    with '/', NFC. size: bytes.
    path: where it lies, for opening (the name there may be NFD); None in an archive."""

    source: Path
    name: str
    size: int
    path: Path | None = None

    @property
    def base(self):
        return PurePosixPath(self.name).name

    @property
    def folders(self):
        """('IJCB 2021', 'train', '2') of 'IJCB 2021/train/2/00002_001.jpg'."""
        return PurePosixPath(self.name).parts[:-1]


class Release:
    """The files of several archives and folders.

    paths: archives (tar, plain or compressed; zip), folders, or single files; of a link the name
    that is given says which. A folder's own name counts as part of its files' names, as it may say
    what they are ('train'). inside: of a folder also the archives in it whose name matches this
    pattern are read. leave_out: folders below those, what the tools make for example. Hidden files
    and what macOS adds to archives are left out.

    Raises ``InputError``: not there, damaged, encrypted, of a kind that is not read, or with a name
    that leads out.
    """

    def __init__(self, paths, inside, leave_out=()):
        self.files = []
        for path in map(Path, paths):
            if not path.exists():
                raise InputError(
                    f'{path}: no such archive or folder; give the download, or what it was '
                    'unpacked to'
                )
            path = Path(os.path.abspath(path))
            if path.is_dir():
                self.files += [
                    _file(path.parent, found)
                    for found in files_below(path, leave_out)
                    if not _is_archive(found)
                ]
                for archive in sorted(path.iterdir()):
                    if archive.is_file() and re.match(inside, archive.name, re.IGNORECASE):
                        if _is_archive(archive):
                            self.files += _list_archive(archive)
                        elif _is_unread(archive):
                            warn(f'{archive} is of a kind that is not read here; unpack it beside')
            elif _is_archive(path):
                self.files += _list_archive(path)
            elif _is_unread(path):
                raise InputError(
                    f'{path}: this kind of archive is not read (but {", ".join(TAR + ZIP)}); '
                    'unpack it and give '
                    'the folder'
                )
            else:
                self.files.append(_file(path.parent, path))

    def photos(self, wanted=lambda file: True):
        """``plain`` base name -> ``File`` of the photos for which ``wanted(file)`` holds.

        A photo that is there twice, unpacked beside its archive for example, counts once. Raises
        ``InputError`` where
        two of the same name differ in size or in the folder that they are in: lists could not tell
        them apart.
        """
        found, extensions = {}, photo_extensions()
        for file in self.files:
            if PurePosixPath(file.base).suffix.lower() in extensions and wanted(file):
                first = found.setdefault(plain(file.base), file)
                if first.folders[-1:] != file.folders[-1:]:
                    raise InputError(
                        f'{_where(first)} and {_where(file)} have the same name in different '
                        'folders, so no list '
                        'could tell them apart; give one release only, as it came'
                    )
                if first.size != file.size:
                    raise InputError(
                        f'{_where(first)} and {_where(file)} have the same name, but '
                        f'{first.size} and {file.size} '
                        f'bytes; give one release only'
                    )
        return found

    def find(self, base):
        """The first file of this name, or None."""
        return next((file for file in self.files if file.base == base), None)

    def text(self, file):
        """The text of a list, UTF-8 or, from an older Windows, cp1252."""
        if file.size > LARGEST:
            raise InputError(
                f'{_where(file)}: a list of more than {LARGEST // 10**6} MB; is it the right file?'
            )
        content = next(_contents([file]))[1]
        try:
            text = content.decode('utf-8-sig')
        except UnicodeDecodeError:
            text = content.decode('cp1252', errors='replace')
        return unicodedata.normalize('NFC', text)  # as the names are

    @contextlib.contextmanager
    def on_disk(self, file):
        """A path at which ``file`` can be read, within this block."""
        if file.path:
            yield file.path
        else:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / file.base
                path.write_bytes(next(_contents([file]))[1])
                yield path


def copy_files(targets, text='copying'):
    """Copy files of a release.

    targets: dict of ``File`` to the paths that it is copied to. A path where the same bytes lie is
    left as it is, so that a copy that was stopped goes on; others are written under a temporary
    name and renamed. An archive is read once.

    Returns (written, kept): counts of paths. Raises ``InputError``: damaged archive, no space, a
    file of more than 100 MB.
    """
    for file in targets:
        if file.size > LARGEST:
            raise InputError(
                f'{_where(file)}: {file.size / 1e6:.0f} MB, more than a photo has; is it the '
                'right archive?'
            )
    _check_space(targets)
    for folder in sorted({path.parent for paths in targets.values() for path in paths}):
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        drop_leftovers(folder)
    written = 0
    for file, content in progress(_contents(targets), text, total=len(targets)):
        for path in targets[file]:
            if not _holds(path, content):
                _write(path, content)
                written += 1
    return written, sum(map(len, targets.values())) - written


def _size_on_disk(path):
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _holds(path, content):
    try:
        return _size_on_disk(path) == len(content) and path.read_bytes() == content
    except OSError:
        return False


def _check_space(targets):
    missing = [
        (path, file.size)
        for file, paths in targets.items()
        for path in paths
        if _size_on_disk(path) != file.size
    ]
    needed = sum(size for _, size in missing)
    folder = missing[0][0].parent if missing else None
    with contextlib.suppress(OSError):  # where nobody knows, one tries
        if folder and needed > (free := free_bytes(folder)):
            raise InputError(
                f'{folder}: the photos need {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; '
                'make space there'
            )


def _write(path, content):
    with atomic_write(path, 'wb', sync=False) as file:
        file.write(content)


def warn(text):
    sys.stderr.write(f'warning: {text}\n')


def plain(name):
    """A name as it is compared: NFC, as macOS has NFD on its disks, and the ending in small
    letters.
    """
    stem, ending = os.path.splitext(unicodedata.normalize('NFC', name))
    return stem + ending.lower()


def files_below(folder, leave_out=()):
    """Paths of the files below a folder, in the order of their names, without hidden ones and what
    macOS adds.

    Links to folders are followed, but not to a folder that they are in. leave_out: folders that are
    not looked into. Raises ``InputError`` for a folder that cannot be read.
    """
    return _files_below(folder, {os.path.realpath(other) for other in leave_out}, ())


def _files_below(folder, leave_out, above):
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


def _file(root, path):
    name = unicodedata.normalize('NFC', path.relative_to(root).as_posix())
    return File(root, name, path.stat().st_size, path)


def _is_archive(path):
    return path.name.lower().endswith(TAR + ZIP)


def _is_unread(path):
    return path.name.lower().endswith(UNREAD)


def _where(file):
    return f'{file.source}: {file.name}'


def _is_junk(name):
    return name.startswith(('.', '__MACOSX'))


def _list_archive(path):
    found = []
    with _reading(path) as archive:
        for _, name, size in _members(archive, path):
            found.append(File(path, name, size))
        if isinstance(archive, tarfile.TarFile):
            while archive.fileobj.read(2**20):  # to the end, where the checksum is
                pass
    if not found:
        raise InputError(f'{path}: the archive is empty; download it again')
    return found


def _contents(files):
    """(file, bytes) of files, archive by archive, in the order of each archive."""
    wanted = {}
    for file in files:
        wanted.setdefault(file.source, {})[file.name] = file
    for source, by_name in wanted.items():
        if source.is_dir():
            for file in by_name.values():
                yield file, _whole(file.path.open, 'rb', file)
            continue
        with _reading(source) as archive:
            for member, name, _ in _members(archive, source):
                if name in by_name:
                    opener = (
                        archive.open
                        if isinstance(archive, zipfile.ZipFile)
                        else archive.extractfile
                    )
                    yield (file := by_name.pop(name)), _whole(opener, member, file)
                if not by_name:
                    break


def _whole(opener, what, file):
    try:
        with opener(what) as stream:
            content = stream.read(file.size + 1)
    except OSError as error:
        raise InputError(
            f'{_where(file)} cannot be read ({error.strerror or error}); download it again'
        ) from error
    if len(content) != file.size:
        raise InputError(
            f'{_where(file)}: {len(content)} bytes, not {file.size}: cut off or changed; '
            'download it again'
        )
    return content


@contextlib.contextmanager
def _reading(path):
    """An open archive. Whatever the reader says of damage within this block becomes one line."""
    try:
        is_zip = path.name.lower().endswith(ZIP)
        with zipfile.ZipFile(path) if is_zip else tarfile.open(path, 'r:*') as archive:
            yield archive
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno:
            raise InputError(f'{path}: the archive cannot be read ({error.strerror})') from None
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise InputError(
            f'{path}: the archive is cut off or damaged ({reason}); download it again'
        ) from None


def _members(archive, path):
    """(member, name, bytes) of the plain files of an archive, in its order."""
    if isinstance(archive, zipfile.ZipFile):
        members = [
            (member, _zip_name(member))
            for member in archive.infolist()
            if not member.is_dir() and not stat.S_ISLNK(member.external_attr >> 16)
        ]
    else:
        members = ((member, member.name) for member in archive if member.isfile())
    for member, name in members:
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


def _size(member):
    return member.file_size if isinstance(member, zipfile.ZipInfo) else member.size


def _zip_name(member):
    """Names that are not marked as UTF-8 mostly are, from macOS; Python takes them for cp437."""
    if not member.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            return member.filename.encode('cp437').decode('utf-8')
    return member.filename
