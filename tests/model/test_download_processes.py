"""Several processes download the same weights."""

import time

import pytest

from model.clip import weights
from model.clip.weights import load_clip
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
def fetch(server, zygote, tmp_path):
    """Starts a process that downloads the file into the same cache."""
    words = (COMMAND, weights.URL, server.sha256)
    return lambda name: zygote.start(tmp_path / name, *words, script='-c')


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_two_processes_download_once(server, fetch):
    server.script = ['slow']
    one = fetch('one')
    until(lambda: server.asked)
    two = fetch('two')
    until(lambda: f'waiting for it (it holds {server.file}.lock)' in two.out)
    server.slow.set()
    assert [run.wait() for run in (one, two)] == [0, 0], one.err + two.err
    assert [run.out.splitlines()[-1] for run in (one, two)] == [str(server.file)] * 2
    assert server.asked == [None] and server.file.read_bytes() == server.body


def test_lock_and_data_of_a_killed_process(server, fetch):
    server.script = ['silence']
    one = fetch('one')
    until(lambda: server.part.exists() and server.part.stat().st_size)
    one.kill()
    one.wait()
    kept = server.part.stat().st_size
    assert not server.file.exists() and kept <= PIECE
    assert same(load_clip('RN50')[0], load_state(server.cache.parents[1] / 'origin.pt'))
    assert server.asked == ranges(0, kept) and names(server.cache) == ['RN50.pt']
