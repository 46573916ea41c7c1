"""The lock of OUTPUT_DIR."""

import contextlib
import errno
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from tests.helpers import ROOT
from tests.utils.failing_files import fails_with
from utils.errors import InputError
from utils.run import lock
from utils.run.lock import InUse, output_lock, waiting_lock

needs_locks = pytest.mark.skipif(lock.fcntl is None, reason='no record locks on this system')

HOLDER = """
import os, sys, time
from utils.run.lock import output_lock
with output_lock(sys.argv[1], *sys.argv[3:]):
    if sys.argv[2] == 'fork' and os.fork() == 0:
        time.sleep(60)      # a loader's worker that outlives its parent
        os._exit(0)
    print('held', flush=True)
    sys.stdin.read()
"""


def holder(folder, fork=False, name='train'):
    """A process that holds the lock until its stdin ends."""
    process = subprocess.Popen(
        [sys.executable, '-c', HOLDER, str(folder), 'fork' if fork else '-', name],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout.readline() == 'held\n'
    return process


def end(process):
    """End the process and those that it has forked."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()


@needs_locks
def test_the_lock_names_its_holder(tmp_path):
    before = time.time()
    with output_lock(tmp_path):
        assert {p.name for p in tmp_path.iterdir()} == {'.train.lock'}
        text = (tmp_path / '.train.lock').read_text()
    found = re.fullmatch(
        r'process (\d+) on host (\S+) since (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\n', text
    )
    assert found[1] == str(os.getpid()) and found[2] == socket.gethostname()
    assert before - 1 <= time.mktime(time.strptime(found[3], '%Y-%m-%d %H:%M:%S')) <= time.time()
    assert not list(tmp_path.iterdir())


@needs_locks
def test_another_process_is_rejected_with_the_name_of_the_holder(tmp_path):
    process = holder(tmp_path)
    try:
        with pytest.raises(InputError) as error, output_lock(tmp_path):
            pass
        assert re.fullmatch(
            rf'OUTPUT_DIR {re.escape(str(tmp_path))} is in use by process {process.pid} on host '
            rf'{re.escape(socket.gethostname())} since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d; wait '
            rf'for it or choose '
            rf'another OUTPUT_DIR',
            str(error.value),
        )
        with output_lock(tmp_path, 'test'):  # does not exclude it
            assert {p.name for p in tmp_path.iterdir()} == {'.train.lock', '.test.lock'}
        with pytest.raises(InputError), output_lock(tmp_path):  # the rejection has not freed it
            pass
        process.communicate()
        with output_lock(tmp_path):
            pass
    finally:
        end(process)


@needs_locks
def test_the_same_process_is_rejected_too(tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path)
    with output_lock(tmp_path):
        for folder in (tmp_path, str(tmp_path), tmp_path / 'link', tmp_path / 'x' / '..'):
            with (
                pytest.raises(InputError, match=f'in use by process {os.getpid()} on'),
                output_lock(folder),
            ):
                pass
        process = subprocess.run(
            [sys.executable, '-c', HOLDER, str(tmp_path), '-'],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert (
            f'in use by process {os.getpid()} on' in process.stderr
        )  # the lock has survived the rejections
    with output_lock(tmp_path):
        pass


@needs_locks
@pytest.mark.parametrize('fork', [False, True], ids=['alone', 'with a worker that outlives it'])
def test_a_killed_process_holds_no_lock(tmp_path, fork):
    process = holder(tmp_path, fork)
    try:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert 'process' in (tmp_path / '.train.lock').read_text()  # left behind, and taken over
        with output_lock(tmp_path):
            assert f'process {os.getpid()} on' in (tmp_path / '.train.lock').read_text()
        if fork:
            os.killpg(process.pid, 0)  # the worker was there all the time
    finally:
        end(process)
    assert not list(tmp_path.iterdir())


@needs_locks
def test_the_lock_is_released_after_an_error(tmp_path):
    with pytest.raises(KeyError), output_lock(tmp_path):
        raise KeyError
    handles = len(os.listdir('/proc/self/fd')) if os.path.exists('/proc/self/fd') else None
    for _ in range(3):
        with output_lock(tmp_path):
            pass
    assert handles is None or len(os.listdir('/proc/self/fd')) == handles


@needs_locks
def test_a_lock_file_deleted_before_it_is_locked_is_opened_again(tmp_path, monkeypatch):
    """Its holder has just released it; a lock on the deleted file would exclude nobody."""
    real, path = lock.fcntl.lockf, tmp_path / '.train.lock'
    calls = []

    def lockf(handle, how):
        if not calls:
            path.unlink()
        calls.append(handle)
        return real(handle, how)

    monkeypatch.setattr(lock.fcntl, 'lockf', lockf)
    with output_lock(tmp_path):
        assert len(calls) == 2 and f'process {os.getpid()} on' in path.read_text()


@needs_locks
def test_the_lock_of_another_run_in_a_new_folder_is_kept(tmp_path):
    folder = tmp_path / 'out'
    folder.mkdir()
    with output_lock(folder):
        folder.rename(tmp_path / 'moved away')
        folder.mkdir()
        (folder / '.train.lock').write_text('process 1 on host other')
    assert (folder / '.train.lock').read_text() == 'process 1 on host other'


@needs_locks
def test_a_lock_is_not_written_through_a_link(tmp_path):
    (tmp_path / 'precious').write_text('1')
    (tmp_path / '.train.lock').symlink_to(tmp_path / 'precious')
    with pytest.raises(InputError, match='cannot write .*train.lock'), output_lock(tmp_path):
        pass
    assert (tmp_path / 'precious').read_text() == '1'


@pytest.mark.parametrize('missing', ['on this file system', 'on this operating system'])
def test_without_locks_there_is_a_warning(tmp_path, monkeypatch, caplog, missing):
    caplog.set_level(logging.WARNING, 'transreid')
    if missing == 'on this operating system':
        monkeypatch.setattr(lock, 'fcntl', None)
    elif lock.fcntl is None:
        pytest.skip('no record locks on this system')
    else:
        monkeypatch.setattr(lock.fcntl, 'lockf', fails_with(errno.ENOLCK))
    with output_lock(tmp_path):
        assert 'no file locks' in caplog.text
    assert not list(tmp_path.iterdir())


@needs_locks
def test_eight_processes_at_once_hold_it_one_after_another(tmp_path):
    """Each checks that it is alone, while the lock file is deleted and made again."""
    script = """
import os, sys, time
from utils.errors import InputError
from utils.run.lock import output_lock
folder, rounds = sys.argv[1], 0
while rounds < 25:
    try:
        with output_lock(folder):
            os.close(os.open(folder + '/alone', os.O_CREAT | os.O_EXCL))
            os.unlink(folder + '/alone')
            rounds += 1
    except InputError:
        pass
    time.sleep(0.0005)
"""
    crowd = [
        subprocess.Popen(
            [sys.executable, '-c', script, str(tmp_path)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    errors = [process.communicate()[1] for process in crowd]
    assert [process.returncode for process in crowd] == [0] * 8, errors
    assert not list(tmp_path.iterdir())


@needs_locks
def test_waiting_for_the_holder(tmp_path):
    process = holder(tmp_path, name='card')
    try:
        with (
            pytest.raises(InUse, match=f'process {process.pid}'),
            waiting_lock(tmp_path, 'card', 0),
        ):
            pass
        threading.Timer(0.3, process.stdin.close).start()
        with waiting_lock(tmp_path, 'card', 30):
            assert process.wait() == 0
        assert not list(tmp_path.iterdir())
    finally:
        end(process)


def test_an_error_within_the_lock_is_not_taken_for_its_own(tmp_path):
    with pytest.raises(InUse, match='inside'), waiting_lock(tmp_path, 'card', 30):
        raise InUse('inside')
    assert not list(tmp_path.iterdir())
