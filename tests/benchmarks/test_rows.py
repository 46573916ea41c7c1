"""Rows: their goals, limits and threads."""

import contextlib

import pytest
import torch

from benchmarks import rows
from benchmarks.core import Case, Settings, Ways
from tests.benchmarks.toys import toy


@pytest.mark.parametrize(
    ('facts', 'threads', 'reached'),
    [
        ({'goal': 2}, 1, True),
        ({'goal': 4}, 1, False),
        ({'goal': 4}, 2, None),
        ({}, 1, None),
        ({'goal': 4, 'threaded': False}, 2, False),
    ],
)
def test_goal_is_of_one_thread(monkeypatch, facts, threads, reached):
    monkeypatch.setattr(
        rows,
        'time_in_turns',
        lambda *_: {'difference': 0.0, 'ratio': 3.0, 'rounds': 5, 'ours': {'median_s': 1}},
    )
    row = rows.run_case(toy(**facts), Settings(), threads, rounds=5)
    assert row['reached'] is reached
    assert ('profile' in row) is (reached is False)


@pytest.mark.parametrize(('limit', 'reached'), [(3, True), (0.5, False)])
def test_limit_in_seconds(clock, monkeypatch, limit, reached):
    monkeypatch.setattr(rows, 'profile', lambda *_: 'why')
    ways = Ways(clock.way('ours', [1, 1, 1], None))
    row = rows.run_case(
        Case('a', 'a', lambda: contextlib.nullcontext(ways), limit=limit), Settings(), 1, rounds=2
    )
    assert row['reached'] is reached and row['ratio'] is None and row['difference'] is None


def test_threads_are_set_and_put_back():
    seen = []

    @contextlib.contextmanager
    def ways():
        yield Ways(lambda: seen.append(torch.get_num_threads()))

    before = torch.get_num_threads()
    rows.run_case(Case('a', 'a', ways), Settings(), threads=before + 1, rounds=1)
    assert seen == [before + 1] * 2 and torch.get_num_threads() == before
