"""Checkpoints and states: both formats, what is refused, and that nothing which is read is ever
run.
"""

import copy
import json
import os
import resource
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.model.test_weights import refused, same
from tests.utils.test_weights_files import change_member
from utils.checkpoint import (
    copy_tree,
    load_checkpoint,
    load_state,
    load_tree,
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


# ------------------------------------------------------------------------------------- state dicts


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


def test_the_content_tells_the_format(tmp_path):
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


# ----------------------------------------------------------------------------------- what is noted

ABOUT = {'activation': 'gelu', 'side': '6,8'}


@pytest.mark.parametrize('suffix', FORMATS)
def test_what_is_noted_about_a_state(suffix, tmp_path):
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


def test_notes_are_no_hindrance_to_who_loads_as_usual(tmp_path):
    """PyTorch's way, strict, and the original's: copying by name."""
    model, other = (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)) for _ in range(2))
    save_state(model.state_dict(), tmp_path / 'a.pth', ABOUT)
    state = torch.load(tmp_path / 'a.pth', weights_only=True)
    other.load_state_dict(state)
    assert same(dict(other.state_dict()), dict(model.state_dict()))
    for name in state:
        other.state_dict()[name.replace('module.', '')].copy_(state[name])


def test_a_state_of_torch_has_nothing_noted(tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    torch.save(model.state_dict(), tmp_path / 'a.pth')
    assert load_checkpoint(tmp_path / 'a.pth').about == {}


# ------------------------------------------------------------------------------------------- trees


def test_trees(tmp_path):
    inner = [1, 2.5, 'text', None, True, -(2**70), float('inf'), (), [], {}]
    tree = {'a': inner, 7: (inner, (1, (2,))), 'b': OrderedDict(x=inner), 't': torch.arange(3)}
    save_tree(copy_tree(tree), tmp_path / 'a.pth')
    loaded = load_tree(tmp_path / 'a.pth', 'KEY')
    assert torch.equal(loaded.pop('t'), tree.pop('t'))
    assert loaded == tree and type(loaded['b']) is dict and type(loaded[7]) is tuple
    for value in (None, 3, 'x', [1], torch.ones(2)):
        save_tree(value, tmp_path / 'b.pth')
        assert (
            bool((torch.as_tensor(load_tree(tmp_path / 'b.pth', 'KEY')) == value).all())
            if torch.is_tensor(value)
            else load_tree(tmp_path / 'b.pth', 'KEY') == value
        )


@pytest.mark.parametrize('kind', [torch.optim.Adam, torch.optim.SGD, torch.optim.AdamW])
def test_an_optimizer_goes_on_bit_for_bit(kind, tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).to(
        memory_format=torch.channels_last
    )
    settings = {'lr': 0.1, 'weight_decay': 0.01} | (
        {'momentum': 0.9} if kind is torch.optim.SGD else {}
    )
    optimizer, photos = kind(model.parameters(), **settings), torch.randn(4, 3, 8, 8)

    def step(model, optimizer):
        optimizer.zero_grad()
        model(photos).square().mean().backward()
        optimizer.step()

    step(model, optimizer)
    save_tree(
        {'model': model.state_dict(), 'optimizer': optimizer.state_dict()}, tmp_path / 'a.pth'
    )
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    fresh, state = kind(other.parameters(), **settings), load_tree(tmp_path / 'a.pth', 'KEY')
    other.load_state_dict(state['model'])
    fresh.load_state_dict(state['optimizer'])
    for _ in range(3):
        step(model, optimizer)
        step(other, fresh)
    assert same(dict(other.state_dict()), dict(model.state_dict()))
    for ours, theirs in zip(
        fresh.state_dict()['state'].values(), optimizer.state_dict()['state'].values(), strict=True
    ):
        assert all(
            torch.equal(ours[n], theirs[n]) and ours[n].stride() == theirs[n].stride()
            for n in ours
            if torch.is_tensor(ours[n])
        )


@pytest.mark.parametrize(
    'value',
    [
        np.float64(1),
        np.ones(2),
        {1, 2},
        b'bytes',
        object(),
        {(1, 2): 3},
        {None: 1},
        1j,
        torch.float32,
        {'a': [np.int64(3)]},
    ],
)
def test_what_could_not_be_read_back_is_not_written(value, tmp_path):
    save_tree({'a': 1}, tmp_path / 'a.pth')
    with pytest.raises(ValueError):
        save_tree({'a': value}, tmp_path / 'a.pth')
    assert load_tree(tmp_path / 'a.pth', 'KEY') == {'a': 1}


def loop():
    tree = []
    tree.append(tree)
    return tree


def laughs(count=40):
    tree = ['ha']
    for _ in range(count):
        tree = [tree, tree]
    return tree


NOT_OURS = {
    'loop': loop,
    'laughs': laughs,
    'key': lambda: {1.5: 2},
    'set': lambda: {'a': {1, 2}},
    'bytearray': lambda: bytearray(3),
    'bytes': lambda: [b'bytes'],
    'dtype': lambda: torch.float32,
    'complex': lambda: [torch.Size([2]), 1j],
}


@pytest.mark.parametrize('name', NOT_OURS)  # the tree itself would be printed, which takes forever
def test_trees_that_are_none_of_ours(name, tmp_path):
    torch.save(NOT_OURS[name](), tmp_path / 'a.pth')
    refused(lambda: load_tree(tmp_path / 'a.pth', 'KEY'), 'KEY', 'a.pth')


def test_deep_trees_do_not_break_the_reader(tmp_path):
    deep = b'\x80\x02' + b']' * 100_000 + b'a' * 99_999 + b'.'
    torch.save(1, tmp_path / 'one.pth')
    change_member(tmp_path / 'one.pth', tmp_path / 'deep.pth', 'data.pkl', lambda data: deep)
    assert isinstance(load_tree(tmp_path / 'deep.pth', 'KEY'), list)
    refused(lambda: load_state(tmp_path / 'deep.pth'), 'not a plain state dict')


@pytest.mark.parametrize('load', [load_state, load_tree])
def test_missing_cut_and_damaged_files(load, tmp_path):
    save_tree({'a': torch.ones(50)}, tmp_path / 'whole.pth')
    data = (tmp_path / 'whole.pth').read_bytes()
    refused(lambda: load('', 'KEY'), 'KEY is empty')
    refused(lambda: load(tmp_path / 'gone.pth', 'KEY'), 'KEY: there is no file', 'gone.pth')
    refused(lambda: load(tmp_path / 'no/folder/gone.pth', 'KEY'), 'KEY: there is no file')
    for age, name in enumerate(('RN50_best.pth', 'RN50_80.pth', 'resume.pth', 'train_log.txt')):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (10**9 - age, 10**9 - age))
    refused(
        lambda: load(tmp_path / 'gone.pth', 'KEY'),
        'gone.pth; checkpoints in its folder: ',
        'RN50_best.pth, RN50_80.pth',
    )
    for name in ('RN50_best.pth', 'RN50_80.pth', 'resume.pth'):
        (tmp_path / name).unlink()
    refused(lambda: load(tmp_path, 'KEY'), 'KEY: there is no file')
    for size in range(0, len(data), 9):
        (tmp_path / 'cut.pth').write_bytes(data[:size])
        refused(lambda: load(tmp_path / 'cut.pth', 'KEY'), 'KEY', 'cut.pth')


# -------------------------------------------------------------------------------- writes that fail


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
