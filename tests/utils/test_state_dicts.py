"""The one state dict in files as training programs of all kinds save them."""

import argparse
import os
import shutil
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

import test_clipreid
import train_clipreid
from model.clip import weights
from tests.model.weight_files import refused, same
from utils.checkpoint import load_checkpoint, load_state, load_tree
from utils.run.resume import read_state

pytestmark = pytest.mark.usefixtures('no_pictures')


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
            lambda: load_state(tmp_path / 'a.pth'), 'TEST.WEIGHT', 'a.pth', 'not a plain state dict'
        )
        refused(
            lambda: load_tree(tmp_path / 'a.pth', 'KEY'), 'KEY', 'a.pth', 'a dict with attributes'
        )
        refused(lambda: read_state(str(tmp_path / 'a.pth'), tmp_path), 'SOLVER.RESUME', 'a.pth')
        torch.save({'state_dict': Made({'a': torch.ones(2)}, **{name: 3})}, tmp_path / 'a.pth')
        refused(lambda: load_checkpoint(tmp_path / 'a.pth'), 'a.pth', 'not a plain state dict')


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
        assert ('without module. or _orig_mod.' in line) == bool(prefix)


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
        'not a plain state dict',
        'contains none',
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
            lambda: load_state(tmp_path / 'a.pth'), 'TEST.WEIGHT', 'a.pth', 'not a plain state dict'
        )
        refused(
            lambda: load_tree(tmp_path / 'a.pth', 'KEY'),
            'KEY',
            'a.pth',
            'not a state saved by this program',
        )


@pytest.mark.parametrize(
    'wrap', [lambda code: np.array([code], dtype=object), lambda code: argparse.Namespace(x=code)]
)
def test_code_in_what_is_skipped_is_not_run(wrap, tmp_path):
    class Code:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'ran'),)

    torch.save({'model': {'a': torch.ones(2)}, 'beside': wrap(Code())}, tmp_path / 'a.pth')
    refused(lambda: load_state(tmp_path / 'a.pth'), 'TEST.WEIGHT', 'a.pth', 'rejected and not run')
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
    )
    torch.save(
        {'x': {'model': {'a': torch.ones(1)}}, 'y': {'model': {'a': torch.zeros(1)}}},
        tmp_path / 'a.pth',
    )
    refused(lambda: load_state(tmp_path / 'a.pth'), "'x.model', 'y.model'")
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
            'is the state of a run, for --resume',
            f'use the newest, {world.output / "RN50_1.pth"}',
        )
    shutil.copy(state, world.folder / 'renamed.pth')
    refused(
        lambda: load_state(world.folder / 'renamed.pth'),
        'renamed.pth',
        'its folder has no checkpoint yet',
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
    state, activation = weights.load_clip('RN50', tmp_path / 'a.pth')
    assert same(state, weights.load_clip('RN50', toy_weights['RN50'])[0])
    assert activation.name == 'quickgelu'  # open_clip's stand under 'state_dict'
