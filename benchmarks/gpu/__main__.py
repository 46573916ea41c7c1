"""Whether a GPU computes what the CPU does, and how fast: python -m benchmarks.gpu [--only NAME …]

Every part runs in a process of its own with a limit of time: one that fails or hangs is reported
with its reason, and the others run. First those that only check, several side by side, then those
that measure, one after the other. At most six minutes on one GPU; nothing is downloaded. Prints a
table, ready for docs/performance.md, and writes benchmarks/results/gpu.json. Exit code 1 if a part
failed. ``make gpu`` runs it too.

Without a CUDA device the tests of the same paths that need none are run instead. --device cpu
--tiny rehearses all parts with toy models in some minutes: for those who change them.
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
    """Run what is asked.

    Returns:
        The rows; None in the process of a part.

    Raises:
        SystemExit: with code 1, if a part failed.
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
        raise InputError('--device cpu is for a rehearsal; give --tiny too')
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
    parser = argparse.ArgumentParser(description='Check and time the program on a GPU.')
    add = parser.add_argument
    add('--only', nargs='+', default=[], metavar='NAME', help='parts whose name has this word')
    minutes = f'for all parts together, default {MINUTES:.0f}'
    add('--minutes', type=float, default=MINUTES, help=minutes)
    add('--device', help='default: the GPU; cpu together with --tiny')
    add('--tiny', action='store_true', help='a rehearsal with toy models: nothing is measured')
    add('--out', type=path_text, default=str(RESULTS), help='folder for the JSON')
    # what the processes of the parts are started with
    add('--part', help=argparse.SUPPRESS)
    add('--answer', help=argparse.SUPPRESS)
    add('--starve', nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def without_gpu() -> list[Facts]:
    """Say that there is none, and run the tests that need none.

    Raises:
        SystemExit: with pytest's code if they fail.
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


def table(rows: Sequence[Facts]) -> list[str]:
    """Lines of Markdown."""
    lines = ['| part | what it shows | result | s | found |', '|---|---|---|---|---|']
    for row in rows:
        text = row['text'].replace('|', '/')
        lines.append(
            f'| {row["name"]} | {row["title"]} | {row["result"]} | {row["seconds"]:.0f} | {text} |'
        )
    return lines


if __name__ == '__main__':
    sys.exit(exit_code(main))
