"""Runs that are interrupted, and comparison of two runs."""

import os
import signal

import torch

from tests.helpers import timeless_metrics
from utils.checkpoint import load_state
from utils.run.journal import Journal


def assert_same_run(one, other, name='RN50'):
    assert timeless_metrics(one) == timeless_metrics(other)
    files = {path.name for path in one.glob('*.pth')} - {'resume.pth'}
    assert (
        files == {path.name for path in other.glob('*.pth')} - {'resume.pth'}
        and f'{name}_best.pth' in files
    )
    for file in files:
        a, b = load_state(one / file), load_state(other / file)
        assert a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a), file


def stop_after(monkeypatch, count, number=signal.SIGTERM):
    """Let the ``count``-th iteration of the run send signal ``number`` to this process."""
    wants_state, done = Journal.wants_state, [0]

    def wants(self, iteration):
        done[0] += 1
        if done[0] == count:
            os.kill(os.getpid(), number)
        return wants_state(self, iteration)

    monkeypatch.setattr(Journal, 'wants_state', wants)
