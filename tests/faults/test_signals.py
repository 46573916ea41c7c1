"""SIGTERM and Ctrl-C, and going on afterwards: what is the same, what is refused."""

import os
import pickle
import re
import shutil
import signal
import time

import pytest
import torch

from .harness import EVERY_EPOCH, differences, epochs, state_of

pytestmark = pytest.mark.slow

STAGE_1, STAGE_2, BATCHES = 2, 3, 3
SHAPE = (*epochs(STAGE_1, STAGE_2), *EVERY_EPOCH, 'DATALOADER.SAMPLER', 'softmax')
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}
STEP = 'torch.amp.GradScaler.step'
# where the signal comes: a call, and what the state then says (None: no state yet, the run starts
# again)
PLACES = {
    'before the first iteration': (
        {'call': 'model.make_model_clipreid.make_model', 'number': 1},
        None,
    ),
    'features of stage 1': (
        {'call': 'processor.processor_clipreid_stage1.photo_features', 'number': 1},
        None,
    ),
    'stage 1': ({'call': STEP, 'number': BATCHES + 2}, (1, 2, 2)),
    'stage 2': ({'call': STEP, 'number': STAGE_1 * BATCHES + BATCHES + 2}, (2, 2, 2)),
    'last iteration': ({'call': STEP, 'number': STAGE_1 * BATCHES + BATCHES}, (2, 1, None)),
    'validation': ({'call': 'processor.inference.extract_features', 'number': 2}, (2, 2, None)),
    'writing a state': (
        {'call': 'os.replace', 'about': 'resume.pth', 'number': STAGE_1 + 2},
        (2, None, None),
    ),
    'writing a checkpoint': (
        {'call': 'os.fsync', 'about': 'RN50_2.pth', 'number': 1},
        (2, 2, None),
    ),
}


def arguments(world, out, *opts, resume=True, name='RN50'):
    config, yml, *rest = world.args('OUTPUT_DIR', out, *SHAPE, *opts, name=name)
    return [config, yml, *(['--resume'] if resume else []), *rest]


@pytest.fixture(scope='module')
def finished(zygote, faults_world, tmp_path_factory):
    """OUTPUT_DIR of an uninterrupted run."""
    folder = tmp_path_factory.mktemp('finished')
    run = zygote.start(folder / 'run', *arguments(faults_world, folder / 'out', resume=False))
    assert run.wait() == 0, run.err
    return folder / 'out'


@pytest.fixture(scope='module')
def stopped(zygote, faults_world, tmp_path_factory):
    """OUTPUT_DIR of a run that was stopped within stage 2."""
    folder = tmp_path_factory.mktemp('stopped')
    fault = PLACES['stage 2'][0] | {'signal': signal.SIGTERM}
    assert (
        zygote.start(folder / 'run', *arguments(faults_world, folder / 'out'), fault=fault).wait()
        == 143
    )
    return folder / 'out'


@pytest.fixture
def out(stopped, tmp_path):
    """A copy of ``stopped``."""
    shutil.copytree(stopped, tmp_path / 'out')
    return tmp_path / 'out'


def snapshot(folder):
    return {
        p.name: (p.stat().st_mtime_ns, p.stat().st_ino, p.stat().st_size) for p in folder.iterdir()
    }


def one_line(run):
    lines = run.err.splitlines()
    assert len(lines) == 1, run.err
    return lines[0]


@pytest.mark.parametrize('number', CODES, ids=['SIGTERM', 'SIGINT'])
@pytest.mark.parametrize('place', PLACES)
def test_stopped_and_gone_on(zygote, faults_world, finished, tmp_path, place, number):
    fault, position = PLACES[place]
    out = tmp_path / 'out'
    run = zygote.start(
        tmp_path / 'first', *arguments(faults_world, out), fault=fault | {'signal': number}
    )
    assert run.wait() == CODES[number], (run.out[-1000:], run.err)
    one_line(run)
    assert (out / 'resume.pth').exists() == (position is not None)
    if position:
        state = state_of(out / 'resume.pth')
        for key, value in zip(('stage', 'epoch', 'iteration'), position):
            assert value is None or state[key] == value, (key, state[key])
    run = zygote.start(tmp_path / 'last', *arguments(faults_world, out))
    assert run.wait() == 0, run.err
    assert ('Resumed' in run.out) == (position is not None)
    assert not differences(out, finished)


@pytest.mark.parametrize('number', CODES, ids=['SIGTERM', 'SIGINT'])
def test_a_signal_to_the_workers_too(zygote, faults_world, finished, tmp_path, number):
    """As a terminal's Ctrl-C, and many a batch system, reach every process."""
    out = tmp_path / 'out'
    fault = PLACES['stage 2'][0] | {'pause': True}
    run = zygote.start(tmp_path / 'first', *arguments(faults_world, out), fault=fault)
    run.wait_until_reached()
    os.killpg(run.pid, number)
    time.sleep(0.2)
    run.go_on()
    assert run.wait() == CODES[number], (run.out[-1000:], run.err)
    one_line(run)
    run = zygote.start(tmp_path / 'last', *arguments(faults_world, out))
    assert run.wait() == 0, run.err
    assert 'Resumed' in run.out
    assert not differences(out, finished)


def test_a_second_ctrl_c_ends_at_once_without_damage(zygote, faults_world, finished, tmp_path):
    out = tmp_path / 'out'
    run = zygote.start(
        tmp_path / 'first',
        *arguments(faults_world, out),
        fault=PLACES['stage 2'][0] | {'pause': True},
    )
    run.wait_until_reached()  # an iteration that never ends
    run.kill(signal.SIGINT)
    time.sleep(1)
    assert run.poll() is None  # the first is patient
    run.kill(signal.SIGINT)
    assert run.wait(20) == 130, run.err
    one_line(run)
    run = zygote.start(tmp_path / 'last', *arguments(faults_world, out))
    assert run.wait() == 0, run.err
    assert not differences(out, finished)


def test_a_finished_run_says_so_and_writes_nothing_anew(zygote, faults_world, finished, tmp_path):
    before = snapshot(finished)
    run = zygote.start(tmp_path / 'run', *arguments(faults_world, finished))
    assert run.wait() == 0, run.err
    assert 'finished' in run.out and not run.err
    after = snapshot(finished)
    assert {n: s for n, s in after.items() if n != 'train_log.txt'} == {
        n: s for n, s in before.items() if n != 'train_log.txt'
    }


def test_a_new_run_keeps_the_state_of_an_unfinished_one(
    zygote, faults_world, finished, out, tmp_path
):
    state = (out / 'resume.pth').read_bytes()
    run = zygote.start(tmp_path / 'run', *arguments(faults_world, out, resume=False))
    assert run.wait() == 0, run.err
    assert (out / 'resume.1.pth').read_bytes() == state and 'resume.1.pth' in run.out
    assert not differences(out, finished)


def test_a_changed_config_is_refused_by_the_keys_names(zygote, faults_world, out, tmp_path):
    before = snapshot(out)
    run = zygote.start(
        tmp_path / 'run',
        *arguments(
            faults_world,
            out,
            'SOLVER.SEED',
            7,
            'SOLVER.STAGE2.BASE_LR',
            0.01,
            'SOLVER.STAGE2.LOG_PERIOD',
            2,
        ),
    )
    assert run.wait() == 2
    for words in ('SOLVER.SEED', '7', '1234', 'SOLVER.STAGE2.BASE_LR', '0.01'):
        assert words in run.error
    assert 'LOG_PERIOD' not in run.error
    assert snapshot(out) == before


def test_harmless_keys_may_change(zygote, faults_world, finished, out, tmp_path):
    """Where the data is, how often something is said, how many hands help: the weights stay the
    same to the bit.
    """
    moved = tmp_path / 'moved'
    for folder in ('photos', 'lists', 'test'):
        shutil.copytree(faults_world.folder / folder, moved / folder)
    run = zygote.start(
        tmp_path / 'run',
        *arguments(
            faults_world,
            out,
            'SOLVER.STAGE2.LOG_PERIOD',
            2,
            'DATALOADER.NUM_WORKERS',
            0,
            'DATALOADER.CACHE_GB',
            0,
            'SOLVER.CHECKPOINT_MINUTES',
            0.5,
            'DATASETS.ROOT_DIR',
            moved,
            'DATASETS.LIST_DIR',
            moved / 'lists',
        ),
    )
    assert run.wait() == 0, run.err
    assert not [line for line in differences(out, finished) if 'metrics' not in line]


def test_more_epochs_than_the_finished_run_had(zygote, faults_world, finished, tmp_path):
    longer = tmp_path / 'longer'
    run = zygote.start(
        tmp_path / 'run', *arguments(faults_world, longer, 'SOLVER.STAGE2.MAX_EPOCHS', STAGE_2 + 2)
    )
    assert run.wait() == 0, run.err
    shutil.copytree(finished, tmp_path / 'out')
    run = zygote.start(
        tmp_path / 'run',
        *arguments(faults_world, tmp_path / 'out', 'SOLVER.STAGE2.MAX_EPOCHS', STAGE_2 + 2),
    )
    assert run.wait() == 0, run.err
    assert not differences(tmp_path / 'out', longer)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, 'w')


def damage(out, how, finished):
    path = out / 'resume.pth'
    data = path.read_bytes()
    if how == 'cut':
        path.write_bytes(data[: len(data) // 2])
    elif how == 'empty':
        path.write_bytes(b'')
    elif how == 'text':
        path.write_text('hello\n')
    elif how == 'bits':
        path.write_bytes(data[:300] + bytes(400) + data[700:])
    elif how == 'malicious':
        torch.save({'stage': Malicious(str(out / 'owned'))}, path)
    elif how == 'malicious pickle':
        path.write_bytes(pickle.dumps(Malicious(str(out / 'owned'))))
    elif how == 'a checkpoint':
        shutil.copy(finished / 'RN50_3.pth', path)
    elif how == 'a list':
        torch.save([1, 2, 3], path)
    elif how.startswith('no '):
        state = state_of(path)
        del state[how.removeprefix('no ')]
        torch.save(state, path)
    elif how.startswith('wrong '):
        state = state_of(path)
        state[how.removeprefix('wrong ')] = 'hello'
        torch.save(state, path)


@pytest.mark.parametrize(
    'how',
    [
        'cut',
        'empty',
        'text',
        'bits',
        'malicious',
        'malicious pickle',
        'a checkpoint',
        'a list',
        'no epoch',
        'no tensors',
        'no facts',
        'wrong epoch',
        'wrong tensors',
        'wrong random',
        'wrong tally',
        'wrong stage',
        'wrong metrics_length',
    ],
)
def test_a_damaged_state_is_refused_in_one_line(zygote, faults_world, finished, out, tmp_path, how):
    damage(out, how, finished)
    before = snapshot(out)
    run = zygote.start(tmp_path / 'run', *arguments(faults_world, out))
    assert run.wait() == 2, (run.out[-1000:], run.err)
    assert 'RESUME' in run.error and 'resume' in run.error
    assert not (out / 'owned').exists()
    assert snapshot(out) == before


def test_a_state_of_another_model_is_refused(zygote, faults_world, out, tmp_path):
    run = zygote.start(tmp_path / 'run', *arguments(faults_world, out, name='ViT-B-16'))
    assert run.wait() == 2
    assert 'MODEL.NAME' in run.error


@pytest.mark.parametrize('change', ['a photo less', 'another label', 'another photo'])
def test_a_state_of_other_photos_is_refused(zygote, faults_world, out, tmp_path, change):
    moved = tmp_path / 'moved'
    for folder in ('photos', 'lists'):
        shutil.copytree(faults_world.folder / folder, moved / folder)
    lines = (moved / 'lists/train.txt').read_text().splitlines()
    if change == 'a photo less':
        lines = lines[:-1]
    elif change == 'another label':
        lines[0] = re.sub(r' 0 ', ' 1 ', lines[0], count=1)
    else:
        shutil.copy(moved / 'photos/train/1/1.png', moved / 'photos/train/0/0.png')
    (moved / 'lists/train.txt').write_text('\n'.join(lines) + '\n')
    run = zygote.start(
        tmp_path / 'run',
        *arguments(
            faults_world, out, 'DATASETS.ROOT_DIR', moved, 'DATASETS.LIST_DIR', moved / 'lists'
        ),
    )
    assert run.wait() == 2
    assert 'train' in run.error and 'resume' in run.error


def test_a_state_that_is_not_there(zygote, faults_world, finished, tmp_path):
    run = zygote.start(
        tmp_path / 'path',
        *arguments(
            faults_world, tmp_path / 'out', 'SOLVER.RESUME', tmp_path / 'gone.pth', resume=False
        ),
    )
    assert run.wait() == 2
    assert 'gone.pth' in run.error
    run = zygote.start(tmp_path / 'auto', *arguments(faults_world, tmp_path / 'out'))
    assert run.wait() == 0, run.err
    assert 'a new run starts' in run.out
    assert not differences(tmp_path / 'out', finished)
