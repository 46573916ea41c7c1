"""The benchmark: python -m benchmarks [--quick] [--only NAME …] [--threads 1 2] [--growth] …

Times the code of the project against the plain formulation of its specification
(tests/oracles/*.py) and compares their results. Both run in one process, in turns and after a
warm-up; times are the median of 5 rounds unless the row says otherwise (--quick: smaller inputs, 2
rounds). Prints a table, then profiles of the rows that miss their goals, and writes
benchmarks/results/<device>.json with a description of the machine and all times. --growth instead
measures how cost grows with the size of the input, and writes benchmarks/results/growth.json, which
python -m benchmarks.plots draws.

The exit code is 1 if a row fails or its results differ by more than it allows, and 0 even if goals
are missed.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import growth
from benchmarks.cases import all_cases
from benchmarks.choosing import choose
from benchmarks.core import QUICK_ROUNDS, ROUNDS, Facts, Settings
from benchmarks.profiling import product_peak
from benchmarks.results import RESULTS, finite, machine
from benchmarks.rows import run
from configs.command_line import path_text
from utils.device import make_runtime
from utils.errors import InputError, exit_code
from utils.files import make_output_dir, write_json


def main(argv: Sequence[str] | None = None) -> Facts | None:
    """Run the benchmark.

    Returns:
        The content of the JSON file; None after --list.

    Raises:
        SystemExit: With code 1 if a row fails or its results differ too much.
    """
    args = parse(argv)
    settings = Settings(args.quick, torch.device(args.device), args.seed, args.photos, args.profile)
    cases = choose(all_cases(settings), args.only, 'row')
    if args.list:
        print('\n'.join(f'{case.name:22} {case.title}' for case in cases))
        return None
    make_runtime(args.device)  # sets the kernel options of torch as in training
    out = Path(make_output_dir(args.out))
    start = time.perf_counter()
    given = {name: value for name, value in vars(args).items() if name != 'out'}
    result: Facts = {'machine': machine(settings), 'settings': given}
    if args.growth:
        result['growth'] = growth.measure(settings)
    else:
        result['rows'] = run(cases, settings, args.threads, args.rounds)
        counts = [row['threads'] for row in result['rows']]
        result['peak_flops'] = {str(n): product_peak(n, settings.device) for n in counts}
    result['seconds'] = time.perf_counter() - start
    path = out / f'{result_name(args)}.json'
    write_json(path, finite(result))
    print(f'\n{path}: {result["seconds"]:.0f} s in total')
    if any('failed' in row for row in result.get('rows', ())):
        sys.exit(1)
    return result


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line.

    Raises:
        InputError: If a number is too small.
    """
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks',
        description='Time the program against a plain formulation of the method.',
    )
    add = parser.add_argument
    add('--quick', action='store_true', help='use smaller inputs and fewer rounds: two minutes')
    only = 'run only rows whose names contain one of these words (default: all rows)'
    add('--only', nargs='+', default=[], metavar='NAME', help=only)
    add('--list', action='store_true', help='print the names of the rows and exit')
    threads = 'numbers of CPU threads to measure with (default: 1 2; with --quick 1)'
    add('--threads', nargs='+', type=int, metavar='N', help=threads)
    add('--device', choices=_devices(), default='cpu', help='device to measure (default: cpu)')
    rounds = f'timed calls per way (default: {ROUNDS}; with --quick {QUICK_ROUNDS})'
    add('--rounds', type=int, help=rounds)
    photos = 'photos per batch (default: 64 on an accelerator, 16 on the CPU; with --quick 8)'
    add('--photos', type=int, help=photos)
    profile = 'profile all rows, not only those that miss their goals'
    add('--profile', action='store_true', help=profile)
    add('--seed', type=int, default=1, help='seed of the generated inputs (default: 1)')
    growth_help = 'measure how cost grows with the size of the input, instead of the rows'
    add('--growth', action='store_true', help=growth_help)
    out = 'folder for the JSON file (default: benchmarks/results)'
    add('--out', type=path_text, default=str(RESULTS), help=out)
    args = parser.parse_args(argv)
    args.threads = args.threads or ([1] if args.quick else [1, 2])
    check_at_least('threads', min(args.threads), 1)
    check_at_least('rounds', args.rounds, 1)
    check_at_least('photos', args.photos, 8)
    check_at_least('seed', args.seed, 0)
    if '' in args.only:
        raise InputError('--only: a name must not be empty; --list prints the names of the rows')
    return args


def _devices() -> list[str]:
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return ['cpu', accelerator.type] if accelerator else ['cpu']


def check_at_least(name: str, number: int | None, least: int) -> None:
    """Check the number given for an option.

    Raises:
        InputError: If it is below ``least``.
    """
    if number is not None and number < least:
        raise InputError(f'--{name} {number} is too small; give at least {least}')


def result_name(args: argparse.Namespace) -> str:
    """Return the name of the JSON file; growth and selected rows get their own names."""
    words = ['growth'] if args.growth else [args.device]
    if args.growth and args.device != 'cpu':
        words.append(args.device)
    if args.quick:
        words.append('quick')
    if not args.growth:
        words += args.only
    return '-'.join(words)


if __name__ == '__main__':
    sys.exit(exit_code(main))
