"""Writing the state while the training continues; log and metrics on a full disk."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import utils.run.journal
from utils.errors import InputError
from utils.logger import MetricsFile, log_to_file, setup_logger
from utils.run.journal import Journal, SavePolicy


def new_journal(folder):
    journal = Journal(folder, None, {}, None, SavePolicy('RN50'), {})
    journal.metrics = SimpleNamespace(sync=lambda: 0)
    return journal


@pytest.fixture
def save_tree(monkeypatch):
    """The attribute ``save`` replaces the writing of a state."""
    calls = SimpleNamespace(save=lambda: None)
    monkeypatch.setattr(utils.run.journal, 'save_tree', lambda tree, path: calls.save())
    monkeypatch.setattr(Journal, '_state', lambda self, metrics_length: {})
    return calls


def test_training_continues_while_a_state_is_written(tmp_path, save_tree):
    gate, done, threads = threading.Event(), [], threading.active_count()
    save_tree.save = lambda: done.append(gate.wait(10))
    with new_journal(tmp_path) as journal:
        journal.save()
        assert not done
        gate.set()
    assert done == [True] and threading.active_count() == threads


def test_an_error_of_writing_is_raised_once(tmp_path, save_tree):
    def fails():
        raise InputError('disk full')

    save_tree.save = fails
    with pytest.raises(InputError, match='disk full'), new_journal(tmp_path) as journal:
        journal.save()
    with pytest.raises(KeyError), new_journal(tmp_path) as journal:
        journal.save()
        raise KeyError  # the first error is the one that is seen


def test_a_state_is_copied_once_the_former_is_written(tmp_path, monkeypatch, save_tree):
    """Two copies would take twice the memory."""
    steps = []

    def save():
        time.sleep(0.1)
        steps.append('written')

    save_tree.save = save
    monkeypatch.setattr(utils.run.journal, 'copy_tree', lambda tree: steps.append('copied'))
    with new_journal(tmp_path) as journal:
        journal.save()
        journal.save()
    assert steps == ['copied', 'written'] * 2


def test_metrics_are_cut_back_and_resumed(tmp_path):
    with MetricsFile(tmp_path) as metrics:
        metrics.write('a', x=1)
        length = metrics.sync()
        metrics.write('b', x=2)
    before = (tmp_path / 'metrics.jsonl').read_bytes()
    with MetricsFile(tmp_path, length) as metrics:
        assert metrics.sync() == length
        metrics.write('c', x=3)
    lines = (tmp_path / 'metrics.jsonl').read_text().splitlines()
    assert [line[:14] for line in lines] == [
        '{"event": "a",',
        '{"event": "c",',
    ] and before.startswith(lines[0].encode())
    with MetricsFile(tmp_path, 10**6) as metrics:  # a file that is too short is continued as it is
        metrics.write('d')
    assert len((tmp_path / 'metrics.jsonl').read_text().splitlines()) == 3
    with open(tmp_path / 'metrics.jsonl', 'a') as file:
        file.write('{"event": "half')
    with MetricsFile(tmp_path, 10**6) as metrics:
        metrics.write('e')
    lines = [
        json.loads(line)['event'] for line in (tmp_path / 'metrics.jsonl').read_text().splitlines()
    ]
    assert lines == ['a', 'c', 'd', 'e']
    with MetricsFile(tmp_path):
        pass
    assert (tmp_path / 'metrics.1.jsonl').exists()


def test_metrics_on_a_full_disk(tmp_path):
    metrics = MetricsFile(tmp_path)
    metrics._file.close()
    metrics._file = open('/dev/full', 'ab')  # noqa: SIM115
    with pytest.raises(InputError, match='cannot write .*metrics.jsonl: No space left'):
        metrics.write('a')
    metrics.__exit__()


def test_the_log_on_a_full_disk(tmp_path, capsys):
    logger = setup_logger()
    log_to_file(tmp_path, 'log.txt')
    handler = next(h for h in logger.handlers if isinstance(h, logging.FileHandler))
    handler.stream.close()
    handler.stream = open('/dev/full', 'w')  # noqa: SIM115
    with pytest.raises(InputError, match='cannot write .*log.txt: No space left'):
        logger.info('x')
    logger.info('only the screen gets this')
    out = capsys.readouterr()
    assert 'only the screen' in out.out and 'Traceback' not in out.err


@pytest.mark.parametrize('how', ['broken', 'full', 'closed', 'ascii'])
def test_a_stdout_that_takes_no_lines_ends_no_run(tmp_path, how):
    """`train … | tee log` and Ctrl-C: tee ends first."""
    program = (
        f'import sys; sys.path.insert(0, {str(Path(__file__).resolve().parents[3])!r})\n'
        'from utils.logger import log_to_file, setup_logger\n'
        'logger = setup_logger()\nlog_to_file(sys.argv[1], "log.txt")\n'
        'for _ in range(3): logger.info("a line … ☃")\n'
    )
    read, write = os.pipe()
    os.close(read)
    stdout = {
        'broken': write,
        'full': os.open('/dev/full', os.O_WRONLY),
        'closed': None,
        'ascii': subprocess.PIPE,
    }[how]
    done = subprocess.run(
        [sys.executable, '-c', program, tmp_path],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=os.environ | {'PYTHONIOENCODING': 'ascii'} if how == 'ascii' else None,
        preexec_fn=(lambda: os.close(1)) if how == 'closed' else None,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b'')
    assert (tmp_path / 'log.txt').read_text(encoding='utf-8').count('a line … ☃') == 3
    if how == 'ascii':
        assert done.stdout.count(b'a line \\u2026 \\u2603') == 3
