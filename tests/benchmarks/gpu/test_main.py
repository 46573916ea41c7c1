"""The command: python -m benchmarks.gpu."""

import json
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from benchmarks.gpu import __main__ as check
from benchmarks.gpu import running
from benchmarks.gpu.parts import PARTS
from tests.benchmarks.gpu.toys import BY_NAME
from tests.helpers import ROOT
from utils.errors import InputError


def test_a_part_in_a_process_of_its_own(tmp_path, capsys):
    rows = check.main(
        ['--device', 'cpu', '--tiny', '--only', 'device', '--out', str(tmp_path / 'results')]
    )
    assert [(row['name'], row['result']) for row in rows] == [('device', 'ok')]
    content = json.loads((tmp_path / 'results/gpu-tiny.json').read_text())
    assert content['rows'] == rows and content['machine']['torch'] == torch.__version__
    assert '| device | device, precision, TF32 | ok |' in capsys.readouterr().out


def test_checks_come_first_and_measurements_alone(monkeypatch, tmp_path, capsys):
    alive, most = set(), {}

    def run_part(part, settings, deadline):
        alive.add(part.name)
        time.sleep(0.05)
        most[part.name] = len(alive)
        alive.discard(part.name)
        return {
            'name': part.name,
            'title': part.title,
            'result': 'failed' if part.name == 'waits' else 'ok',
            'seconds': 1.0,
            'text': 'a|b',
        }

    monkeypatch.setattr(running, 'run_part', run_part)
    monkeypatch.setattr(torch.accelerator, 'device_count', lambda: 1)
    monkeypatch.setattr(check, 'machine', lambda settings: {})
    with pytest.raises(SystemExit) as stop:
        check.main(['--device', 'cuda', '--out', str(tmp_path)])
    assert stop.value.code == 1
    rows = json.loads((tmp_path / 'gpu.json').read_text())['rows']
    assert [row['name'] for row in rows] == list(BY_NAME)
    assert {row['name']: row['text'] for row in rows if row['result'] == 'skipped'} == {
        'processes': 'needs 2 devices, but this machine has 1'
    }
    assert (
        all(most[part.name] == 1 for part in PARTS if part.measures)
        and max(most.values()) <= running.SIDE_BY_SIDE
    )
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith('| ') for line in lines) == len(PARTS) + 1 and all(
        line.count('|') in (0, 6) for line in lines
    )


@pytest.mark.parametrize('code', [0, 3])
def test_without_a_gpu_its_tests_run(monkeypatch, capsys, code):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    commands = []
    monkeypatch.setattr(
        subprocess,
        'run',
        lambda command, **_: commands.append(command) or SimpleNamespace(returncode=code),
    )
    if code:
        with pytest.raises(SystemExit) as stop:
            check.main([])
        assert stop.value.code == code
    else:
        assert check.main([]) == []
    assert commands == [[sys.executable, '-m', 'pytest', '-q', 'tests/without_gpu']]
    assert capsys.readouterr().out.startswith('No CUDA device found')


def test_the_cpu_at_full_size_is_rejected():
    with pytest.raises(InputError, match='--device cpu .* add --tiny'):
        check.main(['--device', 'cpu'])


def test_an_unknown_part_is_rejected():
    with pytest.raises(InputError, match='--only tea: no part .* device, compile'):
        check.main(['--device', 'cpu', '--tiny', '--only', 'tea'])


def test_the_documents_have_a_row_for_each_part():
    text = (ROOT / 'docs/performance.md').read_text(encoding='utf-8')
    assert [part.name for part in PARTS if f'| {part.name} | {part.title} |' not in text] == []
