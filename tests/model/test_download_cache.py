"""The cache of downloaded weights."""

from model.clip.weights import load_clip
from tests.helpers import toy_clip_state
from tests.model.download_server import names
from tests.model.weight_files import refused, same


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
