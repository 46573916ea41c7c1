"""Files of weights: absurd and odd ones are rejected."""

import copy
import json
import struct
import warnings
import zipfile

import pytest
import torch

from tests.model.weight_files import refused
from tests.utils.state_files import change_member
from utils.checkpoint import load_state, load_tree, save_state

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
def test_names_that_would_garble_a_message(name, tmp_path):
    for suffix in FORMATS:
        save_state({name: torch.ones(2)}, tmp_path / f'a.{suffix}')
        refused(lambda path=tmp_path / f'a.{suffix}': load_state(path), 'not a plain state dict')


def test_negative_shapes_are_rejected(tmp_path):
    torch.save({'a': torch.ones(0, 1)}, tmp_path / 'a.pth')
    path = change_member(
        tmp_path / 'a.pth',
        tmp_path / 'b.pth',
        'data.pkl',
        lambda data: data.replace(b'K\x00K\x01\x86', b'K\x00J\xff\xff\xff\xff\x86'),
    )
    assert torch.load(path, weights_only=True)['a'].shape == (0, -1)  # torch takes it
    refused(lambda: load_state(path), 'not a plain weight', 'sizes of at least 0')


def test_messages_about_a_damaged_file_are_printable(tmp_path):
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
def test_files_that_are_not_safetensors(header, options, tmp_path):
    path = safetensors(tmp_path / 'a.safetensors', header, bytes(16), **options)
    refused(lambda: load_state(path), 'TEST.WEIGHT', path)


def test_cut_safetensors(tmp_path):
    save_state({'a': torch.ones(20), 'b': torch.ones(3)}, tmp_path / 'whole.safetensors')
    data = (tmp_path / 'whole.safetensors').read_bytes()
    for size in range(len(data)):
        (tmp_path / 'cut.safetensors').write_bytes(data[:size])
        refused(lambda: load_state(tmp_path / 'cut.safetensors'), 'TEST.WEIGHT', 'cut.safetensors')
