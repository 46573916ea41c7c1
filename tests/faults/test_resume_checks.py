"""Resuming after a signal: what may change, and what is rejected."""

import pickle
import re
import shutil

import pytest
import torch

from tests.faults.interrupted import STAGE_2, arguments, snapshot

from .harness import differences, state_of

pytestmark = pytest.mark.slow


def test_a_changed_config_is_rejected_by_the_keys_names(zygote, faults_world, out, tmp_path):
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
    # the baselines of the first end stay in the record; all else is that of the longer run
    metrics = tmp_path / 'out/metrics.jsonl'
    lines = metrics.read_text().splitlines(keepends=True)
    ends = [line for line in lines if '"baselines"' in line]
    assert len(ends) == 2
    metrics.write_text(''.join(line for line in lines if line != ends[0]))
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
def test_a_damaged_state_is_rejected_in_one_line(
    zygote, faults_world, finished, out, tmp_path, how
):
    damage(out, how, finished)
    before = snapshot(out)
    run = zygote.start(tmp_path / 'run', *arguments(faults_world, out))
    assert run.wait() == 2, (run.out[-1000:], run.err)
    assert 'RESUME' in run.error and 'resume' in run.error
    assert not (out / 'owned').exists()
    assert snapshot(out) == before


def test_a_state_of_another_model_is_rejected(zygote, faults_world, out, tmp_path):
    run = zygote.start(tmp_path / 'run', *arguments(faults_world, out, name='ViT-B-16'))
    assert run.wait() == 2
    assert 'MODEL.NAME' in run.error


@pytest.mark.parametrize('change', ['a photo less', 'another label', 'another photo'])
def test_a_state_of_other_photos_is_rejected(zygote, faults_world, out, tmp_path, change):
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
