"""An interrupted run resumes with the same result; what may change before it resumes."""

import json
import multiprocessing
import os
import re
import signal
import sys
from pathlib import Path

import pytest
import torch

import processor.processor_clipreid_stage2 as stage2
import train_clipreid
from configs import flatten, ignored_keys, load_cfg
from configs.command_line import parse_config
from tests.helpers import TIMES
from utils.checkpoint import load_state, load_tree, save_tree
from utils.device import random_states, set_random_states
from utils.errors import InputError, Stopped, exit_code
from utils.run.journal import Journal
from utils.run.resume import EPOCHS, HARMLESS
from utils.run.session import check_disk
from utils.run.signals import StopRequest
from utils.torch_errors import translated_errors

CENTER = ('MODEL.IF_WITH_CENTER', 'yes')


@pytest.fixture(autouse=True)
def _signals_arrive():
    """Tests that run in the background or under nohup may have inherited ignored signals."""
    earlier = {
        number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    earlier[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in earlier.items():
        signal.signal(number, handler)


def events(folder):
    lines = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def assert_same_run(one, other, name='RN50'):
    assert events(one) == events(other)
    files = {path.name for path in one.glob('*.pth')} - {'resume.pth'}
    assert (
        files == {path.name for path in other.glob('*.pth')} - {'resume.pth'}
        and f'{name}_best.pth' in files
    )
    for file in files:
        a, b = load_state(one / file), load_state(other / file)
        assert a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a), file


def stop_after(monkeypatch, count, number=signal.SIGTERM):
    """Let the ``count``-th iteration of the run send signal ``number`` to this process."""
    wants_state, done = Journal.wants_state, [0]

    def wants(self, iteration):
        done[0] += 1
        if done[0] == count:
            os.kill(os.getpid(), number)
        return wants_state(self, iteration)

    monkeypatch.setattr(Journal, 'wants_state', wants)


# stage 1 has 2 × 3 iterations, stage 2 two or three in each of two epochs
@pytest.mark.parametrize(
    'name, opts, counts',
    [
        ('RN50', (), (1, 3, 4, 7, 10)),
        ('ViT-B-16', CENTER, (5, 9)),
        ('RN50', ('SOLVER.STAGE2.OPTIMIZER_NAME', 'SGD'), (9,)),
        ('RN50', ('SOLVER.AMP', 'bf16', 'DATALOADER.NUM_WORKERS', 2), (9,)),
        ('RN50', ('DATALOADER.SAMPLER', 'softmax'), (8,)),
    ],
)
def test_stopped_anywhere_it_goes_on_bit_for_bit(world, monkeypatch, name, opts, counts):
    whole = world.folder / 'whole'
    best = train_clipreid.main(world.args(*opts, 'OUTPUT_DIR', whole, name=name))
    for count in counts:
        out = world.folder / f'stopped{count}'
        with monkeypatch.context() as patch:
            stop_after(patch, count)
            with pytest.raises(Stopped) as stopped:
                train_clipreid.main(world.args(*opts, 'OUTPUT_DIR', out, name=name))
            assert stopped.value.code == 143 and '--resume' in str(stopped.value)
        assert not multiprocessing.active_children(), 'workers are left'
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert not list(out.glob('.*')), 'the lock is left'
        assert (
            train_clipreid.main(world.args('--resume', *opts, 'OUTPUT_DIR', out, name=name)) == best
        )
        assert_same_run(whole, out, name)


def test_killed_and_resumed_by_time_within_an_epoch(world, monkeypatch):
    whole, out = world.folder / 'whole', world.folder / 'killed'
    train_clipreid.main(world.args('OUTPUT_DIR', whole))
    places, save = [], Journal.save

    def dies(self):
        save(self)
        places.append((self.stage, self.epoch, self.iteration))
        if len(places) == 13:
            raise MemoryError  # like a kill: the run writes nothing afterwards

    monkeypatch.setattr(Journal, 'save', dies)
    with pytest.raises(InputError):
        train_clipreid.main(world.args('OUTPUT_DIR', out, 'SOLVER.CHECKPOINT_MINUTES', 1e-9))
    assert (1, 1, 1) in places and (2, 1, 1) in places
    assert load_tree(out / 'resume.pth', 'x')['iteration'] == places[-1][2] > 0
    monkeypatch.undo()
    train_clipreid.main(world.args('--resume', 'OUTPUT_DIR', out))
    assert_same_run(whole, out)


def test_ctrl_c(world, monkeypatch, capsys):
    stop_after(monkeypatch, 5, signal.SIGINT)
    monkeypatch.setattr(sys, 'argv', ['train_clipreid.py', *world.args()])
    assert exit_code(train_clipreid.main) == 130
    assert (
        'stopped by SIGINT; to resume a training, repeat the command with --resume'
        in capsys.readouterr().err
    )
    state = load_tree(world.output / 'resume.pth', 'x')
    assert (state['stage'], state['epoch'], state['iteration']) == (1, 2, 2)


def test_a_signal_is_patient_only_where_it_is_told_to_be():
    stop = StopRequest()
    with stop.listening():
        with pytest.raises(Stopped) as stopped:
            os.kill(os.getpid(), signal.SIGINT)
        assert stopped.value.code == 130
        stop.asked = None
        with stop.patiently():
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.asked == signal.SIGTERM
            os.kill(os.getpid(), signal.SIGINT)  # at once: a terminal may send a second one
            stop._since -= 1
            with pytest.raises(Stopped):
                os.kill(os.getpid(), signal.SIGINT)
            stop.second_interrupt_ends = False
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(Stopped) as stopped:
                stop.check()
            assert stopped.value.code == 143 and str(stopped.value).startswith(
                'stopped by SIGTERM; '
            )


def test_a_finished_run_says_so_and_writes_nothing(world, capsys):
    best = train_clipreid.main(world.args())
    before = {path.name: path.read_bytes() for path in world.output.iterdir()}
    (world.folder / 'photos').rename(world.folder / 'gone')  # a finished run does not read them
    assert train_clipreid.main(world.args('--resume')) == best
    assert 'this run is finished' in capsys.readouterr().out
    assert before == {path.name: path.read_bytes() for path in world.output.iterdir()}
    with pytest.raises(InputError, match='SOLVER.SEED'):
        train_clipreid.main(world.args('--resume', 'SOLVER.SEED', 3))


def test_more_epochs_for_a_finished_run(world):
    train_clipreid.main(world.args('SOLVER.STAGE2.EVAL_PERIOD', 4))
    train_clipreid.main(
        world.args('--resume', 'SOLVER.STAGE2.EVAL_PERIOD', 4, 'SOLVER.STAGE2.MAX_EPOCHS', 4)
    )
    other = world.folder / 'four'
    train_clipreid.main(
        world.args(
            'SOLVER.STAGE2.EVAL_PERIOD', 4, 'SOLVER.STAGE2.MAX_EPOCHS', 4, 'OUTPUT_DIR', other
        )
    )
    a, b = load_state(world.output / 'RN50_4.pth'), load_state(other / 'RN50_4.pth')
    assert all(torch.equal(a[n], b[n]) for n in a)
    with pytest.raises(InputError, match='MAX_EPOCHS 3'):
        train_clipreid.main(world.args('--resume', 'SOLVER.STAGE2.MAX_EPOCHS', 3))


def test_a_run_of_stage_1_alone_goes_on_with_stage_2(world):
    train_clipreid.main(world.args(EPOCHS, 0))
    assert train_clipreid.main(world.args('--resume', EPOCHS, 0)) is None
    train_clipreid.main(world.args('--resume'))
    whole = world.folder / 'whole'
    train_clipreid.main(world.args('OUTPUT_DIR', whole))
    assert_same_run(whole, world.output)


def test_a_signal_in_validation_keeps_the_epoch(world, monkeypatch):
    """Even if RESUME_PERIOD would not have saved a state in this epoch."""
    validate = stage2.validate

    def stopped(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return validate(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(stage2, 'validate', stopped)
        with pytest.raises(Stopped):
            train_clipreid.main(world.args('SOLVER.RESUME_PERIOD', 10))
    state = load_tree(world.output / 'resume.pth', 'x')
    assert (state['stage'], state['epoch']) == (2, 1) and state['iteration'] > 0


def test_out_of_memory_names_the_batch_of_its_stage(world, monkeypatch):
    def full(*arguments, **options):
        raise torch.OutOfMemoryError('CUDA out of memory')

    for place, key in (
        ('processor.processor_clipreid_stage1.photo_features', 'SOLVER.STAGE1.IMS_PER_BATCH'),
        (
            'processor.processor_clipreid_stage2.validate',
            'SOLVER.STAGE2.IMS_PER_BATCH .* TEST.IMS_PER_BATCH',
        ),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, full)
            with pytest.raises(
                InputError, match=f'out of memory .CUDA out of memory.; lower {key}'
            ):
                train_clipreid.main(world.args())


def test_a_state_of_another_folder_leaves_the_run_there_alone(world, monkeypatch):
    train_clipreid.main(world.args())
    one, other = world.output, world.folder / 'other'
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        with pytest.raises(Stopped):
            train_clipreid.main(world.args('OUTPUT_DIR', other))
    before = {
        name: (other / name).read_bytes()
        for name in ('resume.pth', 'metrics.jsonl', 'train_log.txt')
    }
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        with pytest.raises(Stopped):
            train_clipreid.main(world.args())
    train_clipreid.main(world.args('SOLVER.RESUME', one, 'OUTPUT_DIR', other))
    assert (other / 'RN50_best.pth').exists()
    for name, content in before.items():
        stem, suffix = name.split('.')
        assert (other / f'{stem}.1.{suffix}').read_bytes() == content


def test_auto_without_a_run_starts_one(world):
    train_clipreid.main(world.args('SOLVER.RESUME', 'auto'))
    assert 'nothing to resume' in (world.output / 'train_log.txt').read_text()
    assert (world.output / 'RN50_2.pth').exists()


def test_a_new_run_keeps_the_state_of_an_unfinished_one(world, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        with pytest.raises(Stopped):
            train_clipreid.main(world.args())
    state = (world.output / 'resume.pth').read_bytes()
    train_clipreid.main(world.args())
    assert (world.output / 'resume.1.pth').read_bytes() == state
    assert 'that --resume would continue' in (world.output / 'train_log.txt').read_text()
    train_clipreid.main(world.args())
    assert not (world.output / 'resume.2.pth').exists()  # the second run was finished
    # a path instead of auto: the run resumes in a folder of its own
    out = world.folder / 'elsewhere'
    train_clipreid.main(
        world.args('SOLVER.RESUME', world.output / 'resume.1.pth', 'OUTPUT_DIR', out)
    )
    assert_state = load_state(out / 'RN50_2.pth')
    assert all(
        torch.equal(assert_state[n], t) for n, t in load_state(world.output / 'RN50_2.pth').items()
    )


@pytest.fixture
def stopped(world, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        with pytest.raises(Stopped):
            train_clipreid.main(world.args())
    return world


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
def test_a_changed_config_is_refused(stopped, opts, words):
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


def test_the_activation_may_be_told_as_it_is(stopped):
    with pytest.raises(InputError, match="'gelu'.*was.*'quickgelu'.*set MODEL.ACTIVATION"):
        train_clipreid.main(stopped.args('--resume', 'MODEL.ACTIVATION', 'gelu'))
    train_clipreid.main(stopped.args('--resume', 'MODEL.ACTIVATION', 'quickgelu'))
    assert (stopped.output / 'RN50_2.pth').exists()


def test_harmless_keys_exist():
    keys = set(flatten(load_cfg()))
    assert keys > HARMLESS and EPOCHS in keys - HARMLESS


def test_harmless_keys_are_documented():
    text = (Path(__file__).resolve().parents[3] / 'docs/reliability.md').read_text(encoding='utf-8')
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


def test_other_photos_are_refused(stopped):
    photo = stopped.folder / 'photos' / 'train' / '0' / '0.png'
    photo.write_bytes(photo.read_bytes() + b'\0')
    with pytest.raises(InputError, match='photos of train have changed since the run started'):
        train_clipreid.main(stopped.args('--resume'))


def test_moved_photos_and_weights_are_welcome(stopped):
    (stopped.folder / 'photos').rename(stopped.folder / 'moved')
    weights = stopped.folder / 'w.pth'
    weights.write_bytes(Path(stopped.weights['RN50']).read_bytes())
    train_clipreid.main(
        stopped.args('--resume', 'DATASETS.DATA_DIR', 'moved', 'MODEL.PRETRAIN_PATH', weights)
    )


def test_other_weights_are_refused(world, monkeypatch):
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


def test_features_of_another_machine_are_warned_of_and_other_ones_refused(world, monkeypatch):
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
def test_a_spoilt_state_is_refused(stopped, spoil):
    path = stopped.output / 'resume.pth'
    state = load_tree(path, 'x')
    spoil(state)
    save_tree(state, path)
    before = {p.name: p.read_bytes() for p in stopped.output.iterdir()}
    with pytest.raises(InputError) as refused:
        train_clipreid.main(stopped.args('--resume'))
    assert '\n' not in str(refused.value) and 'SOLVER.RESUME' in str(refused.value)
    assert before == {p.name: p.read_bytes() for p in stopped.output.iterdir()}


def test_a_state_of_an_older_version_is_refused_by_its_format(stopped):
    path = stopped.output / 'resume.pth'
    state = load_tree(path, 'x')
    assert state['facts'].pop('model')
    save_tree(state | {'format': 1}, path)
    with pytest.raises(InputError) as refused:
        train_clipreid.main(stopped.args('--resume'))
    assert (
        f'{path} has format 1, this version reads 2; resume with the version that started the run'
        in str(refused.value)
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


def test_random_states_go_on():
    states = random_states(torch.device('cpu'))
    first = torch.rand(1)
    set_random_states(states, torch.device('cpu'))
    assert first == torch.rand(1)


def test_disk_is_looked_at_before(world, monkeypatch):
    monkeypatch.setattr('utils.run.session.free_bytes', lambda folder: 10**7)
    with pytest.raises(
        InputError,
        match=r'writes 4 files of up to 0.02 GB and .* 0.\d\d GB more than now, but only 0.01 GB',
    ):
        train_clipreid.main(world.args())
    assert not list(world.output.iterdir())


def test_disk_need_by_hand(tmp_path, monkeypatch, caplog):
    (tmp_path / 'a').write_bytes(b'x' * 30)
    files = {
        'a': 100,
        'b': 50,
    }  # 70 more for a, 50 for b, 100 while a is written beside the old a; 10 for photos
    for free, enough in ((230, True), (229, False)):
        monkeypatch.setattr('utils.run.session.free_bytes', lambda folder, free=free: free)
        if enough:
            check_disk(tmp_path, files, cache=10)
        else:
            with pytest.raises(InputError):
                check_disk(tmp_path, files, cache=10)
    (tmp_path / 'resume.pth').write_bytes(b'x' * 100)
    check_disk(tmp_path, {'resume.pth': 100})  # replaced; both exist for a moment
    with pytest.raises(InputError):
        check_disk(tmp_path, {'resume.pth': 120}, new=True)  # another run's state is kept


@pytest.mark.parametrize(
    ('error', 'cause', 'start', 'told'),
    [
        (
            '(pid 7) is killed by signal: Killed. ',
            '',
            'fork',
            'was killed .*signal: Killed.*memory or /dev/shm may be full',
        ),
        (
            '(pid(s) 7) exited unexpectedly',
            '(pid 7) is killed by signal: Bus error. It is possible',
            'fork',
            'shm may be full',
        ),
        (
            '(pid(s) 7) exited unexpectedly',
            '(pid 7) exited unexpectedly with exit code 1. Details',
            'fork',
            'with exit code 1',
        ),
        (
            '(pid(s) 7, 8) exited unexpectedly',
            '',
            'spawn',
            "below `if __name__ == '__main__':`, or set DATALOADER",
        ),
    ],
)
def test_a_worker_that_has_ended_is_told_in_one_line(monkeypatch, error, cause, start, told):
    monkeypatch.setattr('multiprocessing.get_start_method', lambda: start)
    with (
        pytest.raises(InputError, match=f'a process that decodes photos .*{told}.*') as caught,
        translated_errors('X'),
    ):
        raise RuntimeError(f'DataLoader worker {error}\nmore') from RuntimeError(
            cause and f'DataLoader worker {cause}'
        )
    assert 'NUM_WORKERS' in str(caught.value) and '\n' not in str(caught.value)
    assert ('shm' in told) == ('shm' in str(caught.value))


def test_a_bug_in_a_worker_is_not_taken_for_a_full_memory():
    with pytest.raises(RuntimeError, match='Original Traceback'), translated_errors('X'):
        raise RuntimeError(
            'Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback (most '
            'recent call last)'
        )


def test_settings_of_the_optimizer_do_not_come_from_the_file(stopped):
    """Among them is `fused`, which decides what memory is written to."""
    path = stopped.output / 'resume.pth'
    state = load_tree(path, 'x')
    for group in state['parts']['optimizer']['param_groups']:
        group.update(lr='x', betas=(0.0, 0.0))
    save_tree(state, path)
    train_clipreid.main(stopped.args('--resume'))
    whole = stopped.folder / 'whole'
    train_clipreid.main(stopped.args('OUTPUT_DIR', whole))
    assert_same_run(whole, stopped.output)


def test_a_closed_terminal(world, monkeypatch):
    stop_after(monkeypatch, 8, signal.SIGHUP)
    with pytest.raises(Stopped) as stopped:
        train_clipreid.main(world.args())
    assert (
        stopped.value.code == 129 and load_tree(world.output / 'resume.pth', 'x')['iteration'] == 2
    )


def test_nohup_is_respected():
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest().listening() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.asked is None
    finally:
        signal.signal(signal.SIGHUP, earlier)


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match='something else'), translated_errors('X'):
        raise RuntimeError('something else')
