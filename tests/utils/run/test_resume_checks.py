"""What may change before a run resumes."""

import re
from pathlib import Path

import pytest
import torch

import train_clipreid
from configs import flatten, ignored_keys, load_cfg
from configs.command_line import parse_config
from tests.helpers import ROOT
from tests.utils.run.interrupted import stop_after
from utils.checkpoint import load_tree, save_tree
from utils.errors import InputError, Stopped
from utils.run.resume import ADDED, EPOCHS, HARMLESS


@pytest.mark.parametrize(
    'opts, words',
    [
        (
            ('SOLVER.STAGE2.BASE_LR', 0.1, 'SOLVER.SEED', 5),
            ('SOLVER.SEED 5 (was 1234)', 'SOLVER.STAGE2.BASE_LR 0.1 (was 0.0003)'),
        ),
        (('SOLVER.STAGE1.MAX_EPOCHS', 9), ('SOLVER.STAGE1.MAX_EPOCHS 9 (was 2)',)),
        (('INPUT.RE_PROB', 0.1), ('INPUT.RE_PROB',)),
    ],
)
def test_a_changed_config_is_rejected(stopped, opts, words):
    log = (stopped.output / 'train_log.txt').read_bytes()
    with pytest.raises(InputError) as refused:
        train_clipreid.main(stopped.args('--resume', *opts))
    assert all(word in str(refused.value) for word in words)
    assert (stopped.output / 'train_log.txt').read_bytes() == log


def test_harmless_keys_may_change(stopped):
    train_clipreid.main(
        stopped.args(
            '--resume', 'SOLVER.STAGE2.LOG_PERIOD', 7, 'DATALOADER.NUM_WORKERS', 1, EPOCHS, 3
        )
    )
    assert (stopped.output / 'RN50_3.pth').exists()


def test_the_activation_may_be_set_to_its_own_value(stopped):
    with pytest.raises(InputError, match="'gelu'.*was.*'quickgelu'.*set MODEL.ACTIVATION"):
        train_clipreid.main(stopped.args('--resume', 'MODEL.ACTIVATION', 'gelu'))
    train_clipreid.main(stopped.args('--resume', 'MODEL.ACTIVATION', 'quickgelu'))
    assert (stopped.output / 'RN50_2.pth').exists()


def test_harmless_keys_exist():
    keys = set(flatten(load_cfg()))
    assert keys > HARMLESS and EPOCHS in keys - HARMLESS


def test_harmless_keys_are_documented():
    text = (ROOT / 'docs/reliability.md').read_text(encoding='utf-8')
    listed = text.split('These may change:')[1].split('Not `SOLVER.STAGE1')[0]
    names = {name.split('.')[-1] for name in re.findall('`([A-Z0-9_.]+)`', listed)}
    harmless = {key.split('.')[-1] for key in HARMLESS | {EPOCHS}}
    others = {key.split('.')[-1] for key in ignored_keys()} | {'DATASETS', 'TEST'}
    assert harmless <= names <= harmless | others


def test_keys_without_effect_may_change(stopped):
    """Even if the state of an earlier version holds them."""
    path = stopped.output / 'resume.pth'
    state = load_tree(path, 'x')
    assert not HARMLESS & ignored_keys() and not state['facts']['config'].keys() & ignored_keys()
    state['facts']['config'] |= {'MODEL.DROP_PATH': 0.1, 'TEST.EVAL': True}
    save_tree(state, path)
    train_clipreid.main(stopped.args('--resume', 'MODEL.DROP_PATH', 0.2))
    assert (stopped.output / 'RN50_2.pth').exists()


def test_a_state_without_the_keys_of_later_versions_resumes(stopped):
    path = stopped.output / 'resume.pth'
    state = load_tree(path, 'x')
    for key in (*ADDED, 'TEST.BOOTSTRAP', 'TEST.REPORT'):
        del state['facts']['config'][key]
    save_tree(state, path)
    with pytest.raises(InputError, match=r"MODEL.PROMPT_START 'number' \(was 'random'\)"):
        train_clipreid.main(stopped.args('--resume', 'MODEL.PROMPT_START', 'number'))
    train_clipreid.main(stopped.args('--resume'))
    assert (stopped.output / 'RN50_2.pth').exists()


def test_other_photos_are_rejected(stopped):
    photo = stopped.folder / 'photos' / 'train' / '0' / '0.png'
    photo.write_bytes(photo.read_bytes() + b'\0')
    with pytest.raises(InputError, match='photos of train have changed since the run started'):
        train_clipreid.main(stopped.args('--resume'))


def test_moved_photos_and_weights_are_accepted(stopped):
    (stopped.folder / 'photos').rename(stopped.folder / 'moved')
    weights = stopped.folder / 'w.pth'
    weights.write_bytes(Path(stopped.weights['RN50']).read_bytes())
    train_clipreid.main(
        stopped.args('--resume', 'DATASETS.DATA_DIR', 'moved', 'MODEL.PRETRAIN_PATH', weights)
    )


def test_other_weights_are_rejected(world, monkeypatch):
    """In stage 1 the state holds only the prompts; PRETRAIN_PATH holds the other weights."""
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(Stopped):
            train_clipreid.main(world.args())
    state = torch.load(world.weights['RN50'], weights_only=True)
    state['visual.layer1.0.conv1.weight'] += 0.01
    torch.save(state, world.folder / 'w.pth')
    with pytest.raises(InputError, match='MODEL.PRETRAIN_PATH'):
        train_clipreid.main(world.args('--resume', 'MODEL.PRETRAIN_PATH', world.folder / 'w.pth'))


def test_features_of_another_machine_are_warned_of_and_other_ones_rejected(world, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(Stopped):
            train_clipreid.main(world.args())
    path = world.output / 'resume.pth'
    state = load_tree(path, 'x')
    state['features']['lengths'][0] *= 1.001
    save_tree(state, path)
    train_clipreid.main(world.args('--resume', 'SOLVER.STAGE2.MAX_EPOCHS', 1))
    assert 'differ in their last digits' in (world.output / 'train_log.txt').read_text()
    state['features']['lengths'][0] *= 2
    save_tree(state, path)
    with pytest.raises(InputError, match='photos or weights have changed'):
        train_clipreid.main(world.args('--resume'))


@pytest.mark.parametrize(
    'spoil',
    [
        lambda state: state.pop('tally'),
        lambda state: state['parts'].clear(),
        lambda state: state.update(format=99),
        lambda state: state['tensors'].popitem(),
        lambda state: state.update(facts=None),
        lambda state: state.update(random={}),
        lambda state: state.update(stage='two'),
        lambda state: state.clear(),
        lambda state: state.update(epoch=None),
        lambda state: state.update(metrics_length='x'),
        lambda state: state.update(stage=3),
        lambda state: state.update(best='x'),
        lambda state: state.update(seconds=None),
        lambda state: state['parts'].update(optimizer={}),
        lambda state: state['parts']['optimizer']['state'][0].update(exp_avg=torch.zeros(3)),
        lambda state: state['parts']['optimizer']['state'][1].pop('exp_avg'),
        lambda state: state['parts']['optimizer']['state'][0].update(step=torch.zeros(9)),
        lambda state: state.update(features='x'),
    ],
)
def test_a_spoilt_state_is_rejected(stopped, spoil):
    path = stopped.output / 'resume.pth'
    state = load_tree(path, 'x')
    spoil(state)
    save_tree(state, path)
    before = {p.name: p.read_bytes() for p in stopped.output.iterdir()}
    with pytest.raises(InputError) as refused:
        train_clipreid.main(stopped.args('--resume'))
    assert '\n' not in str(refused.value) and 'SOLVER.RESUME' in str(refused.value)
    assert before == {p.name: p.read_bytes() for p in stopped.output.iterdir()}


def test_a_state_of_an_older_version_is_rejected_by_its_format(stopped):
    path = stopped.output / 'resume.pth'
    state = load_tree(path, 'x')
    assert state['facts'].pop('model')
    save_tree(state | {'format': 1}, path)
    with pytest.raises(InputError) as refused:
        train_clipreid.main(stopped.args('--resume'))
    assert (
        f'{path} has format 1, but this version reads 2; resume with the version that started '
        'the run' in str(refused.value)
    )


def test_a_checkpoint_is_no_state(stopped):
    with pytest.raises(InputError, match='not a state to resume from'):
        train_clipreid.main(stopped.args('SOLVER.RESUME', stopped.weights['RN50']))
    with pytest.raises(InputError, match='there is no file'):
        train_clipreid.main(stopped.args('SOLVER.RESUME', stopped.folder / 'nowhere.pth'))


def test_resume_may_stand_anywhere():
    seed = ['SOLVER.SEED', '5']
    for words in (['--resume', *seed], [*seed, '--resume'], [*seed, 'SOLVER.RESUME', 'auto']):
        parsed = parse_config(words, '', resumes=True)
        cfg = load_cfg('', parsed.opts)
        assert (cfg.SOLVER.RESUME, cfg.SOLVER.SEED) == ('auto', 5)
