"""Trainings as processes, none of which is started."""

from types import SimpleNamespace

import pytest

from benchmarks.gpu import stops
from tests.benchmarks.gpu.toys import FAKE


@pytest.fixture
def trainings(monkeypatch):
    """No training is started; ``ends`` are the (exit code, line) of those that are waited for."""
    process, ends = SimpleNamespace(send_signal=lambda number: None, kill=lambda: None), []
    monkeypatch.setattr(
        stops, 'demo_arguments', lambda settings, folder, output, *opts: ['OUTPUT_DIR', output]
    )
    monkeypatch.setattr(stops, 'start', lambda *_: process)
    monkeypatch.setattr(stops, 'start_two', lambda *_, **__: [process, process])
    monkeypatch.setattr(stops, 'finish', lambda *_: None)
    monkeypatch.setattr(stops, 'wait_for', lambda *_: None)
    monkeypatch.setattr(stops, 'end', lambda _: ends.pop(0))
    return ends


@pytest.mark.parametrize(
    'hashes, code, wrong',
    [
        ('aaa', 143, []),
        ('aaa', 0, ['after SIGTERM the exit code is 0 instead of 143']),
        ('aba', 143, ['two equal trainings give different weights']),
        ('aab', 143, ['the resumed training gives different weights']),
    ],
)
def test_weights_that_differ_are_found(trainings, monkeypatch, tmp_path, hashes, code, wrong):
    left = list(hashes)
    monkeypatch.setattr(stops, 'hash_of_weights', lambda _: left.pop(0))
    trainings += [(code, '')]
    assert stops.deterministic(FAKE, tmp_path).wrong == wrong


@pytest.mark.parametrize(
    'loss, code, line, wrong',
    [
        (2.0, 2, 'rank 1: out of memory', []),
        (2.1, 2, 'rank 1: out of memory', ['the loss is 2.1']),
        (2.0, 0, 'rank 1: out of memory', ['after one process was killed']),
        (2.0, 2, 'rank 1: bug', ['when rank 1 ran out of memory']),
    ],
)
def test_processes_that_do_not_end_as_they_should_are_found(
    trainings, monkeypatch, tmp_path, loss, code, line, wrong
):
    losses = {'one': 2.0, 'both': loss}
    monkeypatch.setattr(stops, 'stage2_epochs', lambda words: [{'loss': losses[words[-1]]}])
    monkeypatch.setattr(stops, 'end_alone', lambda _: (code, 'gone', 1.0))
    trainings += [(-9, ''), (2, line), (2, line)]
    found = stops.processes(FAKE, tmp_path)
    assert [text[: len(start)] for text, start in zip(found.wrong, wrong, strict=True)] == wrong
    assert line in found.text
