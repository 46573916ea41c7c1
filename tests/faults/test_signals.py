"""SIGTERM and Ctrl-C, and resuming afterwards with the same result."""

import os
import signal
import time

import pytest

from tests.faults.interrupted import (
    PLACES,
    arguments,
    snapshot,
)

from .harness import differences, state_of

pytestmark = pytest.mark.slow

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


def one_line(run):
    lines = run.err.splitlines()
    assert len(lines) == 1, run.err
    return lines[0]


@pytest.mark.parametrize('number', CODES, ids=['SIGTERM', 'SIGINT'])
@pytest.mark.parametrize('place', PLACES)
def test_an_interrupted_run_resumes_to_the_same_result(
    zygote, faults_world, finished, tmp_path, place, number
):
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


def test_a_finished_run_reports_it_and_writes_nothing(zygote, faults_world, finished, tmp_path):
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
