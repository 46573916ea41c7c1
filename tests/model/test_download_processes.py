"""Several processes download the same weights."""

import signal
import subprocess
import sys
import time

import pytest

from model.clip import weights
from model.clip.weights import load_clip
from tests.helpers import ROOT
from tests.model.download_server import PIECE, names, ranges
from tests.model.weight_files import same
from utils.checkpoint import load_state

COMMAND = """
import sys
from model.clip import download, weights
from utils.logger import setup_logger
weights.URL, weights.OFFICIAL['RN50'] = sys.argv[1:]
setup_logger()
print(weights.cached_file('RN50'))
"""


@pytest.fixture
def fetch(server):
    """Starts a process that downloads the file into the same cache."""
    started = []

    def start():
        started.append(
            subprocess.Popen(
                [sys.executable, '-c', COMMAND, weights.URL, server.sha256],
                cwd=ROOT,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_two_processes_download_once(server, fetch):
    server.script = ['slow']
    one = fetch()
    until(lambda: server.asked)
    two = fetch()
    waiting = two.stdout.readline()
    assert f'waiting for it (it holds {server.file}.lock)' in waiting
    server.slow.set()
    outputs = [process.communicate(timeout=60)[0] for process in (one, two)]
    assert [process.returncode for process in (one, two)] == [0, 0], outputs
    assert [output.splitlines()[-1] for output in outputs] == [str(server.file)] * 2
    assert server.asked == [None] and server.file.read_bytes() == server.body


def test_lock_and_data_of_a_killed_process(server, fetch):
    server.script = ['silence']
    one = fetch()
    until(lambda: server.part.exists() and server.part.stat().st_size)
    one.send_signal(signal.SIGKILL)
    one.wait()
    kept = server.part.stat().st_size
    assert not server.file.exists() and kept <= PIECE
    assert same(load_clip('RN50')[0], load_state(server.cache.parents[1] / 'origin.pt'))
    assert server.asked == ranges(0, kept) and names(server.cache) == ['RN50.pt']
