"""Measure the rows: every case with its numbers of threads, one after the other."""

import gc
import traceback
from collections.abc import Sequence

import torch
from tqdm import tqdm

from benchmarks.core import QUICK_ROUNDS, ROUNDS, Case, Facts, Settings, time_in_turns, use_threads
from benchmarks.memory import device_memory, in_fresh_process, memory_ratio
from benchmarks.profiling import profile
from benchmarks.table import HEADER, line, profile_lines
from utils.logger import progress


def run(
    cases: Sequence[Case], settings: Settings, threads: Sequence[int], rounds: int | None = None
) -> list[Facts]:
    """Measure and print the rows; an error is recorded in its row, and the other rows run.

    Args:
        cases: Cases to measure.
        settings: Settings that the cases were made with.
        threads: Numbers of CPU threads with which threaded cases are measured.
        rounds: Number of rounds for all cases; None = that of each case.

    Returns:
        One row per case and number of threads.
    """
    print(HEADER)
    rows = []
    for case, count in progress(_jobs(cases, settings, threads), 'benchmark'):
        usual = case.rounds or (QUICK_ROUNDS if settings.quick else ROUNDS)
        try:
            row = run_case(case, settings, count, rounds or usual)
        except Exception as error:  # noqa: BLE001 one row must not spoil minutes of others
            row = {
                'name': case.name,
                'title': case.title,
                'threads': count,
                'failed': f'{type(error).__name__}: {error}',
                'traceback': traceback.format_exc(),
            }
        tqdm.write(line(row))
        rows.append(row)
    for row in rows:
        if 'profile' in row:
            print('\n'.join(profile_lines(row)))
    for row in rows:
        if 'failed' in row:
            print(f'\nFAILED {row["name"]}, {row["threads"]} threads: {row["failed"]}')
    return rows


def _jobs(
    cases: Sequence[Case], settings: Settings, threads: Sequence[int]
) -> list[tuple[Case, int]]:
    """Return each case with each of its numbers of threads."""
    if not settings.on_cpu:
        return [(case, torch.get_num_threads()) for case in cases]
    jobs = []
    for case in cases:
        counts = sorted(threads) if case.threaded else [1]
        jobs += [(case, count) for count in counts]
    return jobs


def run_case(case: Case, settings: Settings, threads: int, rounds: int) -> Facts:
    """Measure a case with a number of threads; return its row, ready for JSON."""
    # Goals apply to the full size on one CPU thread.
    has_goal = settings.on_cpu and not settings.quick and (threads == 1 or not case.threaded)
    row: Facts = {
        'name': case.name,
        'title': case.title,
        'threads': threads,
        'goal': case.goal if has_goal else None,
        'limit_s': case.limit if has_goal else None,
        'tolerance': case.tolerance,
        'difference': None,
    }
    with use_threads(threads), case.ways() as ways:
        row |= time_in_turns(ways, rounds, case.difference)
        if row['difference'] is not None and not row['difference'] <= case.tolerance:
            row['failed'] = (
                f'the results differ by {row["difference"]:.1e}, {case.tolerance:.1e} is allowed'
            )
        row['reached'] = _reached(row)
        if row['reached'] is False or settings.profile or not settings.on_cpu:
            row['profile'] = profile(ways, row['ours']['median_s'], threads, settings.device)
        if not settings.on_cpu:
            row['memory'] = device_memory(ways)
    gc.collect()
    if case.memory and settings.on_cpu:
        row['memory'] = _memory(case, threads, list(ways.by_name()))
    return row


def _reached(row: Facts) -> bool | None:
    """Whether a row reaches its goal; None if it has none."""
    if row['limit_s'] is not None:
        return row['ours']['median_s'] <= row['limit_s']
    return None if row['goal'] is None else row['ratio'] >= row['goal']


def _memory(case: Case, threads: int, names: Sequence[str]) -> Facts:
    memory: Facts = {name: in_fresh_process(case.ways, name, threads) for name in names}
    if case.memory_goal and 'plain' in memory:
        reached = memory_ratio(memory) <= case.memory_goal
        memory |= {'goal': case.memory_goal, 'reached': reached}
    return memory
