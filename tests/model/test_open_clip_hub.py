"""Weights of open_clip: folders and the hub."""

import sys
from types import SimpleNamespace

import pytest
import torch

from model.clip.open_clip import CONFIG, WEIGHTS, find_weights
from model.clip.weights import load_clip
from tests.helpers import toy_clip_state
from tests.model.open_clip_files import VIT, as_safetensors, write_config
from tests.model.weight_files import refused, same


def test_a_folder_as_downloaded(tmp_path):
    refused(lambda: find_weights(str(tmp_path)), 'MODEL.PRETRAIN_PATH', tmp_path, *WEIGHTS)
    (tmp_path / WEIGHTS[1]).touch()
    assert find_weights(str(tmp_path)) == str(tmp_path / WEIGHTS[1])
    (tmp_path / WEIGHTS[0]).touch()
    assert find_weights(str(tmp_path)) == str(tmp_path / WEIGHTS[0])
    refused(lambda: load_clip(VIT, tmp_path / 'gone'), 'there is no file', 'gone')


def hub(monkeypatch, folder, **broken):
    """Replace huggingface_hub by one that has the files in ``folder``; return the requests to it.

    ``broken``: suffix of a file -> the exception that it raises.
    """

    class EntryNotFoundError(Exception):
        pass

    asked = []

    def hf_hub_download(repo_id, filename):
        asked.append((repo_id, filename))
        error = broken.get(filename.rsplit('.', 1)[1])
        if error:
            raise error
        if not (folder / filename).is_file():
            raise EntryNotFoundError(f'404 {filename}\nand more')
        return str(folder / filename)

    monkeypatch.setitem(
        sys.modules, 'huggingface_hub', SimpleNamespace(hf_hub_download=hf_hub_download)
    )
    monkeypatch.setitem(
        sys.modules, 'huggingface_hub.utils', SimpleNamespace(EntryNotFoundError=EntryNotFoundError)
    )
    return asked


@pytest.mark.parametrize('write, file', [(as_safetensors, WEIGHTS[0]), (torch.save, WEIGHTS[1])])
def test_the_hub(write, file, tmp_path, monkeypatch):
    asked = hub(monkeypatch, tmp_path)
    state = toy_clip_state(VIT)
    write(state, tmp_path / file)
    write_config(tmp_path)
    found, activation = load_clip(VIT, 'hf-hub:imageomics/bioclip')
    assert same(found, state) and activation.name == 'gelu' and CONFIG in activation.why
    assert {repository for repository, _ in asked} == {'imageomics/bioclip'}
    assert asked[0][1] == CONFIG and asked[-1][1] == file


def test_missing_files_and_errors_of_the_hub(tmp_path, monkeypatch):
    hub(monkeypatch, tmp_path)
    refused(
        lambda: find_weights('hf-hub:a/b'),
        'hf-hub:a/b',
        f'404 {CONFIG}',
        'into a folder and give that folder',
    )
    write_config(tmp_path)  # without weights
    refused(lambda: find_weights('hf-hub:a/b'), 'hf-hub:a/b', f'404 {WEIGHTS[1]}')
    asked = hub(monkeypatch, tmp_path, safetensors=OSError(28, 'No space left on device'))
    refused(lambda: find_weights('hf-hub:a/b'), 'hf-hub:a/b', 'No space left on device')
    assert asked[-1][1] == WEIGHTS[0]  # the other file would not help
    hub(monkeypatch, tmp_path, bin=TimeoutError('too slow'))  # and the first is not there
    refused(lambda: find_weights('hf-hub:a/b'), 'TimeoutError: too slow')
    hub(monkeypatch, tmp_path, json=ConnectionError('no\x1b[31m network\nat all'))
    assert refused(
        lambda: find_weights('hf-hub:a/b'), 'ConnectionError', 'check the name, the network'
    ).isprintable()


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    refused(
        lambda: find_weights('hf-hub:imageomics/bioclip'),
        'hf-hub:imageomics/bioclip',
        'pip install -r requirements-extras.txt',
        'into a folder and give that folder',
        *WEIGHTS,
    )
