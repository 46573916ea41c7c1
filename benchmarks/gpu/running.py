"""Run the parts, each in a separate process with a time limit."""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.core import Facts, Settings
from benchmarks.gpu.findings import toy_models
from benchmarks.gpu.parts import PARTS, Part
from benchmarks.inputs import ROOT
from benchmarks.results import finite
from utils.files import write_json
from utils.logger import progress

SIDE_BY_SIDE = 5 if (os.cpu_count() or 1) >= 15 else 3  # parts that only check, at a time
RUNNING: set[subprocess.Popen[bytes]] = set()  # processes of the parts that are running


def run(chosen: Sequence[Part], settings: Settings, deadline: float) -> list[Facts]:
    """Run the chosen parts: first those that only check, in parallel, then those that measure.

    Args:
        chosen: Parts to run.
        settings: Settings for this machine.
        deadline: Value of ``time.monotonic()`` by which all parts must have ended.

    Returns:
        The rows of the chosen parts, in their order.
    """
    count = 2 if settings.quick else torch.accelerator.device_count()
    possible = [part for part in chosen if part.devices <= count]
    checks = [part for part in possible if not part.measures]
    measurements = [part for part in possible if part.measures]
    rows = _side_by_side(checks, settings, deadline)
    for part in progress(measurements, 'measurements'):
        rows[part.name] = run_part(part, settings, deadline)
    for part in chosen:
        if part not in possible:
            text = f'needs {part.devices} devices, but this machine has {count}'
            rows[part.name] = _row(part, 'skipped', text)
    return [rows[part.name] for part in chosen]


def _side_by_side(parts: Sequence[Part], settings: Settings, deadline: float) -> dict[str, Facts]:
    """Run parts that only check in parallel; return their rows by name."""
    find = functools.partial(run_part, settings=settings, deadline=deadline)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        try:
            rows = progress(pool.map(find, parts), 'checks', total=len(parts))
            return {row['name']: row for row in rows}
        except BaseException:  # the parts have their own sessions, so Ctrl-C does not reach them
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(RUNNING):
                end_session(process)
            raise


def _row(part: Part, result: str, text: str, seconds: float = 0.0) -> Facts:
    return {
        'name': part.name,
        'title': part.title,
        'result': result,
        'seconds': seconds,
        'text': text,
    }


def run_part(part: Part, settings: Settings, deadline: float) -> Facts:
    """Run a part in a separate process; return its row."""
    start = time.monotonic()
    limit = min(part.seconds, deadline - start)
    if limit <= 0:
        return _row(part, 'failed', 'no time was left for this part; increase --minutes')
    command = [sys.executable, '-m', 'benchmarks.gpu', '--device', settings.device.type]
    if settings.quick:
        command.append('--tiny')
    variables = {} if part.measures else {'OMP_NUM_THREADS': str(threads())}
    with tempfile.TemporaryDirectory() as folder:
        path, log = Path(folder) / 'answer.json', Path(folder) / 'log.txt'
        command += ['--part', part.name, '--answer', str(path)]
        ended = run_within(limit, command, variables, log)
        seconds = time.monotonic() - start
        if path.exists():
            found = json.loads(path.read_text(encoding='utf-8'))
            text = '; '.join([*found['wrong'], found['text']])
            return found | _row(part, 'failed' if found['wrong'] else 'ok', text, seconds)
        lines = log.read_text(encoding='utf-8', errors='replace').strip().splitlines()
    last = lines[-1] if lines else 'no output'
    reason = last if ended else f'stopped after {limit:.0f} s; last line of its output: {last}'
    return _row(part, 'failed', reason[:300], seconds) | {'log': lines[-50:]}


def run_within(
    limit: float, command: Sequence[str], variables: Mapping[str, str], log: Path
) -> bool:
    """Run a command with a time limit; afterwards kill all processes that it has started.

    Args:
        limit: Time limit in seconds.
        command: Words of the command.
        variables: Environment variables to set unless this process has them already.
        log: File for the output.

    Returns:
        Whether the command ended within the limit.
    """
    with (
        log.open('w', encoding='utf-8') as file,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**variables, **os.environ},
            stdout=file,
            stderr=file,
            start_new_session=True,
        ) as process,
    ):
        RUNNING.add(process)
        try:
            process.wait(limit)
            return True
        except subprocess.TimeoutExpired:
            return False
        finally:
            end_session(process)
            RUNNING.remove(process)


def threads() -> int:
    """Return the number of CPU threads for each of the parts that run in parallel."""
    return max(1, (os.cpu_count() or 1) // SIDE_BY_SIDE)


def end_session(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and all processes that it has started, which may outlive it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def answer(name: str, settings: Settings, path: Path) -> None:
    """Run a part in this process, and write its finding to ``path``."""
    part = next(part for part in PARTS if part.name == name)
    models = toy_models() if settings.quick else contextlib.nullcontext()
    with tempfile.TemporaryDirectory() as folder, models:
        found = part.find(settings, Path(folder))
    write_json(path, finite(asdict(found)))
