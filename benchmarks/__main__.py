"""The benchmark: python -m benchmarks [--quick] [--only NAME …] [--threads 1 2] [--growth] …

Times the product's path against the plain formulation of the specification (tests/oracles/*.py): in
one process, in turns, warm, the median of 5 rounds unless the row says otherwise, and compares
their results (--quick: smaller inputs, 2 rounds). Prints a table and writes
benchmarks/results/<device>.json with the machine and every single time. A row that misses its goal
is followed by the profile that says why. --growth instead measures how cost grows and writes
benchmarks/results/growth.json, which python -m benchmarks.plots draws.

Exit code 1 if results differ by more than a row allows or a row fails, 0 even if goals are missed.
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
    """Run what is asked.

    Returns:
        What was written; None after --list.

    Raises:
        SystemExit: with code 1, if a row fails or its results differ too much.
    """
    args = parse(argv)
    settings = Settings(args.quick, torch.device(args.device), args.seed, args.photos, args.profile)
    cases = choose(all_cases(settings), args.only, 'row')
    if args.list:
        print('\n'.join(f'{case.name:22} {case.title}' for case in cases))
        return None
    make_runtime(args.device)  # the settings of the kernels, as in training
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
    print(f'\n{path}: {result["seconds"]:.0f} s in all')
    if any('failed' in row for row in result.get('rows', ())):
        sys.exit(1)
    return result


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; InputError for numbers that are too small."""
    devices = ['cpu']
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator:
        devices.append(accelerator.type)
    parser = argparse.ArgumentParser(
        description='Time the program against the plain formulation of its specification.'
    )
    add = parser.add_argument
    add('--quick', action='store_true', help='smaller inputs and fewer rounds: two minutes')
    add('--only', nargs='+', default=[], metavar='NAME', help='rows whose name has this word')
    add('--list', action='store_true', help='name the rows and stop')
    add('--threads', nargs='+', type=int, metavar='N', help='of the CPU, default 1 2, quick 1')
    add('--device', choices=devices, default='cpu', help='those of this machine')
    rounds = f'timed calls of each way, default {ROUNDS}, quick {QUICK_ROUNDS}'
    add('--rounds', type=int, help=rounds)
    photos = 'in a batch of a training step; 64 on an accelerator, 16 on the CPU'
    add('--photos', type=int, help=photos)
    profile = 'say of every row where the time goes, not only of slow ones'
    add('--profile', action='store_true', help=profile)
    add('--seed', type=int, default=1, help='of the invented inputs')
    add('--growth', action='store_true', help='how cost grows, instead of the rows')
    add('--out', type=path_text, default=str(RESULTS), help='folder for the JSON')
    args = parser.parse_args(argv)
    args.threads = args.threads or ([1] if args.quick else [1, 2])
    check_at_least('threads', min(args.threads), 1)
    check_at_least('rounds', args.rounds, 1)
    check_at_least('photos', args.photos, 8)
    check_at_least('seed', args.seed, 0)
    if '' in args.only:
        raise InputError('--only: an empty word names no row; --list names them')
    return args


def check_at_least(name: str, number: int | None, least: int) -> None:
    """InputError for an option's number below ``least``."""
    if number is not None and number < least:
        raise InputError(f'--{name} {number} is not possible; give at least {least}')


def result_name(args: argparse.Namespace) -> str:
    """The JSON's name: growth apart from rows, and some rows apart from all."""
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
