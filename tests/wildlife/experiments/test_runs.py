"""Processes of a grid: their order, failures, interruptions."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from utils.errors import InputError, Stopped
from wildlife.experiments import runs
from wildlife.experiments.plan import Run, Training
from wildlife.experiments.progress import add_note, read_note, seconds_left
from wildlife.experiments.runs import Queue, start, time_text


class Script(Run):
    """A run whose process executes a Python script instead of a training."""

    @property
    def command(self):
        return [sys.executable, '-c', self.config_file]


def fake_training(folder, script):
    """A training without tests."""
    return Training(Script(folder, script, {}, {}, folder / 'RN50_1.pth', False), ())


def test_a_failed_run_is_named_and_the_others_go_on(tmp_path):
    scripts = {'a': 'print("fine")', 'b': 'import sys; sys.exit("error: no photos")', 'c': ''}
    trainings = [fake_training(tmp_path / n, text) for n, text in scripts.items()]
    lines = []
    queue = Queue(trainings, 2, lines.append)
    queue.run_all()
    assert queue.failed == [tmp_path / 'b']
    line = next(line for line in lines if line.startswith('failed'))
    assert line == f'failed (exit code 1): {tmp_path / "b"}\n    error: no photos'
    assert (tmp_path / 'a' / 'output.txt').read_text() == 'fine\n'
    finished = {name: read_note(t.run)['finished'] for name, t in zip(scripts, trainings)}
    assert finished == {'a': True, 'b': False, 'c': True}


def test_a_run_without_a_line_of_its_own_shows_its_last_lines(tmp_path):
    script = 'import sys; sys.exit("\\n".join(map(str, range(8))))'
    usual = 'import sys; print(1, 2, sep="\\n", flush=True); sys.exit("error: in use")'
    trainings = [fake_training(tmp_path / 'a', script), fake_training(tmp_path / 'b', usual)]
    lines = []
    Queue(trainings, 1, lines.append).run_all()
    assert [line.split('\n    ')[1:] for line in lines] == [list('34567'), ['error: in use']]


def test_jobs_run_at_once(tmp_path):
    """Each of two waits for the file of the other."""
    script = (
        'import pathlib, sys, time\n'
        'mine, other = map(pathlib.Path, ({!r}, {!r}))\n'
        'mine.touch()\n'
        'end = time.time() + 10\n'
        'while not other.exists() and time.time() < end: time.sleep(0.01)\n'
        'sys.exit(not other.exists())'
    )
    a, b = str(tmp_path / 'a.txt'), str(tmp_path / 'b.txt')
    trainings = [
        fake_training(tmp_path / 'a', script.format(a, b)),
        fake_training(tmp_path / 'b', script.format(b, a)),
    ]
    queue = Queue(trainings, 2, str)
    queue.run_all()
    assert not queue.failed


def test_jobs_share_the_cores(tmp_path, monkeypatch):
    script = 'import os; print(os.environ.get("OMP_NUM_THREADS"))'
    training = fake_training(tmp_path / 'a', script)
    monkeypatch.setattr(os, 'cpu_count', lambda: 8)
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    for jobs in (1, 3, 16):
        start(training.run, jobs).wait()
    monkeypatch.setenv('OMP_NUM_THREADS', '5')
    start(training.run, 3).wait()
    assert (tmp_path / 'a' / 'output.txt').read_text().split() == ['None', '2', '1', '5']


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_processes(tmp_path, number):
    """They can save: the script writes a file when it is asked to end."""
    script = (
        'import pathlib, signal, sys, time\n'
        f'folder = pathlib.Path({str(tmp_path)!r})\n'
        'def save(*_):\n'
        '    (folder / "saved").touch()\n'
        '    sys.exit(143)\n'
        'signal.signal(signal.SIGTERM, save)\n'
        '(folder / "ready").touch()\n'
        'time.sleep(30)'
    )
    trainings = [
        fake_training(tmp_path / 'a', script),
        fake_training(tmp_path / 'b', ''),
    ]

    def interrupt():
        while not (tmp_path / 'ready').exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    began = time.monotonic()
    with pytest.raises(Stopped) as caught:
        Queue(trainings, 1, str).run_all()
    thread.join()
    assert caught.value.code == 128 + number and time.monotonic() - began < 20
    assert (tmp_path / 'saved').exists() and not Path(tmp_path, 'b').exists()
    note = json.loads((tmp_path / 'a' / 'experiment.json').read_text())
    assert note['finished'] is False and note['seconds'] >= 0


def test_a_process_that_does_not_end_is_killed(tmp_path, monkeypatch):
    script = (
        'import pathlib, signal, time\n'
        'signal.signal(signal.SIGTERM, signal.SIG_IGN)\n'
        f'pathlib.Path({str(tmp_path / "ready")!r}).touch()\n'
        'time.sleep(30)'
    )
    training = fake_training(tmp_path / 'a', script)
    monkeypatch.setattr(runs, 'GRACE', 0.1)

    def stop():
        while not (tmp_path / 'ready').exists():
            time.sleep(0.01)
        raise Stopped(signal.SIGTERM)

    queue = Queue([training], 1, str)
    monkeypatch.setattr(queue, '_collect', stop)
    with pytest.raises(Stopped):
        queue.run_all()
    assert queue._running[0].process.returncode == -signal.SIGKILL


@pytest.mark.skipif(
    sys.platform != 'linux', reason='only Linux tells a process that its parent ended'
)
def test_a_killed_command_leaves_no_process(tmp_path, zygote):
    """The process of the run is asked to end, as with Ctrl-C, so a training saves its state."""
    ready, saved = tmp_path / 'ready', tmp_path / 'saved'
    script = (
        'import pathlib, signal, sys, time\n'
        'def save(*_):\n'
        f'    pathlib.Path({str(saved)!r}).touch()\n'
        '    sys.exit(143)\n'
        'signal.signal(signal.SIGTERM, save)\n'
        f'pathlib.Path({str(ready)!r}).touch()\n'
        'time.sleep(30)'
    )
    command = (
        'import time\n'
        'from pathlib import Path\n'
        'from tests.wildlife.experiments.test_runs import fake_training\n'
        'from wildlife.experiments.runs import start\n'
        f'start(fake_training(Path({str(tmp_path)!r}), {script!r}).run, 1)\n'
        'time.sleep(30)'
    )
    process = zygote.start(tmp_path / 'command', command, script='-c')
    wait_for(ready)
    assert not saved.exists()
    process.kill()
    process.wait()
    wait_for(saved)


def wait_for(path):
    end = time.monotonic() + 25
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_time_left_is_that_of_the_finished_runs(tmp_path):
    trainings = [fake_training(tmp_path / name, '') for name in 'abcd']
    for training in trainings:
        training.run.folder.mkdir()
    assert seconds_left(trainings, 1) is None
    for training, seconds in zip(trainings, (10, 30)):
        add_note(training.run, seconds, finished=True)
        training.run.checkpoint.touch()
    add_note(trainings[2].run, 500, finished=False)
    assert seconds_left(trainings, 1) == 2 * 20
    assert seconds_left(trainings, 4) == 2 * 20 / 4
    test = Run(tmp_path / 'test', '', {}, {}, trainings[0].run.checkpoint, True)
    with_a_test = [Training(trainings[0].run, (test,))]
    assert seconds_left(with_a_test, 1) is None
    test.folder.mkdir()
    add_note(test, 3, finished=True)
    assert seconds_left(with_a_test, 1) == 3
    add_note(trainings[0].run, 5, finished=True)  # resumed: both times count
    assert read_note(trainings[0].run)['seconds'] == 15


def test_durations():
    words = [time_text(seconds) for seconds in (1, 89, 90, 600, 5400, 9000)]
    assert words == ['1 second', '89 seconds', '2 minutes', '10 minutes', '1.5 hours', '2.5 hours']


@pytest.mark.parametrize(
    'content',
    ['{', '[]', 'null', '[' * 100_000, '{"seconds": 1.5, "finished": true}']
    + ['{"seconds": "x", "finished": true, "config": {}}']
    + ['{"seconds": 1.5, "finished": true, "config": 3}'],
    ids=lambda content: content[:40],
)
def test_a_damaged_note_is_one_line(tmp_path, content):
    run = fake_training(tmp_path, '').run
    add_note(run, 2, finished=True)
    assert read_note(run) == {'seconds': 2.0, 'finished': True, 'config': {}}
    (tmp_path / 'experiment.json').write_text(content)
    with pytest.raises(InputError, match='experiment.json: cannot be read .*; delete it'):
        read_note(run)
