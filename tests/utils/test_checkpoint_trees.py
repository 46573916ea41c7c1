"""States of runs: trees of values, and what is rejected."""

import copy
import os
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from tests.model.weight_files import refused, same
from tests.utils.state_files import change_member
from utils.checkpoint import (
    copy_tree,
    load_state,
    load_tree,
    save_tree,
)


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
def test_an_optimizer_resumes_bit_for_bit(kind, tmp_path):
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
def test_trees_of_other_types_are_rejected(name, tmp_path):
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
    (tmp_path / 'broken_link.pth').symlink_to('gone.pth')
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
