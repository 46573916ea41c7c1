"""Checkpoints: both formats, notes, writes that fail."""

import json
import os
import resource

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.model.weight_files import refused, same
from utils.checkpoint import (
    load_checkpoint,
    load_state,
    save_state,
    save_tree,
)
from utils.weights_files import DTYPES

FORMATS = ['pth', 'safetensors']


def one_of_each():
    """A state with every kind of tensor that weights are."""
    torch.manual_seed(0)
    whole = torch.randn(1000)
    state = {f'of.{str(dtype)[6:]}': (torch.randn(3, 5) * 50).to(dtype) for dtype in DTYPES}
    return {
        **state,
        'scalar': torch.tensor(2.5),
        'counter': torch.tensor(7),
        'empty': torch.empty(0, 4),
        'view': whole[3:5],
        'turned': torch.randn(4, 3).t(),
        'last': torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        'tied': state['of.float32'],
        'expanded': torch.ones(1).expand(7),
        'grad': nn.Parameter(torch.ones(3)),
    }


@pytest.mark.parametrize('suffix', FORMATS)
def test_what_is_written_is_read(suffix, tmp_path):
    state, path = one_of_each(), tmp_path / f'a.{suffix}'
    save_state(state, path)
    loaded = load_state(path)
    assert same(loaded, state)
    assert all(
        type(t) is torch.Tensor and t.is_contiguous() and not t.requires_grad
        for t in loaded.values()
    )
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.stat().st_size < 8000  # not the whole memory that the view is a part of


def test_the_library_reads_and_writes_the_same(tmp_path):
    state = one_of_each()
    save_state(state, tmp_path / 'ours.safetensors')
    assert same(load_file(tmp_path / 'ours.safetensors'), state)
    save_file(
        {n: t.detach().clone().contiguous() for n, t in state.items()},
        tmp_path / 'theirs.safetensors',
    )
    assert same(load_state(tmp_path / 'theirs.safetensors'), state)
    data = (tmp_path / 'ours.safetensors').read_bytes()
    length = int.from_bytes(data[:8], 'little')
    assert length % 8 == 0
    for entry in json.loads(data[8 : 8 + length]).values():
        width = 1 if entry['dtype'] == 'BOOL' else int(entry['dtype'].lstrip('BFIU')) // 8
        assert entry['data_offsets'][0] % width == 0


def test_the_content_shows_the_format(tmp_path):
    state = {'a': torch.ones(3)}
    for suffix, other in (FORMATS, FORMATS[::-1]):
        save_state(state, tmp_path / f'a.{suffix}')
        os.replace(tmp_path / f'a.{suffix}', tmp_path / f'b.{other}')
        assert same(load_state(tmp_path / f'b.{other}'), state)


def test_weights_stay_what_they_were_when_the_file_changes(tmp_path):
    for suffix in FORMATS:
        path = tmp_path / f'a.{suffix}'
        save_state({'a': torch.ones(100_000)}, path)
        loaded = load_state(path)
        with open(path, 'r+b') as file:
            file.write(bytes(path.stat().st_size))
        assert bool((loaded['a'] == 1).all())


def test_a_model_and_its_prefix(tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(
        memory_format=torch.channels_last
    )
    for suffix in FORMATS:
        save_state(
            {f'module.{n}': t for n, t in model.state_dict().items()}, tmp_path / f'a.{suffix}'
        )
        assert same(load_state(tmp_path / f'a.{suffix}'), dict(model.state_dict()))
    torch.save(model.state_dict(), tmp_path / 'ordered.pth')  # an OrderedDict with notes of torch's
    assert same(load_state(tmp_path / 'ordered.pth'), dict(model.state_dict()))


ABOUT = {'activation': 'gelu', 'side': '6,8'}


@pytest.mark.parametrize('suffix', FORMATS)
def test_notes_about_a_state(suffix, tmp_path):
    state, path = one_of_each(), tmp_path / f'a.{suffix}'
    for about in (ABOUT, {}, None):
        save_state(state, path, about)
        loaded = load_checkpoint(path)
        assert loaded.about == (about or {}) and same(loaded.state, state) and not loaded.inside
    save_state(state, path, ABOUT)
    if suffix == 'safetensors':
        assert same(load_file(path), state)  # by its own library
    else:
        assert same(dict(torch.load(path, weights_only=True)), state)


def test_files_with_notes_load_as_usual(tmp_path):
    """PyTorch's way, strict, and the original's: copying by name."""
    model, other = (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)) for _ in range(2))
    save_state(model.state_dict(), tmp_path / 'a.pth', ABOUT)
    state = torch.load(tmp_path / 'a.pth', weights_only=True)
    other.load_state_dict(state)
    assert same(dict(other.state_dict()), dict(model.state_dict()))
    for name in state:
        other.state_dict()[name.replace('module.', '')].copy_(state[name])


def test_a_state_of_torch_has_no_notes(tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    torch.save(model.state_dict(), tmp_path / 'a.pth')
    assert load_checkpoint(tmp_path / 'a.pth').about == {}


@pytest.mark.parametrize(
    'save, suffix', [(save_state, 'pth'), (save_state, 'safetensors'), (save_tree, 'pth')]
)
def test_a_write_that_fails_leaves_the_former_file(save, suffix, tmp_path):
    path = tmp_path / f'a.{suffix}'
    save({'a': torch.ones(3)}, path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        refused(
            lambda: save({'a': torch.ones(1_000_000)}, path),
            f'cannot write {path}',
            'File too large',
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    refused(
        lambda: save({'a': torch.ones(3)}, tmp_path / 'gone' / path.name), 'cannot write', 'gone'
    )
