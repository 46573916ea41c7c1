"""Whether a GPU computes what the CPU does, and how fast: make gpu, or python -m benchmarks.gpu
[--only NAME …]

Every part runs in a process of its own with a limit of time: one that fails or hangs is told with
its reason, and the others go on. First those that only check, several side by side, then those that
measure, one after the other. At most six minutes on one GPU; nothing is downloaded. Prints a table,
ready for docs/performance.md, and writes benchmarks/results/gpu.json. Exit code 1 if a part failed.

Without a CUDA device the tests of the same paths that need none are run instead. --device cpu
--tiny rehearses all parts
with toy models in some minutes: for those who change them.
"""

import argparse
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks import gpu_parts as parts
from benchmarks import gpu_runs as runs
from benchmarks.__main__ import finite, machine
from benchmarks.core import Settings
from configs.command_line import path_text
from utils.device import has_cuda, make_runtime
from utils.errors import InputError, exit_code
from utils.files import make_output_dir, write_json
from utils.logger import progress

ROOT = Path(__file__).resolve().parents[1]
SIDE_BY_SIDE = 5 if (os.cpu_count() or 1) >= 15 else 3  # parts that only check
MINUTES = 6
RUNNING = set()  # processes of parts
NO_GPU_TESTS = 'tests/benchmarks/test_gpu.py'


@dataclass(frozen=True)
class Part:
    """One row of the table.

    name: what --only looks for; title: what it shows. find: function of (settings, folder) to
    ``parts.Finding``.
    seconds: its limit. measures: it must be alone on the machine. devices: how many it needs.
    """

    name: str
    title: str
    find: Callable
    seconds: int
    measures: bool = False
    devices: int = 1


PARTS = (
    Part('device', 'device, precision, TF32', parts.device, 60),
    Part('compile', '`MODEL.COMPILE`, ViT-B-16: three epochs', runs.compiled, 200),
    Part('deterministic', 'deterministic twice; SIGTERM and `--resume`', runs.deterministic, 150),
    Part('demo-auto', 'the demo, `SOLVER.AMP auto`', functools.partial(runs.demo, 'auto'), 100),
    Part('demo-fp16', 'the demo, `SOLVER.AMP fp16`', functools.partial(runs.demo, 'fp16'), 100),
    Part('demo-off', 'the demo, `SOLVER.AMP off`', functools.partial(runs.demo, 'off'), 100),
    Part('waits', 'iterations that wait for the GPU', runs.waits, 100),
    Part('memory', 'out of memory', runs.memory, 100),
    Part('features', 'test features of the GPU and of the CPU', parts.features, 100),
    Part(
        'processes',
        'two GPUs: `MODEL.SYNC_BN`, a killed process, out of memory',
        runs.processes,
        240,
        devices=2,
    ),
    Part('rerank', 're-ranking', parts.reranking, 120, measures=True),
    Part(
        'rn50-step',
        'RN50: step, losses of 50 steps',
        functools.partial(parts.steps, 'rn50'),
        90,
        measures=True,
    ),
    Part(
        'vit-step',
        'ViT-B-16: step, losses of 50 steps',
        functools.partial(parts.steps, 'vit'),
        90,
        measures=True,
    ),
    Part(
        'rn50-epoch',
        'RN50: epochs at the tiger settings',
        functools.partial(runs.epoch, 'RN50'),
        90,
        measures=True,
    ),
    Part(
        'vit-epoch',
        'ViT-B-16: epochs at the tiger settings',
        functools.partial(runs.epoch, 'ViT'),
        90,
        measures=True,
    ),
    Part('cudnn', '`cudnn.benchmark`', parts.cudnn, 60, measures=True),
)


def main(argv=None):
    """Run what is asked; returns the rows. SystemExit(1) if a part failed."""
    args = parse(argv)
    if args.starve:
        return runs.starve(args.starve)
    if not args.device and not has_cuda():
        return without_gpu()
    device = torch.device(args.device) if args.device else make_runtime().device
    settings = Settings(
        quick=args.tiny, device=device, options=parts.TOY_PHOTOS if args.tiny else ()
    )
    if args.part:
        return answer(args.part, settings, Path(args.answer))
    if device.type == 'cpu' and not args.tiny:
        raise InputError('--device cpu is for a rehearsal; give --tiny too')
    rows = run(choose(args.only), settings, time.monotonic() + 60 * args.minutes)
    path = Path(make_output_dir(args.out)) / f'gpu{"-tiny" if args.tiny else ""}.json'
    write_json(path, finite({'machine': machine(settings), 'rows': rows}))
    print('\n' + '\n'.join(table(rows)) + f'\n\n{path}')
    if any(row['result'] == 'failed' for row in rows):
        sys.exit(1)
    return rows


def parse(argv):
    parser = argparse.ArgumentParser(description='Check and time the program on a GPU.')
    parser.add_argument(
        '--only', nargs='+', default=[], metavar='NAME', help='parts whose name contains this word'
    )
    parser.add_argument(
        '--minutes', type=float, default=MINUTES, help=f'for all parts together, default {MINUTES}'
    )
    parser.add_argument('--device', help='default: the GPU; cpu together with --tiny')
    parser.add_argument(
        '--tiny', action='store_true', help='a rehearsal with toy models: nothing is measured'
    )
    parser.add_argument(
        '--out',
        type=path_text,
        default=str(ROOT / 'benchmarks/results'),
        help='folder for the JSON',
    )
    parser.add_argument(
        '--part', help=argparse.SUPPRESS
    )  # what the processes of the parts are started with
    parser.add_argument('--answer', help=argparse.SUPPRESS)
    parser.add_argument('--starve', nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def choose(words):
    """The parts whose name contains one of ``words``; all without words. InputError for a word that
    names none.
    """
    for word in words:
        if not any(word in part.name for part in PARTS):
            raise InputError(
                f'--only {word}: no part has this in its name; choose from '
                f'{", ".join(p.name for p in PARTS)}'
            )
    return [part for part in PARTS if not words or any(word in part.name for word in words)]


def without_gpu():
    """Say that there is none, and run the tests that need none. SystemExit with pytest's code if
    they fail.
    """
    print(
        'No CUDA device here: nothing is measured. The tests of its paths that need none '
        f'({NO_GPU_TESTS}):',
        flush=True,
    )
    code = subprocess.run([sys.executable, '-m', 'pytest', '-q', NO_GPU_TESTS], cwd=ROOT).returncode
    if code:
        sys.exit(code)
    return []


def run(chosen, settings, deadline):
    """The rows of the chosen parts, in their order."""
    rows = {}
    count = 2 if settings.quick else torch.accelerator.device_count()
    possible = [part for part in chosen if part.devices <= count]
    checks = [part for part in possible if not part.measures]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        try:
            for row in progress(
                pool.map(lambda part: run_part(part, settings, deadline), checks), 'checks'
            ):
                rows[row['name']] = row
        except BaseException:  # Ctrl-C: the parts, of sessions of their own, do not hear it
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(RUNNING):
                end_session(process)
            raise
    for part in progress([part for part in possible if part.measures], 'measurements'):
        rows[part.name] = run_part(part, settings, deadline)
    for part in chosen:
        if part not in possible:
            rows[part.name] = {
                'name': part.name,
                'title': part.title,
                'result': 'skipped',
                'seconds': 0.0,
                'text': f'needs {part.devices} devices, there is {count}',
            }
    return [rows[part.name] for part in chosen]


def run_part(part, settings, deadline):
    """A part in a process of its own: its row."""
    start, row = time.monotonic(), {'name': part.name, 'title': part.title}
    limit = min(part.seconds, deadline - start)
    if limit <= 0:
        return row | {
            'result': 'failed',
            'seconds': 0.0,
            'text': 'no time was left for it; give more --minutes',
        }
    with tempfile.TemporaryDirectory() as folder:
        path, log = Path(folder) / 'answer.json', Path(folder) / 'log.txt'
        command = [
            sys.executable,
            '-m',
            'benchmarks.gpu',
            '--device',
            settings.device.type,
            *['--tiny'] * settings.quick,
            '--part',
            part.name,
            '--answer',
            str(path),
        ]
        ended = in_time(
            command, {} if part.measures else {'OMP_NUM_THREADS': str(threads())}, log, limit
        )
        row['seconds'] = time.monotonic() - start
        if path.exists():
            found = json.loads(path.read_text(encoding='utf-8'))
            row |= found | {'result': 'failed' if found['wrong'] else 'ok'}
            return row | {'text': '; '.join([*found['wrong'], found['text']])}
        lines = log.read_text(encoding='utf-8', errors='replace').strip().splitlines() or [
            'it ended without a word'
        ]
    reason = lines[-1] if ended else f'no end after {limit:.0f} s; its last words: {lines[-1]}'
    return row | {'result': 'failed', 'text': reason[:300], 'log': lines[-50:]}


def in_time(command, variables, log, limit):
    """Run a command, its output in the file ``log``; whether it has ended within ``limit`` seconds.
    Nothing of it is left.
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


def threads():
    """Of the CPU, for each of the parts that run side by side."""
    return max(1, (os.cpu_count() or 1) // SIDE_BY_SIDE)


def end_session(process):
    """End the process and all that it has started, which may outlive it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def answer(name, settings, path):
    """What the process of a part does: find out, and write the finding to ``path``."""
    part = next(part for part in PARTS if part.name == name)
    with tempfile.TemporaryDirectory() as folder:
        if settings.quick:
            with parts.toy_models():
                found = part.find(settings, Path(folder))
        else:
            found = part.find(settings, Path(folder))
    write_json(path, finite(asdict(found)))


def table(rows):
    """Lines of Markdown."""
    lines = ['| part | what it shows | result | s | found |', '|---|---|---|---|---|']
    return lines + [
        f'| {row["name"]} | {row["title"]} | {row["result"]} | {row["seconds"]:.0f} | '
        f'{row["text"].replace("|", "/")} |'
        for row in rows
    ]


if __name__ == '__main__':
    sys.exit(exit_code(main))
