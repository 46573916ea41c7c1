"""Parts in processes of their own: those that fail, hang or have no time."""

import json
import os
import subprocess
import sys
import time

import pytest

from benchmarks.gpu import running
from tests.benchmarks.gpu.toys import FAKE, TOY


def test_a_part_that_hangs_is_ended_with_all_that_it_started(tmp_path):
    child = (
        'import subprocess, sys; print(subprocess.Popen([sys.executable, "-c", "import time; '
        'time.sleep(60)"]).pid, '
        f'file=open({str(tmp_path / "pid")!r}, "w", buffering=1)); import time; time.sleep(60)'
    )
    start = time.monotonic()
    assert not running.run_within(2, [sys.executable, '-c', child], {}, tmp_path / 'log')
    assert time.monotonic() - start < 20 and not running.RUNNING
    pid = int((tmp_path / 'pid').read_text())
    for _ in range(100):
        state = subprocess.run(
            ['ps', '-o', 'stat=', '-p', str(pid)], capture_output=True, text=True
        ).stdout.strip()
        if not state or state.startswith('Z'):  # nobody may be there to bury it
            break
        time.sleep(0.05)
    else:
        os.kill(pid, 9)
        pytest.fail('what it had started still runs')


@pytest.mark.parametrize(
    'ended, finding, log, result, text',
    [
        (True, {'text': 'fine', 'facts': {'a': 1}, 'wrong': []}, '', 'ok', 'fine'),
        (
            True,
            {'text': 'odd', 'facts': {}, 'wrong': ['one', 'two']},
            '',
            'failed',
            'one; two; odd',
        ),
        (True, None, 'Traceback\nRuntimeError: no kernel\n', 'failed', 'RuntimeError: no kernel'),
        (True, None, '', 'failed', 'no output'),
        (
            False,
            None,
            'Epoch 3\n',
            'failed',
            'stopped after 30 s; last line of its output: Epoch 3',
        ),
    ],
)
def test_what_becomes_of_a_part(monkeypatch, ended, finding, log, result, text):
    def run_within(limit, command, variables, log_file):
        log_file.write_text(log)
        if finding:
            (log_file.parent / 'answer.json').write_text(json.dumps(finding))
        return ended

    monkeypatch.setattr(running, 'run_within', run_within)
    row = running.run_part(TOY, FAKE, time.monotonic() + 1000)
    assert (row['name'], row['result'], row['text']) == ('toy', result, text)


def test_no_time_is_left(monkeypatch):
    monkeypatch.setattr(running, 'run_within', None)
    row = running.run_part(TOY, FAKE, time.monotonic() - 1)
    assert row['result'] == 'failed' and 'no time was left' in row['text']
