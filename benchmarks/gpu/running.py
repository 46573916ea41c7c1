"""Run the parts, each in a process of its own with a limit of time."""

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

SIDE_BY_SIDE = 5 if (os.cpu_count() or 1) >= 15 else 3  # parts that only check
RUNNING: set[subprocess.Popen[bytes]] = set()  # processes of parts


def run(chosen: Sequence[Part], settings: Settings, deadline: float) -> list[Facts]:
    """Run the chosen parts: first those that only check, side by side, then those that measure.

    Args:
        chosen: the parts.
        settings: of this machine.
        deadline: of ``time.monotonic()``, when all must have ended.

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
            text = f'needs {part.devices} devices, there is {count}'
            rows[part.name] = _row(part, 'skipped', text)
    return [rows[part.name] for part in chosen]


def _side_by_side(parts: Sequence[Part], settings: Settings, deadline: float) -> dict[str, Facts]:
    """The rows of parts that only check, by name."""
    find = functools.partial(run_part, settings=settings, deadline=deadline)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        try:
            rows = progress(pool.map(find, parts), 'checks', total=len(parts))
            return {row['name']: row for row in rows}
        except BaseException:  # Ctrl-C: the parts, of sessions of their own, do not hear it
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
    """A part in a process of its own: its row."""
    start = time.monotonic()
    limit = min(part.seconds, deadline - start)
    if limit <= 0:
        return _row(part, 'failed', 'no time was left for it; give more --minutes')
    command = [sys.executable, '-m', 'benchmarks.gpu', '--device', settings.device.type]
    if settings.quick:
        command.append('--tiny')
    variables = {} if part.measures else {'OMP_NUM_THREADS': str(threads())}
    with tempfile.TemporaryDirectory() as folder:
        path, log = Path(folder) / 'answer.json', Path(folder) / 'log.txt'
        command += ['--part', part.name, '--answer', str(path)]
        ended = in_time(command, variables, log, limit)
        seconds = time.monotonic() - start
        if path.exists():
            found = json.loads(path.read_text(encoding='utf-8'))
            text = '; '.join([*found['wrong'], found['text']])
            return found | _row(part, 'failed' if found['wrong'] else 'ok', text, seconds)
        lines = log.read_text(encoding='utf-8', errors='replace').strip().splitlines()
    last = lines[-1] if lines else 'it ended without a word'
    reason = last if ended else f'no end after {limit:.0f} s; its last words: {last}'
    return _row(part, 'failed', reason[:300], seconds) | {'log': lines[-50:]}


def in_time(command: Sequence[str], variables: Mapping[str, str], log: Path, limit: float) -> bool:
    """Run a command and end all that it has started.

    Args:
        command: its words.
        variables: of the environment, where this process has none of that name.
        log: the file for its output.
        limit: seconds.

    Returns:
        Whether it has ended within the limit.
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
    """Of the CPU, for each of the parts that run side by side."""
    return max(1, (os.cpu_count() or 1) // SIDE_BY_SIDE)


def end_session(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it has started, which may outlive it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def answer(name: str, settings: Settings, path: Path) -> None:
    """What the process of a part does: find out, and write the finding to ``path``."""
    part = next(part for part in PARTS if part.name == name)
    models = toy_models() if settings.quick else contextlib.nullcontext()
    with tempfile.TemporaryDirectory() as folder, models:
        found = part.find(settings, Path(folder))
    write_json(path, finite(asdict(found)))
