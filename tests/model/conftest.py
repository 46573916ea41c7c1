"""An archive, a server in the place of OpenAI's, configs, and the log."""

import hashlib
import http.server
import logging
import threading

import pytest
import torch
from yacs.config import CfgNode

from model.clip import download, weights
from tests.helpers import get_defaults, toy_config
from tests.model.archives import archive
from tests.model.download_server import Handler


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, 'transreid')
    return caplog


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    return archive(tmp_path_factory.mktemp('archives') / 'clip.pt')


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


@pytest.fixture
def config(tmp_path, toy_weights):
    """(name, PRETRAIN_PATH or default, overrides …) -> a config of the toy world."""

    def build(name='RN50', path=None, **model):
        cfg = get_defaults()
        cfg.merge_from_other_cfg(
            CfgNode(toy_config(tmp_path, name, str(path or toy_weights[name])))
        )
        cfg.MODEL.update(model)
        return cfg

    return build
