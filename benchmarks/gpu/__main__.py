"""Check that a GPU computes the same as the CPU, and time it.

    python -m benchmarks.gpu [--only NAME …]

Every part runs in a separate process with a time limit. A part that fails or hangs is reported with
its reason, and the others still run. Parts that only check run first, several at a time; parts that
measure follow, one after the other. Takes at most six minutes on one GPU and downloads nothing.
Prints a table for docs/performance.md and writes benchmarks/results/gpu.json. The exit code is 1 if
a part failed. ``make gpu`` runs the same.

Without a CUDA device, the tests of the same code that need no GPU run instead. --device cpu --tiny
rehearses all parts with toy models in a few minutes, for people who change them.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.choosing import choose
from benchmarks.core import Facts, Settings
from benchmarks.gpu import running
from benchmarks.gpu.findings import TOY_PHOTOS
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.trainings import starve
from benchmarks.inputs import ROOT
from benchmarks.results import RESULTS, finite, machine
from configs.command_line import path_text
from utils.device import make_runtime
from utils.errors import InputError, exit_code
from utils.files import make_output_dir, write_json

MINUTES = 6.0
NO_GPU_TESTS = 'tests/without_gpu'


def main(argv: Sequence[str] | None = None) -> list[Facts] | None:
    """Run the GPU check, or one part of it in its process.

    Returns:
        The rows; None in the process of a part.

    Raises:
        SystemExit: With code 1 if a part failed.
    """
    args = parse(argv)
    if args.starve:
        starve(args.starve)
        return None
    device = torch.device(args.device) if args.device else make_runtime().device
    if not args.device and device.type == 'cpu':
        return without_gpu()
    options = TOY_PHOTOS if args.tiny else ()
    settings = Settings(quick=args.tiny, device=device, options=options)
    if args.part:
        running.answer(args.part, settings, Path(args.answer))
        return None
    if settings.on_cpu and not args.tiny:
        raise InputError('--device cpu only works for a rehearsal; add --tiny')
    chosen = choose(PARTS, args.only, 'part')
    rows = running.run(chosen, settings, time.monotonic() + 60 * args.minutes)
    path = Path(make_output_dir(args.out)) / ('gpu-tiny.json' if args.tiny else 'gpu.json')
    write_json(path, finite({'machine': machine(settings), 'rows': rows}))
    print('\n' + '\n'.join(table(rows)) + f'\n\n{path}')
    if any(row['result'] == 'failed' for row in rows):
        sys.exit(1)
    return rows


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.gpu', description='Check and time the program on a GPU.'
    )
    add = parser.add_argument
    only = 'run only parts whose names contain one of these words (default: all parts)'
    add('--only', nargs='+', default=[], metavar='NAME', help=only)
    minutes = f'time limit for all parts together (default: {MINUTES:.0f})'
    add('--minutes', type=float, default=MINUTES, help=minutes)
    add('--device', help='device to check; cpu needs --tiny (default: the GPU)')
    add('--tiny', action='store_true', help='rehearse with toy models, without measurements')
    out = 'folder for the JSON file (default: benchmarks/results)'
    add('--out', type=path_text, default=str(RESULTS), help=out)
    # Options for the processes of the parts.
    add('--part', help=argparse.SUPPRESS)
    add('--answer', help=argparse.SUPPRESS)
    add('--starve', nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def without_gpu() -> list[Facts]:
    """Say that there is no GPU, and run the tests that need none.

    Raises:
        SystemExit: With the exit code of pytest if tests fail.
    """
    print(
        'No CUDA device found, so nothing is measured. Running the tests that need no GPU '
        f'({NO_GPU_TESTS}):',
        flush=True,
    )
    code = subprocess.run([sys.executable, '-m', 'pytest', '-q', NO_GPU_TESTS], cwd=ROOT).returncode
    if code:
        sys.exit(code)
    return []


def table(rows: Sequence[Facts]) -> list[str]:
    """Return the table as lines of Markdown."""
    lines = ['| part | subject | result | s | findings |', '|---|---|---|---|---|']
    for row in rows:
        text = row['text'].replace('|', '/')
        lines.append(
            f'| {row["name"]} | {row["title"]} | {row["result"]} | {row["seconds"]:.0f} | {text} |'
        )
    return lines


if __name__ == '__main__':
    sys.exit(exit_code(main))
