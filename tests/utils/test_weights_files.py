"""Files of weights: absurd, odd and evil ones are rejected, and nothing in them is run."""

import copy
import hashlib
import json
import os
import pickle
import struct
import warnings
import zipfile

import pytest
import torch
from torch import nn
from yacs.config import CfgNode

from model.clip import weights
from model.make_model_clipreid import make_model, make_test_model
from tests.helpers import get_defaults, toy_config
from tests.model.test_archive import Evil, evil_pickles, run
from tests.model.test_weights import refused
from utils.checkpoint import load_state, load_tree, save_state
from utils.run.resume import read_state

FORMATS = ['pth', 'safetensors']


def test_a_bomb(tmp_path):
    torch.save({'a': torch.zeros(5_000_000)}, tmp_path / 'a.pth')
    with (
        zipfile.ZipFile(tmp_path / 'a.pth') as old,
        zipfile.ZipFile(tmp_path / 'bomb.pth', 'w', zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert (tmp_path / 'bomb.pth').stat().st_size < 50_000
    assert (
        torch.load(tmp_path / 'bomb.pth', weights_only=True)['a'].numel() == 5_000_000
    )  # torch takes it
    for load in (load_state, load_tree):
        refused(
            lambda load=load: load(tmp_path / 'bomb.pth', 'KEY'),
            'KEY',
            'unpacks to more than its size',
            'torch.save',
        )


def test_members_that_share_their_bytes(tmp_path):
    """Twenty names in the table of contents, one place in the file."""
    torch.save({str(n): torch.zeros(50_000) for n in range(20)}, tmp_path / 'a.pth')
    with (
        zipfile.ZipFile(tmp_path / 'a.pth') as old,
        zipfile.ZipFile(tmp_path / 'bomb.pth', 'w') as new,
    ):
        for name in old.namelist():
            if name == 'a/data/0' or '/data/' not in name:
                new.writestr(name, old.read(name))
            else:
                new.filelist.append(copy.copy(new.getinfo('a/data/0')))
                new.filelist[-1].filename = name
    assert (tmp_path / 'bomb.pth').stat().st_size < 210_000
    assert len(torch.load(tmp_path / 'bomb.pth', weights_only=True)) == 20  # torch takes it
    refused(lambda: load_state(tmp_path / 'bomb.pth'), 'unpacks to more than its size')


@pytest.mark.parametrize(
    'state',
    [
        {'a': torch.ones(1).expand(10**12)},
        {'a': torch.ones(1).expand(2**31, 2**31)},
        {str(n): torch.ones(1).expand(10_000_000) for n in range(10)},
    ],
    ids=['1e12', '2^62', 'ten'],
)
def test_few_bytes_that_claim_to_be_many(state, tmp_path):
    torch.save(state, tmp_path / 'a.pth')
    refused(lambda: load_state(tmp_path / 'a.pth'), 'claims', 'GB', 'rejected')
    refused(lambda: load_tree(tmp_path / 'a.pth', 'KEY'), 'KEY', 'claims')


def odd_tensors():
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return {
            'sparse': torch.eye(3).to_sparse(),
            'csr': torch.eye(3).to_sparse_csr(),
            'meta': torch.ones(3, device='meta'),
            'quantized': torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
            'complex': torch.ones(3) * 1j,
            'nested': torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
            'float8': torch.ones(3).to(torch.float8_e5m2),
        }


@pytest.mark.parametrize('kind', odd_tensors())
def test_tensors_that_are_no_weights(kind, tmp_path):
    torch.save({'a': odd_tensors()[kind]}, tmp_path / 'a.pth')
    refused(lambda: load_state(tmp_path / 'a.pth'), 'a.pth')
    refused(lambda: load_tree(tmp_path / 'a.pth', 'KEY'), 'a.pth')


@pytest.mark.parametrize(
    'name', ['two\nlines', 'x' * 1000, '\x1b[31mred'], ids=['lines', 'long', 'red']
)
def test_names_that_would_spoil_a_message(name, tmp_path):
    for suffix in FORMATS:
        save_state({name: torch.ones(2)}, tmp_path / f'a.{suffix}')
        refused(lambda path=tmp_path / f'a.{suffix}': load_state(path), 'not a plain state dict')


def change_member(source, target, ending, change):
    """A copy of torch's file with one member changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, 'w') as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name.endswith(ending) else old.read(name))
    return target


def test_shape_below_nothing(tmp_path):
    torch.save({'a': torch.ones(0, 1)}, tmp_path / 'a.pth')
    path = change_member(
        tmp_path / 'a.pth',
        tmp_path / 'b.pth',
        'data.pkl',
        lambda data: data.replace(b'K\x00K\x01\x86', b'K\x00J\xff\xff\xff\xff\x86'),
    )
    assert torch.load(path, weights_only=True)['a'].shape == (0, -1)  # torch takes it
    refused(lambda: load_state(path), 'not a plain weight', 'sizes of at least 0')


def test_what_a_damaged_file_says_is_printable(tmp_path):
    torch.save({'a': torch.ones(2)}, tmp_path / 'a.pth')
    path = change_member(
        tmp_path / 'a.pth', tmp_path / 'b.pth', 'byteorder', lambda data: b'\x1b[31m'
    )
    assert refused(lambda: load_state(path), '?[31m').isprintable()


def safetensors(path, header, data=b'', length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, 'little') + text + data)
    return path


def entry(shape=(4,), offsets=(0, 16), dtype='F32'):
    return {'dtype': dtype, 'shape': list(shape), 'data_offsets': list(offsets)}


def test_safetensors_by_hand(tmp_path):
    header = {'__metadata__': {'format': 'pt'}, 'a': entry()}
    path = safetensors(tmp_path / 'a.safetensors', header, struct.pack('<4f', 1, 2, 3, 4))
    assert load_state(path)['a'].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    'header, options',
    [
        ({'a': entry(shape=(10**12,))}, {}),
        ({'a': entry(shape=(2**33, 2**33))}, {}),
        ({'a': entry((2**62,), (0, 2**64 - 1))}, {}),
        ({'a': entry((10**12,), (0, 4 * 10**12))}, {}),
        ({'a': entry(offsets=(0, 15))}, {}),
        ({'a': entry(offsets=(8, 24))}, {}),
        ({'a': entry(offsets=(16, 0))}, {}),
        ({'a': entry((-4,))}, {}),
        ({'a': entry(), 'b': entry()}, {}),
        ({'a': entry(dtype='X')}, {}),
        ({'a': entry(dtype='C64', shape=(2,))}, {}),
        ({'a': entry(dtype='F8_E4M3', shape=(16,))}, {}),
        ({'a': 3}, {}),
        ({}, {}),
        ({'a': entry()}, {'length': 2**63}),
        ({'a': entry()}, {'length': 2**31}),
        ({'a': entry()}, {'length': 5}),
        (b'{"a": ', {}),
        (b'{' * 50_000, {}),
        ({'a': entry(), '__metadata__': {'a': 3}}, {}),
    ],
)
def test_safetensors_that_are_none(header, options, tmp_path):
    path = safetensors(tmp_path / 'a.safetensors', header, bytes(16), **options)
    refused(lambda: load_state(path), 'TEST.WEIGHT', path)


def test_cut_safetensors(tmp_path):
    save_state({'a': torch.ones(20), 'b': torch.ones(3)}, tmp_path / 'whole.safetensors')
    data = (tmp_path / 'whole.safetensors').read_bytes()
    for size in range(len(data)):
        (tmp_path / 'cut.safetensors').write_bytes(data[:size])
        refused(lambda: load_state(tmp_path / 'cut.safetensors'), 'TEST.WEIGHT', 'cut.safetensors')


# ---------------------------------------------------------------------------------- nothing is run


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
def test_evil_files_are_refused_everywhere_and_not_run(name, tmp_path, toy_weights, monkeypatch):
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
