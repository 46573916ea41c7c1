"""Files: temporary names, leftovers, file-system errors."""

import errno
import math
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.utils.failing_files import fails_with
from utils import files
from utils.errors import InputError
from utils.files import (
    atomic_folder,
    atomic_write,
    drop_leftovers,
    free_bytes,
    keep_earlier,
    make_output_dir,
    temporary_name,
    writing,
)


def test_names_that_are_not_utf8_are_escaped(tmp_path):
    with atomic_write(tmp_path / 'a.csv') as file:
        file.write('Łucja 虎 ' + os.fsdecode(b'caf\xe9'))
    assert (tmp_path / 'a.csv').read_text(encoding='utf-8') == 'Łucja 虎 caf\\udce9'


def test_an_unfinished_file_has_a_temporary_name(tmp_path):
    path = tmp_path / 'x.txt'
    path.write_text('old')
    with atomic_write(path) as file:
        file.write('new')
        file.flush()
        assert path.read_text() == 'old'
        assert {p.name for p in tmp_path.iterdir()} == {'x.txt', temporary_name('x.txt')}
    assert path.read_text() == 'new' and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('step', ['fsync', 'replace'])
@pytest.mark.parametrize(
    'number, remedy',
    [
        (errno.ENOSPC, 'make space there'),
        (errno.EDQUOT, 'your disk quota is used up'),
        (errno.EROFS, 'choose another folder'),
        (errno.EACCES, 'choose another folder'),
        (errno.ENOENT, 'its folder does not exist'),
        (errno.EIO, 'is the disk full'),
    ],
)
def test_a_failed_write_keeps_the_old_file_and_reports_why(
    tmp_path, monkeypatch, step, number, remedy
):
    path = tmp_path / 'x.txt'
    path.write_text('old')
    monkeypatch.setattr(files.os, step, fails_with(number))
    words = re.escape(f'cannot write {path}: {os.strerror(number)}; {remedy}')
    with pytest.raises(InputError, match=words), atomic_write(path) as file:
        file.write('new')
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('error', [KeyboardInterrupt, SystemExit, ValueError('a bug')])
def test_an_interrupted_write_keeps_the_old_file(tmp_path, error):
    path = tmp_path / 'x.txt'
    path.write_text('old')
    with pytest.raises(BaseException) as raised, atomic_write(path) as file:
        file.write('new')
        raise error
    assert raised.type is (error if isinstance(error, type) else type(error))
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_does_not_exist(tmp_path):
    with (
        pytest.raises(InputError, match='its folder does not exist'),
        atomic_write(tmp_path / 'gone' / 'x.txt'),
    ):
        pass
    with pytest.raises(InputError, match='its folder does not exist'), writing(tmp_path / 'gone'):
        os.listdir(tmp_path / 'gone')


def test_the_folder_is_synced_after_the_rename(tmp_path, monkeypatch):
    """Otherwise a power failure may undo the rename."""
    calls = []
    monkeypatch.setattr(
        files.os,
        'fsync',
        lambda handle: calls.append(
            os.readlink(f'/proc/self/fd/{handle}') if os.path.exists('/proc/self/fd') else handle
        ),
    )
    with atomic_write(tmp_path / 'x.txt') as file:
        file.write('new')
    assert len(calls) == 2
    if os.path.exists('/proc/self/fd'):
        assert calls == [str(tmp_path / temporary_name('x.txt')), str(tmp_path)]


def test_earlier_files_are_numbered(tmp_path):
    path = tmp_path / 'x.txt'
    assert keep_earlier(path) is None
    for number in (1, 2):
        path.write_text(str(number))
        assert keep_earlier(path) == tmp_path / f'x.{number}.txt'
    assert not path.exists() and (tmp_path / 'x.2.txt').read_text() == '2'


def test_an_earlier_file_that_cannot_be_kept(tmp_path, monkeypatch):
    (tmp_path / 'x.txt').write_text('1')
    monkeypatch.setattr(Path, 'rename', fails_with(errno.EROFS))
    with pytest.raises(InputError, match='x.1.txt: Read-only file system; choose another folder'):
        keep_earlier(tmp_path / 'x.txt')


def test_free_bytes(tmp_path):
    here = free_bytes(tmp_path)
    stat = os.statvfs(tmp_path)
    assert here == pytest.approx(stat.f_bavail * stat.f_frsize, rel=0.05)
    assert free_bytes(tmp_path / 'not' / 'there' / 'yet') == pytest.approx(here, rel=0.05)


def test_free_bytes_that_the_system_does_not_report(tmp_path, monkeypatch):
    monkeypatch.setattr('shutil.disk_usage', fails_with(errno.ENOSYS))
    assert free_bytes(tmp_path) == math.inf


def test_only_leftovers_of_ended_processes_are_deleted(tmp_path):
    process = subprocess.Popen([sys.executable, '-c', ''])
    gone = process.pid if process.wait() == 0 else None
    host, old = socket.gethostname(), time.time() - 2 * files.STALE_SECONDS
    dropped = {
        f'.tmp-{gone}@{host}@x.pth',
        temporary_name('x.pth'),
        '.tmp-1@elsewhere@old.pth',
        '.tmp-unknown',
        f'.tmp-{"9" * 40}@{host}@x.pth',
    }
    kept = {
        f'.tmp-{os.getppid()}@{host}@x.pth',
        f'.tmp-1@{host}@x.pth',
        f'.tmp-{gone}@elsewhere@x.pth',
        '.tmp-new',
        'x.pth',
    }
    for name in dropped | kept:
        (tmp_path / name).write_text('')
        if name in ('.tmp-1@elsewhere@old.pth', '.tmp-unknown'):
            os.utime(tmp_path / name, (old, old))
    assert make_output_dir(tmp_path) == tmp_path
    assert {
        p.name for p in tmp_path.iterdir()
    } == dropped | kept  # the caller may not hold the lock yet
    drop_leftovers(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == kept


def test_a_folder_that_looks_like_a_leftover_is_kept(tmp_path):
    (tmp_path / temporary_name('folder')).mkdir()
    drop_leftovers(tmp_path)
    assert (tmp_path / temporary_name('folder')).is_dir()


def test_a_folder_gets_its_name_when_it_is_complete(tmp_path):
    path = tmp_path / 'new' / 'out'
    with atomic_folder(path) as folder:
        (folder / 'a.txt').write_text('a')
        assert not path.exists() and folder.parent == path.parent
    assert [file.name for file in path.parent.iterdir()] == ['out']
    assert (path / 'a.txt').read_text() == 'a'


def test_a_folder_that_fails_is_not_there(tmp_path):
    (tmp_path / 'out').mkdir()
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / 'out') as folder:
        (folder / 'a.txt').write_text('a')
        raise ZeroDivisionError
    assert [file.name for file in tmp_path.iterdir()] == ['out']
    assert list((tmp_path / 'out').iterdir()) == []


@pytest.mark.parametrize('make', [lambda path: path.write_text(''), lambda path: path.mkdir()])
def test_a_folder_replaces_nothing(tmp_path, make):
    make(tmp_path / 'out')
    if (tmp_path / 'out').is_dir():
        (tmp_path / 'out' / 'mine').write_text('')
    message = 'is there already; name a new folder'
    with pytest.raises(InputError, match=message), atomic_folder(tmp_path / 'out'):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ['out']


def test_a_folder_whose_name_is_too_long(tmp_path):
    message, path = 'cannot write .*: File name too long', tmp_path / ('x' * 300)
    with pytest.raises(InputError, match=message), atomic_folder(path):
        pass


def test_two_programs_that_make_the_same_folder(tmp_path):
    path = tmp_path / 'out'
    with pytest.raises(InputError, match='cannot write'), atomic_folder(path):
        path.mkdir()
        (path / 'theirs').write_text('')
    assert [file.name for file in path.iterdir()] == ['theirs']
    assert [file.name for file in tmp_path.iterdir()] == ['out']


def test_the_folder_of_a_killed_program_is_deleted_the_next_time(tmp_path):
    code = (
        'import os, sys; from utils.files import atomic_folder\n'
        'with atomic_folder(sys.argv[1]) as folder:\n'
        '    (folder / "a.txt").write_text("a"); os.kill(os.getpid(), 9)'
    )
    command = [sys.executable, '-c', code, str(tmp_path / 'out')]
    assert subprocess.run(command, cwd=files.__file__.rpartition('/utils/')[0]).returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.name.startswith('.tmp-')
    with atomic_folder(tmp_path / 'other'):
        pass
    assert left.is_dir()
    with atomic_folder(tmp_path / 'out'):
        assert not left.exists()
    assert {file.name for file in tmp_path.iterdir()} == {'other', 'out'}


@pytest.mark.parametrize(
    'number, remedy',
    [
        (errno.ENOSPC, 'make space there'),
        (errno.EROFS, 'choose another folder'),
        (errno.EIO, 'is the disk full'),
    ],
)
def test_an_output_folder_that_cannot_be_written(tmp_path, monkeypatch, number, remedy):
    monkeypatch.setattr(files.tempfile, 'TemporaryFile', fails_with(number))
    words = f'cannot write OUTPUT_DIR {tmp_path}: {os.strerror(number)}; {remedy}'
    with pytest.raises(InputError, match=re.escape(words)):
        make_output_dir(tmp_path)
