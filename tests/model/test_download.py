"""Broken downloads resume, or end with a clear error."""

import logging
import os
import socket

import pytest

from model.clip import download, weights
from model.clip.weights import load_clip
from tests.model.download_server import PIECE, names, ranges
from tests.model.weight_files import refused, same


def keep(server, data):
    """Leave ``data`` as an interrupted download does."""
    server.cache.mkdir(parents=True)
    server.part.write_bytes(data)


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
