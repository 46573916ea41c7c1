"""The GPU check: its parts with toy models on a fake CUDA device, and what it makes of parts that
fail, hang or cannot run.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from benchmarks import core as benchmark_core
from benchmarks import gpu as benchmark_gpu
from benchmarks import gpu_parts as parts
from benchmarks import gpu_runs as runs
from benchmarks import models as benchmark_models
from benchmarks.core import Settings
from benchmarks.gpu import PARTS, Part
from tests.fake_cuda import fake_cuda
from tests.helpers import ROOT
from utils.errors import InputError

FAKE = Settings(quick=True, device=torch.device('cuda'), options=parts.TOY_PHOTOS)
BY_NAME = {part.name: part for part in PARTS}
TOY = Part('toy', 'a toy', None, 30)


@pytest.fixture
def gpu(cuda, monkeypatch):
    """A fake GPU of 80 GB, for code that asks for its properties, its memory and its waits."""
    properties = SimpleNamespace(name='no GPU', major=9, minor=0, total_memory=80_000_000_000)
    monkeypatch.setattr(torch.cuda, 'get_device_properties', lambda *_: properties)
    for name in ('reset_peak_memory_stats', 'synchronize'):
        monkeypatch.setattr(torch.accelerator, name, lambda *_: None)
    for name in ('memory_allocated', 'max_memory_allocated'):
        monkeypatch.setattr(torch.accelerator, name, lambda *_: 3_000_000_000)
    monkeypatch.setattr(benchmark_core, 'product_peak', lambda *_: 1e12)
    with fake_cuda() as waits:
        yield waits


def find(name, folder, settings=FAKE):
    """What the part finds, and that it can be written as JSON."""
    with parts.toy_models():
        found = BY_NAME[name].find(settings, folder)
    assert '\n' not in found.text and json.dumps(benchmark_gpu.finite(found.facts))
    return found


# ------------------------------------------------------------------------------------------- parts


@pytest.mark.parametrize('cudnn', [False, True])
def test_the_device_and_tf32(gpu, tmp_path, monkeypatch, cudnn):
    monkeypatch.setattr(parts, 'make_runtime', lambda device: SimpleNamespace(precision='bf16'))
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', cudnn)
    found = find('device', tmp_path)
    assert (
        found.text.startswith('no GPU, 80 GB, capability 9.0; torch ')
        and 'auto is bf16' in found.text
    )
    assert found.wrong == (['float32 is computed in TF32'] if cudnn else [])


@pytest.mark.parametrize('error', [0.0, 1e-3])
def test_features_of_another_precision_are_found(gpu, tmp_path, monkeypatch, error):
    real = parts.relative_difference
    monkeypatch.setattr(
        parts, 'relative_difference', lambda here, there: real(here, there * (1 + error))
    )
    found = find('features', tmp_path)
    assert found.facts.keys() == {'RN50', 'ViT'} and len(found.wrong) == (2 if error else 0)


def test_re_ranking_on_both_devices(gpu, tmp_path, monkeypatch):
    found = find('rerank', tmp_path)
    assert (
        not found.wrong
        and found.facts['difference'] < 1e-5
        and found.facts['deterministic_difference'] < 1e-5
    )
    assert [(one['photos'], one['k1'], one['peak_gb']) for one in found.facts['large']] == [
        (300, 20, 3.0),
        (300, 50, 3.0),
    ]
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize('allowed, wrong', [(1e-2, 0), (0.0, 1)])
def test_steps_and_losses_of_both_formulations(gpu, tmp_path, monkeypatch, allowed, wrong):
    cases = [replace(case, tolerance=allowed) for case in benchmark_models.loss_cases(FAKE, 8)]
    monkeypatch.setattr(benchmark_models, 'loss_cases', lambda *_: cases)
    found = find('vit-step', tmp_path)
    assert len(found.wrong) == wrong and 0 < found.facts['losses_difference'] < 1e-2
    assert all(
        word in found.text
        for word in ('s a step of 8 photos', 'idle', 'peak 3.0 GB', 'losses differ by')
    )


def test_both_models_have_their_cases():
    names = {
        case.name
        for case in (
            *benchmark_models.cases(Settings()),
            *benchmark_models.loss_cases(Settings(), 8),
        )
    }
    assert names >= {'rn50-step', 'rn50-losses', 'vit-step', 'vit-losses'}


def test_kernels_of_cudnn(gpu, tmp_path):
    before = torch.backends.cudnn.benchmark
    assert (
        'with cudnn.benchmark' in find('cudnn', tmp_path).text
        and torch.backends.cudnn.benchmark == before
    )


def test_an_epoch(gpu, tmp_path):
    found = find('rn50-epoch', tmp_path)
    assert not found.wrong and found.facts['epoch_s'] > 0 and found.facts['device_memory_gb'] == 0
    assert len(runs.of_event(found.facts['lines'], 'stage2_epoch')) == 3


@pytest.mark.parametrize('again', [0, 1])
def test_graphs_compiled_after_the_first_epoch_are_found(gpu, tmp_path, monkeypatch, again):
    from torch._dynamo.utils import counters

    made = iter([2, 2, 2 + again])

    class Graphs(dict):
        def __getitem__(self, name):
            return next(made)

    monkeypatch.setitem(counters, 'stats', Graphs())
    monkeypatch.setattr('utils.device._try_compiler', lambda device: None)
    monkeypatch.setattr(torch.nn.Module, 'compile', lambda self: None)
    found = find('compile', tmp_path)
    assert found.facts['graphs'] == [2, 2, 2 + again] and len(found.wrong) == again


def test_the_demo(gpu, tmp_path):
    found = find('demo-fp16', tmp_path)
    assert (
        not found.wrong and 0 <= found.facts['metrics']['mAP'] <= 1 and found.facts['amp'] == 'fp16'
    )


def test_a_demo_beyond_the_seeds_spread_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, 'demo_arguments', lambda *_: ['OUTPUT_DIR', str(tmp_path)])
    monkeypatch.setattr(runs, 'train', lambda _: [])
    (tmp_path / 'RN50_15.pth').touch()
    for score, wrong in ((0.60, 0), (0.50, 1), (float('nan'), 1)):
        monkeypatch.setattr(
            runs.test_clipreid, 'main', lambda _, score=score: {'mAP': score, 'rank1': 0.7}
        )
        assert len(runs.demo('off', Settings(), tmp_path).wrong) == wrong


def test_waits_that_grow_with_the_iterations_are_found(gpu, tmp_path, monkeypatch):
    """The fake device notes waits by itself; on a GPU they are warnings of torch."""
    modes, real = [], runs.train
    monkeypatch.setattr(torch.cuda, 'set_sync_debug_mode', modes.append)

    def train(arguments):
        import warnings

        real(arguments)
        for _ in range(2 if 'output32' in ' '.join(arguments) else 4):
            warnings.warn_explicit(
                'called a synchronizing CUDA operation', UserWarning, '/somewhere/loop.py', 7
            )

    monkeypatch.setattr(runs, 'train', train)
    found = find('waits', tmp_path)
    assert modes == ['warn', 'default'] * 2
    assert found.facts['waits'] == [{'loop.py:7': 2}, {'loop.py:7': 4}] and found.wrong == [
        'loop.py:7 waits 2 times more'
    ]


@pytest.mark.parametrize(
    'error, wrong',
    [
        (torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 MiB.'), 0),
        (InputError('no photos'), 1),
        (None, 1),
    ],
)
def test_memory_that_ends(gpu, tmp_path, monkeypatch, error, wrong):
    shares = []
    monkeypatch.setattr(
        torch.cuda,
        'set_per_process_memory_fraction',
        lambda share, index: shares.append((share, index)),
    )

    def forward(*_, **__):
        raise error

    if error:
        monkeypatch.setattr('model.reid_model.ReIDModel.forward', forward)
    found = find('memory', tmp_path)
    assert shares == [(pytest.approx(2 / 80), 0)] and len(found.wrong) == wrong
    assert found.text.startswith('out of memory (CUDA') or wrong


def test_a_rank_without_memory(gpu, monkeypatch):
    shares, arguments = [], ['--config_file', 'a.yml', 'MODEL.DEVICE', 'cuda']
    monkeypatch.setattr(
        torch.cuda,
        'set_per_process_memory_fraction',
        lambda share, index: shares.append((share, index)),
    )
    monkeypatch.setattr(runs.train_clipreid, 'main', shares.append)
    monkeypatch.setenv('LOCAL_RANK', '1')
    benchmark_gpu.main(['--starve', *arguments])
    assert shares == [(pytest.approx(1e-3 / 80), 1), arguments]


@pytest.fixture
def trainings(monkeypatch):
    """No training is started; ``ends`` are the (exit code, line) of those that are waited for."""
    process, ends = SimpleNamespace(send_signal=lambda number: None, kill=lambda: None), []
    monkeypatch.setattr(
        runs, 'demo_arguments', lambda settings, folder, output, *opts: ['OUTPUT_DIR', output]
    )
    monkeypatch.setattr(runs, '_start', lambda *_: process)
    monkeypatch.setattr(runs, '_finish', lambda *_: None)
    monkeypatch.setattr(runs, '_wait_for', lambda *_: None)
    monkeypatch.setattr(runs, '_end', lambda _: ends.pop(0))
    return ends


@pytest.mark.parametrize(
    'hashes, code, wrong',
    [
        ('aaa', 143, []),
        ('aaa', 0, ['after SIGTERM the exit code is 0, 143 is right']),
        ('aba', 143, ['the same training twice gives other weights']),
        ('aab', 143, ['stopped and resumed it gives other weights']),
    ],
)
def test_weights_that_differ_are_found(trainings, monkeypatch, tmp_path, hashes, code, wrong):
    left = list(hashes)
    monkeypatch.setattr(runs, '_hash', lambda _: left.pop(0))
    trainings += [(code, '')]
    assert runs.deterministic(FAKE, tmp_path).wrong == wrong


@pytest.mark.parametrize(
    'loss, code, line, wrong',
    [
        (2.0, 2, 'rank 1: out of memory', []),
        (2.1, 2, 'rank 1: out of memory', ['the loss of two']),
        (2.0, 0, 'rank 1: out of memory', ['after a process was killed']),
        (2.0, 2, 'rank 1: bug', ['where the memory']),
    ],
)
def test_processes_that_do_not_end_as_they_should_are_found(
    trainings, monkeypatch, tmp_path, loss, code, line, wrong
):
    losses = {'one': 2.0, 'both': loss}
    monkeypatch.setattr(
        runs, 'metrics', lambda folder: [{'event': 'stage2_epoch', 'loss': losses[folder.name]}]
    )
    monkeypatch.setattr(runs, '_end_alone', lambda _: (code, 'gone', 1.0))
    trainings += [(-9, ''), (2, line), (2, line)]
    found = runs.processes(FAKE, tmp_path)
    assert [text[: len(start)] for text, start in zip(found.wrong, wrong, strict=True)] == wrong
    assert line in found.text


# --------------------------------------------------------------------------------------- the check


def test_a_part_in_a_process_of_its_own(tmp_path, capsys):
    rows = benchmark_gpu.main(
        ['--device', 'cpu', '--tiny', '--only', 'device', '--out', str(tmp_path / 'results')]
    )
    assert [(row['name'], row['result']) for row in rows] == [('device', 'ok')]
    content = json.loads((tmp_path / 'results/gpu-tiny.json').read_text())
    assert content['rows'] == rows and content['machine']['torch'] == torch.__version__
    assert '| device | device, precision, TF32 | ok |' in capsys.readouterr().out


def test_a_part_that_hangs_is_ended_with_all_that_it_started(tmp_path):
    child = (
        'import subprocess, sys; print(subprocess.Popen([sys.executable, "-c", "import time; '
        'time.sleep(60)"]).pid, '
        f'file=open({str(tmp_path / "pid")!r}, "w", buffering=1)); import time; time.sleep(60)'
    )
    start = time.monotonic()
    assert not benchmark_gpu.in_time([sys.executable, '-c', child], {}, tmp_path / 'log', 2)
    assert time.monotonic() - start < 20 and not benchmark_gpu.RUNNING
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
        (True, None, '', 'failed', 'it ended without a word'),
        (False, None, 'Epoch 3\n', 'failed', 'no end after 30 s; its last words: Epoch 3'),
    ],
)
def test_what_becomes_of_a_part(monkeypatch, ended, finding, log, result, text):
    def in_time(command, variables, log_file, limit):
        log_file.write_text(log)
        if finding:
            (log_file.parent / 'answer.json').write_text(json.dumps(finding))
        return ended

    monkeypatch.setattr(benchmark_gpu, 'in_time', in_time)
    row = benchmark_gpu.run_part(TOY, FAKE, time.monotonic() + 1000)
    assert (row['name'], row['result'], row['text']) == ('toy', result, text)


def test_no_time_is_left(monkeypatch):
    monkeypatch.setattr(benchmark_gpu, 'in_time', None)
    row = benchmark_gpu.run_part(TOY, FAKE, time.monotonic() - 1)
    assert row['result'] == 'failed' and 'no time was left' in row['text']


def test_checks_come_first_and_measurements_alone(monkeypatch, tmp_path, capsys):
    running, most = set(), {}

    def run_part(part, settings, deadline):
        running.add(part.name)
        time.sleep(0.05)
        most[part.name] = len(running)
        running.discard(part.name)
        return {
            'name': part.name,
            'title': part.title,
            'result': 'failed' if part.name == 'waits' else 'ok',
            'seconds': 1.0,
            'text': 'a|b',
        }

    monkeypatch.setattr(benchmark_gpu, 'run_part', run_part)
    monkeypatch.setattr(torch.accelerator, 'device_count', lambda: 1)
    monkeypatch.setattr(benchmark_gpu, 'machine', lambda settings: {})
    with pytest.raises(SystemExit) as stop:
        benchmark_gpu.main(['--device', 'cuda', '--out', str(tmp_path)])
    assert stop.value.code == 1
    rows = json.loads((tmp_path / 'gpu.json').read_text())['rows']
    assert [row['name'] for row in rows] == list(BY_NAME)
    assert {row['name']: row['text'] for row in rows if row['result'] == 'skipped'} == {
        'processes': 'needs 2 devices, there is 1'
    }
    assert (
        all(most[part.name] == 1 for part in PARTS if part.measures)
        and max(most.values()) <= benchmark_gpu.SIDE_BY_SIDE
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
            benchmark_gpu.main([])
        assert stop.value.code == code
    else:
        assert benchmark_gpu.main([]) == []
    assert commands == [[sys.executable, '-m', 'pytest', '-q', 'tests/benchmarks/test_gpu.py']]
    assert capsys.readouterr().out.startswith('No CUDA device here')


def test_the_cpu_at_full_size_is_refused():
    with pytest.raises(InputError, match='--device cpu .* give --tiny too'):
        benchmark_gpu.main(['--device', 'cpu'])


def test_an_unknown_part_is_refused():
    with pytest.raises(InputError, match='--only tea: no part .* device, compile'):
        benchmark_gpu.choose(['tea'])


def test_the_documents_have_a_row_for_each_part():
    text = (ROOT / 'docs/performance.md').read_text(encoding='utf-8')
    assert [part.name for part in PARTS if f'| {part.name} | {part.title} |' not in text] == []
