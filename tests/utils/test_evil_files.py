"""Files of weights: nothing in them is run."""

import hashlib
import os
import pickle
import zipfile

import pytest
import torch
from torch import nn
from yacs.config import CfgNode

from model.clip import weights
from model.make_model_clipreid import make_model, make_test_model
from tests.helpers import get_defaults, toy_config
from tests.model.archives import Evil, evil_pickles, run
from tests.model.weight_files import refused
from utils.checkpoint import load_state, load_tree
from utils.run.resume import read_state


def evil_files(victim):
    """name -> function that writes a file to a path, which makes ``victim`` if it is read with
    trust.
    """
    evil = Evil(os.system, f'touch {victim}')
    state = {'visual.proj': torch.zeros(2), 'evil': evil}

    def torchscript(path):
        torch.save(state, path)
        with zipfile.ZipFile(path, 'a') as archive:
            archive.writestr(
                f'{archive.namelist()[0].split("/")[0]}/constants.pkl', pickle.dumps((), protocol=2)
            )

    def renamed(path):  # content that begins as safetensors do is not unpickled
        path.write_bytes(bytes(8) + b'{' + pickle.dumps(evil))

    pickles = {
        name: lambda path, data=data: path.write_bytes(data)
        for name, data in evil_pickles(victim).items()
    }
    return pickles | {
        'torch': lambda path: torch.save(state, path),
        'torch, protocol 4': lambda path: torch.save(state, path, pickle_protocol=4),
        'old torch': lambda path: torch.save(state, path, _use_new_zipfile_serialization=False),
        'torchscript': torchscript,
        'module': lambda path: torch.save(nn.Linear(2, 2), path),
        'renamed': renamed,
    }


def read_by_every_entry(path, config, monkeypatch, cache):
    """What reads weights or states, as functions."""

    def model(choice):
        cfg = config()
        cfg.MODEL.PRETRAIN_CHOICE, cfg.MODEL.PRETRAIN_PATH = choice, str(path)
        return lambda: make_model(cfg, 3)

    def tested():
        cfg = config()
        cfg.TEST.WEIGHT = str(path)
        return make_test_model(cfg)

    def cached():  # the file would have to be OpenAI's: take this one for it
        cache.mkdir(exist_ok=True)
        (cache / 'RN50.pt').write_bytes(path.read_bytes())
        monkeypatch.setitem(weights.OFFICIAL, 'RN50', hashlib.sha256(path.read_bytes()).hexdigest())
        return weights.load_clip('RN50')[0]

    def of_another_in_the_cache():
        cache.mkdir(exist_ok=True)
        (cache / 'RN50.pt').write_bytes(path.read_bytes())
        monkeypatch.setitem(weights.OFFICIAL, 'RN50', '0' * 64)
        return weights.load_clip('RN50')[0]

    trained = make_model(config(), 3)
    return {
        'TEST.WEIGHT': tested,
        'clip': model('clip'),
        'self': model('self'),
        'finetune': model('finetune'),
        'load_param': lambda: trained.load_param(path),
        'cache': cached,
        'strange cache': of_another_in_the_cache,
        'resume': lambda: read_state(str(path), path.parent),
        'auto resume': lambda: read_state('auto', path.parent),
        'load_state': lambda: load_state(path),
        'load_tree': lambda: load_tree(path, 'KEY'),
    }


@pytest.mark.parametrize('name', evil_files('x'))
def test_evil_files_are_rejected_everywhere_and_not_run(name, tmp_path, toy_weights, monkeypatch):
    def config():
        cfg = get_defaults()
        cfg.merge_from_other_cfg(CfgNode(toy_config(tmp_path, 'RN50', toy_weights['RN50'])))
        return cfg

    monkeypatch.setenv('CLIP_CACHE', str(tmp_path / 'cache'))
    victim, path = tmp_path / 'victim', tmp_path / 'run' / 'resume.pth'
    path.parent.mkdir()
    evil_files(victim)[name](path)
    for entrance, read in read_by_every_entry(
        path, config, monkeypatch, tmp_path / 'cache'
    ).items():
        refused(read, 'resume.pth' if 'cache' not in entrance else 'RN50.pt')
        assert not victim.exists(), entrance
    assert list(path.parent.iterdir()) == [path]


def test_the_evil_files_are_evil(tmp_path):
    for name, write in evil_files(tmp_path / 'victim').items():
        if name in (
            'module',
            'renamed',
            'torchscript',
        ):  # objects, but of no harm; what torch does not unpickle
            continue
        write(tmp_path / 'evil.pth')
        if 'torch' in name:
            torch.load(tmp_path / 'evil.pth', weights_only=False)
        else:
            run((tmp_path / 'evil.pth').read_bytes())
        assert (tmp_path / 'victim').exists(), name
        (tmp_path / 'victim').unlink()
