"""Checkpoints and states: both formats, what is refused, and that nothing which is read is ever
run.
"""

import argparse
import copy
import hashlib
import json
import os
import pickle
import resource
import shutil
import struct
import warnings
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from yacs.config import CfgNode

import test_clipreid
import train_clipreid
from configs import get_defaults
from model.clip import weights
from model.make_model_clipreid import make_model, make_test_model
from tests.helpers import toy_config
from tests.model.test_archive import Evil, evil_pickles, run
from tests.model.test_weights import refused, same
from utils.checkpoint import load_checkpoint, load_state, load_tree, save_state, save_tree
from utils.run.resume import read_state
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


class Made:
    """Pickled as an OrderedDict with attributes of its own."""

    def __init__(self, content, /, **attributes):
        self.content, self.attributes = content, attributes

    def __repr__(self):
        return f'Made({self.content!r}, {self.attributes})'

    def __reduce__(self):
        return OrderedDict, (), self.attributes, None, iter(self.content.items())


@pytest.mark.parametrize(
    'notes',
    [
        3,
        'text',
        [],
        {},
        {'': 3},
        {'': []},
        {'': {1: 2}},
        {'': {'activation': 3, 'side': None, 'a': {}, 'b': torch.ones(2)}},
        OrderedDict(a=1),
        Made({}, get=3),
        Made({'': {'activation': 'gelu'}}, get=3),
        {'': Made({'activation': 'gelu'}, items=3)},
        torch.ones(3),
        {3: {}},
    ],
    ids=str,
)
def test_made_up_notes_are_nothing(notes, tmp_path):
    torch.save(Made({'a': torch.ones(2)}, _metadata=notes), tmp_path / 'a.pth')
    loaded = load_checkpoint(tmp_path / 'a.pth')
    assert loaded.state['a'].tolist() == [1, 1] and loaded.about == {}


def test_dicts_with_attributes_in_place_of_methods(tmp_path):
    for name in ('items', 'values', 'get', 'keys'):
        torch.save(Made({'a': torch.ones(2)}, **{name: 3}), tmp_path / 'a.pth')
        assert name in torch.load(tmp_path / 'a.pth', weights_only=True).__dict__  # torch takes it
        refused(
            lambda: load_state(tmp_path / 'a.pth'), 'TEST.WEIGHT', 'a.pth', 'no plain state dict'
        )
        refused(
            lambda: load_tree(tmp_path / 'a.pth', 'KEY'), 'KEY', 'a.pth', 'a dict with attributes'
        )
        refused(lambda: read_state(str(tmp_path / 'a.pth'), tmp_path), 'SOLVER.RESUME', 'a.pth')
        torch.save({'state_dict': Made({'a': torch.ones(2)}, **{name: 3})}, tmp_path / 'a.pth')
        refused(lambda: load_checkpoint(tmp_path / 'a.pth'), 'a.pth', 'no plain state dict')


# ----------------------------------------------------------------------------- as others save them


@pytest.mark.parametrize('inside', ['', 'state_dict', 'model', 'model_state_dict', 'net'])
@pytest.mark.parametrize(
    'prefix',
    ['', 'module.', '_orig_mod.', 'module._orig_mod.', '_orig_mod.module.', 'module.module.'],
)
def test_weights_as_tutorials_save_them(inside, prefix, tmp_path, caplog):
    model, path = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), tmp_path / 'a.pth'
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    state = {f'{prefix}{name}': tensor for name, tensor in model.state_dict().items()}
    torch.save(
        {
            'epoch': 3,
            inside: state,
            'optimizer': optimizer.state_dict(),
            'loss': torch.tensor(0.5),
            'best': None,
            'scheduler': {},
        }
        if inside
        else state,
        path,
    )
    with caplog.at_level('INFO', 'transreid'):
        loaded = load_checkpoint(path, 'A.KEY')
    assert same(loaded.state, dict(model.state_dict())) and loaded.inside == inside
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == bool(inside or prefix)
    for line in said:
        assert line.startswith(f'A.KEY: {path}: read the weights')
        assert (f"under '{inside}'" in line) == bool(inside)
        assert all((word in line) == (word in prefix) for word in ('module.', '_orig_mod.'))


@pytest.mark.parametrize('keys', [['checkpoint', 'model'], ['a', 'b', 'state_dict']])
def test_weights_in_dicts_within_dicts(keys, tmp_path, caplog):
    """The optimizer's tensors, one level below the model's and under their names, are no
    weights.
    """
    state, content = {'a.b': torch.ones(2)}, None
    moments = {'state': {'a.b': {'exp_avg': torch.zeros(2)}}}
    for key in reversed(keys):
        content = {key: content, 'epoch': 1} if content else {key: state, 'optimizer': moments}
    content['self'] = content
    torch.save(content, tmp_path / 'a.pth')
    with caplog.at_level('INFO', 'transreid'):
        assert same(load_state(tmp_path / 'a.pth'), state)
    assert f"under '{'.'.join(keys)}'" in caplog.text


def test_a_dict_within_itself_holds_no_weights(tmp_path):
    content = {}
    content['a'] = content['b'] = {'c': content}
    torch.save(content, tmp_path / 'a.pth')
    refused(
        lambda: load_state(tmp_path / 'a.pth'),
        'TEST.WEIGHT',
        'a.pth',
        'no plain state dict',
        'holds none',
    )


@pytest.mark.parametrize(
    'beside',
    [
        np.float64(0.5),
        np.int64(3),
        np.bool_(True),
        [np.float32(1)],
        np.ones((2, 3)),
        np.array(['a', 'b'], dtype=object),
        argparse.Namespace(lr=0.1, map=np.float64(1)),
    ],
)
def test_numbers_of_numpy_and_options_beside_the_weights_are_skipped(beside, tmp_path):
    torch.save({'model': {'a': torch.ones(2)}, 'beside': beside}, tmp_path / 'a.pth')
    assert same(load_state(tmp_path / 'a.pth'), {'a': torch.ones(2)})
    for content in (beside, {'a': torch.ones(2), 'beside': beside}):
        torch.save(content, tmp_path / 'a.pth')
        refused(
            lambda: load_state(tmp_path / 'a.pth'), 'TEST.WEIGHT', 'a.pth', 'no plain state dict'
        )
        refused(
            lambda: load_tree(tmp_path / 'a.pth', 'KEY'),
            'KEY',
            'a.pth',
            "none of this program's states",
        )


@pytest.mark.parametrize(
    'wrap', [lambda code: np.array([code], dtype=object), lambda code: argparse.Namespace(x=code)]
)
def test_code_in_what_is_skipped_is_not_run(wrap, tmp_path):
    class Code:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'ran'),)

    torch.save({'model': {'a': torch.ones(2)}, 'beside': wrap(Code())}, tmp_path / 'a.pth')
    refused(lambda: load_state(tmp_path / 'a.pth'), 'TEST.WEIGHT', 'a.pth', 'refused and not run')
    assert not (tmp_path / 'ran').exists()


def test_names_within_are_kept(tmp_path):
    names = {
        'a.module.b': 'a.module.b',
        'a._orig_mod.b': 'a.b',
        'a_orig_mod.b': 'a_orig_mod.b',
        'modules.a': 'modules.a',
    }
    torch.save({name: torch.ones(1) for name in names}, tmp_path / 'a.pth')
    assert list(load_state(tmp_path / 'a.pth')) == list(names.values())


def test_several_state_dicts_are_ambiguous(tmp_path):
    torch.save(
        {'model': {'a': torch.ones(1)}, 'ema': {'a': torch.zeros(1)}, 'epoch': 3},
        tmp_path / 'a.pth',
    )
    refused(
        lambda: load_state(tmp_path / 'a.pth'),
        'TEST.WEIGHT',
        'a.pth',
        '2 state dicts',
        "'model', 'ema'",
        "['model']",
    )
    torch.save(
        {'x': {'model': {'a': torch.ones(1)}}, 'y': {'model': {'a': torch.zeros(1)}}},
        tmp_path / 'a.pth',
    )
    refused(
        lambda: load_state(tmp_path / 'a.pth'),
        "'x.model', 'y.model'",
        "torch.load(path)['x']['model']",
    )
    torch.save({'module.a': torch.ones(1), 'a': torch.zeros(1)}, tmp_path / 'a.pth')
    refused(lambda: load_state(tmp_path / 'a.pth'), 'TEST.WEIGHT', 'a.pth', 'same name')


def test_the_state_of_a_run_names_the_newest_checkpoint(world):
    short = ('SOLVER.STAGE1.MAX_EPOCHS', 1, 'SOLVER.STAGE2.MAX_EPOCHS', 1)
    train_clipreid.main(world.args(*short))
    state = world.output / 'resume.pth'
    shutil.copy(state, world.output / 'resume.1.pth')  # of an earlier run: no checkpoint either
    for age, name in enumerate(('RN50_1.pth', 'RN50_best.pth', 'RN50_stage1_1.pth')):
        os.utime(world.output / name, (1e9 - age, 1e9 - age))
    for main, key, opts in (
        (test_clipreid.main, 'TEST.WEIGHT', ('TEST.WEIGHT', state)),
        (train_clipreid.main, 'MODEL.PRETRAIN_PATH', ('MODEL.PRETRAIN_PATH', state)),
        (
            train_clipreid.main,
            'MODEL.PRETRAIN_PATH',
            ('MODEL.PRETRAIN_PATH', state, 'MODEL.PRETRAIN_CHOICE', 'finetune'),
        ),
    ):
        refused(
            lambda main=main, opts=opts: main(
                world.args(*opts, 'OUTPUT_DIR', world.folder / 'other')
            ),
            key,
            state,
            'what a training resumes from',
            f'take the newest checkpoint there, {world.output / "RN50_1.pth"}',
        )
    shutil.copy(state, world.folder / 'renamed.pth')
    refused(
        lambda: load_state(world.folder / 'renamed.pth'),
        'renamed.pth',
        'no checkpoint lies beside it',
    )


@pytest.mark.parametrize(
    'inside, prefix', [('model', '_orig_mod.'), ('state_dict', 'module._orig_mod.')]
)
def test_a_checkpoint_saved_by_hand_is_tested_and_trained_on(world, inside, prefix):
    """In the log of the run, too; weights, notes and results are those of the checkpoint itself."""
    short = ('SOLVER.STAGE1.MAX_EPOCHS', 0, 'SOLVER.STAGE2.MAX_EPOCHS', 1)
    train_clipreid.main(world.args(*short))
    weight, other = world.output / 'RN50_1.pth', world.folder / 'other.pth'
    state = torch.load(weight, weights_only=True)
    torch.save(
        {inside: {f'{prefix}{name}': tensor for name, tensor in state.items()}, 'epoch': 1}, other
    )
    expected = test_clipreid.main(world.args('TEST.WEIGHT', weight))
    assert test_clipreid.main(world.args('TEST.WEIGHT', other)) == expected
    assert (
        f"read the weights under '{inside}' without" in (world.output / 'test_log.txt').read_text()
    )
    for choice in ('self', 'finetune'):
        train_clipreid.main(
            world.args(
                *short,
                'MODEL.PRETRAIN_CHOICE',
                choice,
                'MODEL.PRETRAIN_PATH',
                other,
                'OUTPUT_DIR',
                world.folder / choice,
            )
        )


def test_a_clip_saved_by_hand(toy_weights, tmp_path):
    state = torch.load(toy_weights['RN50'], weights_only=True)
    torch.save(
        {'model': {f'module._orig_mod.{name}': tensor for name, tensor in state.items()}},
        tmp_path / 'a.pth',
    )
    found = weights.load_clip('RN50', tmp_path / 'a.pth')
    assert same(found.state, weights.load_clip('RN50', toy_weights['RN50']).state)
    assert found.activation.name == 'quickgelu'  # open_clip's stand under 'state_dict'


# ------------------------------------------------------------------------------------------- trees


def test_trees(tmp_path):
    inner = [1, 2.5, 'text', None, True, -(2**70), float('inf'), (), [], {}]
    tree = {'a': inner, 7: (inner, (1, (2,))), 'b': OrderedDict(x=inner), 't': torch.arange(3)}
    save_tree(tree, tmp_path / 'a.pth')
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
    with pytest.raises(TypeError):
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
    refused(lambda: load_state(tmp_path / 'deep.pth'), 'no plain state dict')


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
        'gone.pth; there are ',
        'RN50_best.pth, RN50_80.pth',
    )
    for name in ('RN50_best.pth', 'RN50_80.pth', 'resume.pth'):
        (tmp_path / name).unlink()
    refused(lambda: load(tmp_path, 'KEY'), 'KEY: there is no file')
    for size in range(0, len(data), 9):
        (tmp_path / 'cut.pth').write_bytes(data[:size])
        refused(lambda: load(tmp_path / 'cut.pth', 'KEY'), 'KEY', 'cut.pth')


# ---------------------------------------------------------------------------- absurd and odd files


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
            'unpacks to more than it holds',
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
    refused(lambda: load_state(tmp_path / 'bomb.pth'), 'unpacks to more than it holds')


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
    refused(lambda: load_state(tmp_path / 'a.pth'), 'claims', 'GB', 'refused')
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
        refused(lambda path=tmp_path / f'a.{suffix}': load_state(path), 'no plain state dict')


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
    refused(lambda: load_state(path), 'damaged', '(0, -1)')


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
        monkeypatch.setitem(
            weights.OFFICIAL, 'RN50', ('RN50.pt', hashlib.sha256(path.read_bytes()).hexdigest())
        )
        return weights.load_clip('RN50').state

    def of_another_in_the_cache():
        cache.mkdir(exist_ok=True)
        (cache / 'RN50.pt').write_bytes(path.read_bytes())
        monkeypatch.setitem(weights.OFFICIAL, 'RN50', ('RN50.pt', '0' * 64))
        return weights.load_clip('RN50').state

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
