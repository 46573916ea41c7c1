"""The cache and the download, from a local server that drops connections, hangs, ignores ranges or
sends wrong data.
"""

import hashlib
import http.server
import logging
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest
import torch

from model.clip import download, weights
from model.clip.weights import load_clip
from tests.helpers import ROOT, toy_clip_state
from tests.model.test_weights import refused, same
from utils.checkpoint import load_state

PIECE = 300_000  # bytes that come before a connection breaks


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers request n as ``server.script[n]`` says, and later requests correctly."""

    def do_GET(self):
        server = self.server
        asked = self.headers.get('Range')
        what = (
            server.script[len(server.asked)] if len(server.asked) < len(server.script) else 'right'
        )
        server.asked.append(asked)
        server.paths.append(self.path)
        if what == 'garbage':
            self.wfile.write(b'this is no HTTP\r\n\r\n')
            return
        if what.isdigit():
            self.send_error(int(what))
            return
        start = int(re.fullmatch(r'bytes=(\d+)-', asked)[1]) if asked and what != 'whole' else 0
        if start >= len(server.body):
            self.send_error(416)
            return
        body = b'x' * len(server.body) if what == 'wrong' else server.body
        self.send_response(206 if start else 200)
        if start:
            told = 0 if what == 'another range' else start
            self.send_header('Content-Range', f'bytes {told}-{len(body) - 1}/{len(body)}')
        if what != 'no length':
            self.send_header('Content-Length', str(len(body) - start))
        self.end_headers()
        if what == 'slow':
            server.slow.wait(20)
        self.wfile.write(
            body[start : start + PIECE]
            if what in ('cut', 'reset', 'silence', 'no length')
            else body[start:]
        )
        if what == 'silence':
            self.wfile.flush()
            server.slow.wait(20)
        if what == 'reset':  # an abrupt end
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            self.connection.close()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server in the place of OpenAI's, and an empty cache: ``server.cache``, ``server.file`` and
    ``server.part``.
    """
    state = {'visual.proj': torch.ones(500, 500)}  # 1 MB: four pieces
    torch.save(state, tmp_path / 'origin.pt')
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.body, server.script, server.asked, server.paths = (
        (tmp_path / 'origin.pt').read_bytes(),
        [],
        [],
        [],
    )
    server.cache, server.state, server.slow = tmp_path / 'cache' / 'clip', state, threading.Event()
    server.file, server.part = server.cache / 'RN50.pt', server.cache / 'RN50.pt.part'
    server.sha256 = hashlib.sha256(server.body).hexdigest()
    monkeypatch.setenv('CLIP_CACHE', str(server.cache))
    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.setattr(download, 'PAUSE', 0.01)
    monkeypatch.setattr(
        weights, 'URL', f'http://127.0.0.1:{server.server_port}/{{sha256}}/{{file}}'
    )
    monkeypatch.setitem(weights.OFFICIAL, 'RN50', server.sha256)
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    yield server
    server.slow.set()
    server.shutdown()
    thread.join()
    server.server_close()


def names(folder):
    """The files in the cache without the lock, which stays."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != '.lock')


def keep(server, data):
    """Leave ``data`` as an interrupted download does."""
    server.cache.mkdir(parents=True)
    server.part.write_bytes(data)


def ranges(*starts):
    return [f'bytes={start}-' if start else None for start in starts]


# --------------------------------------------------------------------------------------- the cache


def test_download_then_cache(server):
    assert same(load_clip('RN50')[0], server.state)
    assert names(server.cache) == ['RN50.pt']
    assert server.file.read_bytes() == server.body
    assert server.paths == [f'/{server.sha256}/RN50.pt'] and server.asked == [None]
    assert same(load_clip('RN50')[0], server.state)
    assert len(server.asked) == 1  # from the cache


def test_the_cache_is_in_the_home_folder_by_default(server, tmp_path, monkeypatch):
    monkeypatch.delenv('CLIP_CACHE')
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    load_clip('RN50')
    assert (tmp_path / 'home' / '.cache' / 'clip' / 'RN50.pt').read_bytes() == server.body


def test_a_wrong_file_in_the_cache(server):
    server.cache.mkdir(parents=True)
    server.file.write_bytes(b'another')
    refused(lambda: load_clip('RN50'), server.file, 'SHA-256', 'delete it', 'MODEL.PRETRAIN_PATH')
    assert server.asked == [] and server.file.read_bytes() == b'another'


def test_a_cache_that_cannot_be_made_or_written(server, tmp_path, monkeypatch):
    (server.cache / 'RN50.pt.lock').mkdir(parents=True)
    refused(lambda: load_clip('RN50'), server.cache, 'cannot be written', 'CLIP_CACHE')
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('CLIP_CACHE', str(tmp_path / 'file' / 'cache'))
    refused(lambda: load_clip('RN50'), tmp_path / 'file' / 'cache', 'CLIP_CACHE')
    assert server.asked == []


def test_own_weights_need_no_network(server, toy_weights):
    assert same(load_clip('RN50', toy_weights['RN50'])[0], toy_clip_state('RN50'))
    assert server.asked == []


# ------------------------------------------------------------------------------- broken downloads


def test_every_broken_connection_is_resumed(server, monkeypatch, caplog):
    monkeypatch.setattr(download, 'TIMEOUT', 0.3)
    caplog.set_level(logging.INFO, 'transreid')
    server.script = ['cut', '503', 'silence', 'garbage']
    assert same(load_clip('RN50')[0], server.state)
    assert server.asked == ranges(0, PIECE, PIECE, 2 * PIECE, 2 * PIECE)
    assert server.file.read_bytes() == server.body and names(server.cache) == ['RN50.pt']
    for words in (
        'connection closed at 0.3 of 1.0 MB',
        'HTTP Error 503: Service Unavailable',
        'timed out',
        'no HTTP',
    ):
        assert words in caplog.text


def test_a_connection_that_is_reset(server):
    server.script = ['reset', 'reset']  # data received before may be lost
    assert same(load_clip('RN50')[0], server.state)
    assert server.file.read_bytes() == server.body and len(server.asked) == 3


@pytest.mark.parametrize(
    'left, script, asked',
    [
        (PIECE, ['right'], [PIECE]),  # the normal case
        (PIECE, ['whole'], [PIECE]),  # the server ignores ranges and sends everything
        (PIECE, ['another range'], [PIECE, 0]),
        (None, [], [None]),  # None: the file is complete but not renamed; 416
    ],
)
def test_the_data_of_a_killed_process_are_used(server, left, script, asked):
    keep(server, server.body[:left])
    server.script = script
    assert same(load_clip('RN50')[0], server.state)
    assert server.asked == ranges(
        *(len(server.body) if start is None else start for start in asked)
    )
    assert server.file.read_bytes() == server.body and names(server.cache) == ['RN50.pt']


@pytest.mark.parametrize(
    'left', [b'another file', b'y' * 5_000_000]
)  # 5 MB is more than the file has: 416
def test_the_start_of_another_file_is_discarded(server, left):
    keep(server, left)
    assert same(load_clip('RN50')[0], server.state)
    assert server.asked == ranges(len(left), 0)
    assert names(server.cache) == ['RN50.pt']


def test_it_is_downloaded_again_only_once(server):
    keep(server, b'another file')
    server.script = ['right', 'wrong', 'right']
    refused(lambda: load_clip('RN50'), 'SHA-256 differs')
    assert len(server.asked) == 2 and names(server.cache) == []


@pytest.mark.parametrize(
    'script, requests, words',
    [
        (['wrong'], 1, ['SHA-256 differs']),
        (['no length'], 1, ['SHA-256 differs']),  # truncated without a sign
        (['404'], 1, ['cannot download', 'HTTP Error 404: Not Found']),
        (['500'] * 9, 4, ['cannot download', 'HTTP Error 500']),
        (['garbage'] * 9, 4, ['cannot download', 'no HTTP']),
    ],
)
def test_a_download_that_fails_without_data_leaves_nothing(server, script, requests, words):
    server.script = script
    line = refused(
        lambda: load_clip('RN50'),
        f'127.0.0.1:{server.server_port}',
        f'copy it to {server.file}',
        'MODEL.PRETRAIN_PATH',
        *words,
    )
    assert len(server.asked) == requests
    assert 'disk' not in line and 'kept' not in line
    assert names(server.cache) == []
    server.script = []
    assert same(load_clip('RN50')[0], server.state)  # the next attempt starts from zero


def test_a_download_that_fails_keeps_its_data(server):
    server.script = ['cut', *['500'] * 9]
    refused(
        lambda: load_clip('RN50'),
        f'0.3 MB are kept in {server.part}',
        'repeat the command to resume',
    )
    assert len(server.asked) == download.TRIES  # the interrupted one, and three without data
    assert server.part.read_bytes() == server.body[:PIECE] and names(server.cache) == [
        'RN50.pt.part'
    ]
    server.script, server.asked = [], []
    assert same(load_clip('RN50')[0], server.state)
    assert server.asked == ranges(PIECE)


def test_no_server(server, monkeypatch):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(weights, 'URL', f'http://127.0.0.1:{port}/{{sha256}}/{{file}}')
    refused(
        lambda: load_clip('RN50'), 'RN50.pt', f'copy it to {server.file}', 'MODEL.PRETRAIN_PATH'
    )
    assert names(server.cache) == []


def test_an_endless_answer(server, monkeypatch):
    monkeypatch.setattr(download, 'MAX_BYTES', 500_000)
    refused(lambda: load_clip('RN50'), 'is larger than')
    assert names(server.cache) == []


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='a device that is always full')
def test_full_disk(server):
    server.cache.mkdir(parents=True)
    server.part.symlink_to('/dev/full')
    refused(
        lambda: load_clip('RN50'),
        f'cannot write {server.part}',
        'No space left on device',
        'make space',
    )
    assert not server.file.exists() and len(server.asked) == 1


# ------------------------------------------------------------------------------- several processes

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
