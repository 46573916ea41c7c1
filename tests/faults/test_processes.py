"""Whole scripts under torchrun: same results as one process, also after an interruption."""

import json
import os
import shutil
import signal
import time

import pytest

from tests.faults.groups import SEVERAL, Group, alone, largest_difference, lines_of, options

from .harness import differences

pytestmark = pytest.mark.slow


def names(folder):
    """Files of OUTPUT_DIR except those that this module puts there."""
    return {path.name for path in folder.iterdir()} - {'log'}


@pytest.mark.parametrize('name, processes', [('ViT-B-16', 2), ('ViT-B-16', 3)])
def test_several_processes_train_as_one(name, processes, trained):
    """Losses, accuracies and validation agree up to rounding; the files are written once."""
    one, several = trained(name, 1), trained(name, processes)
    assert largest_difference(several, one) < 1e-3
    assert names(several) == names(one)
    log = (several / 'log').read_text()
    assert log.count('Validation Results - Epoch: 1') == 1
    assert (
        'destroy_process_group' not in log and 'terminate' not in log
    )  # torch's messages after an unclean end


@pytest.mark.parametrize(
    'script, processes', [('test_clipreid.py', 3), ('test_rerank_clipreid.py', 2)]
)
def test_several_processes_test_as_one(script, processes, trained, faults_world, tmp_path):
    """The numbers are identical, since the batches are."""
    weight = trained('ViT-B-16', 1) / 'ViT-B-16_2.pth'
    metrics = {}
    for count in (1, processes):
        folder = tmp_path / str(count)
        arguments = faults_world.args(*options(folder, 'TEST.WEIGHT', weight), name='ViT-B-16')
        if count == 1:
            code, log = alone(*arguments, script=script)
        else:
            group = Group(folder, count, *arguments, *SEVERAL, script=script)
            code, log = group.wait(), group.log
        assert code == 0, log[-3000:]
        metrics[count] = json.loads((folder / 'results.json').read_text())['metrics']
    assert metrics[processes] == metrics[1]
    assert names(folder) == names(tmp_path / '1')


LONG = [
    'SOLVER.STAGE2.MAX_EPOCHS',
    12,
    'SOLVER.STAGE2.EVAL_PERIOD',
    4,
    'SOLVER.STAGE2.CHECKPOINT_PERIOD',
    4,
]


@pytest.fixture(scope='module')
def long_run(faults_world):
    """OUTPUT_DIR of an uninterrupted run of two processes with LONG."""
    folder = faults_world.folder / 'long'
    group = Group(folder, 2, *faults_world.args(*options(folder, *LONG), name='ViT-B-16'), *SEVERAL)
    assert group.wait() == 0, group.log[-3000:]
    return folder


@pytest.mark.parametrize('how', [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_resumes(how, long_run, faults_world, tmp_path):
    """Bit-identical with two processes; with three or one (tried after SIGTERM) up to rounding."""
    folder = tmp_path / 'run'
    arguments = faults_world.args(*options(folder, *LONG), name='ViT-B-16')
    group = Group(folder, 2, *arguments, *SEVERAL)
    group.wait_for('"event": "stage2_epoch"')
    if how == signal.SIGKILL:
        os.kill(group.pid_of(1), how)
    else:  # to torchrun, which passes it on
        group.process.send_signal(how)
    started = time.monotonic()
    assert group.wait() != 0
    assert time.monotonic() - started < 60
    if how == signal.SIGKILL:
        assert (
            any('rank 0: another process ended without a message' in line for line in group.errors)
            or 'stopped by SIGTERM' in group.log
        ), group.log  # torchrun's signal may come first
    else:
        assert group.log.count(f'stopped by {how.name}; ') == 2, group.log
        assert not group.errors, group.log
    assert len(lines_of(folder)) < len(lines_of(long_run))
    others = ('three', 'one') if how == signal.SIGTERM else ()
    for name in others:
        shutil.copytree(folder, tmp_path / name)

    group = Group(folder, 2, '--resume', *arguments, *SEVERAL)
    assert group.wait() == 0, group.log[-3000:]
    assert 'Resumed: stage 2' in group.log
    assert differences(folder, long_run) == []

    if not others:
        return
    group = Group(
        tmp_path / 'three',
        3,
        '--resume',
        *faults_world.args(*options(tmp_path / 'three', *LONG), name='ViT-B-16'),
        *SEVERAL,
    )
    assert group.wait() == 0, group.log[-3000:]
    code, log = alone(
        '--resume', *faults_world.args(*options(tmp_path / 'one', *LONG), name='ViT-B-16')
    )
    assert code == 0, log[-3000:]
    for name in others:
        assert largest_difference(tmp_path / name, long_run) < 1e-2


def test_all_end_when_torchrun_is_killed(faults_world, tmp_path):
    """Their common store ends with it."""
    endless = options(tmp_path, *LONG, 'SOLVER.STAGE2.MAX_EPOCHS', 10000)
    group = Group(tmp_path, 2, *faults_world.args(*endless, name='ViT-B-16'), *SEVERAL)
    group.wait_for('"event": "stage2_epoch"')
    group.process.kill()
    assert group.wait() == -signal.SIGKILL  # and no process is left
    assert (
        'error: another process failed: torchrun or rank 0 ended without a message' in group.errors
    )
