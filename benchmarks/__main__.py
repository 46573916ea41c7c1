"""The benchmark: python -m benchmarks [--quick] [--only NAME …] [--threads 1 2] [--photos N]
[--rounds N] [--growth]

Times the product's path against the plain formulation of the specification (tests/oracles/*.py): in
one process, in turns, warm, the median of 5 rounds unless the row says otherwise, and compares
their results (--quick: smaller inputs, 2 rounds). Prints a table and writes
benchmarks/<device>.json with the machine and every single time. A row that misses its goal is
followed by the profile that says why. --growth instead measures how cost grows and writes
benchmarks/results/growth.json, which benchmarks/plots.py draws.

Exit code 1 if results differ by more than a row allows or a row fails, 0 even if goals are missed.
"""

import argparse
import datetime
import os
import platform
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks import cases as benchmark_cases
from benchmarks import growth as benchmark_growth
from benchmarks import models as benchmark_models
from benchmarks.core import QUICK_ROUNDS, ROUNDS, Settings, memory_ratio, product_peak, run_case
from configs.command_line import path_text
from utils.device import make_runtime
from utils.errors import InputError, exit_code
from utils.files import make_output_dir, write_json
from utils.logger import progress
from utils.run.provenance import git_state

ROOT = Path(__file__).resolve().parents[1]
HEADER = (
    f'{"row":22}{"threads":>8}{"rounds":>7}{"plain s":>11}{"ours s":>11}{"ratio":>8}{"goal":>8}'
    f'{"reached":>9}'
    f'{"difference":>12}{"memory":>8}{"goal":>7}{"reached":>9}'
)


def main(argv=None):
    """Run what is asked; returns what was written. SystemExit(1) if a row fails or its results
    differ too much.
    """
    args = parse(argv)
    settings = Settings(args.quick, torch.device(args.device), args.seed, args.photos, args.profile)
    cases = choose(all_cases(settings), args.only)
    if args.list:
        print('\n'.join(f'{case.name:22} {case.title}' for case in cases))
        return None
    make_runtime(args.device)  # the settings of the kernels, as in training
    out = Path(make_output_dir(args.out))
    start = time.perf_counter()
    result = {
        'machine': machine(settings),
        'settings': {name: value for name, value in vars(args).items() if name != 'out'},
    }
    if args.growth:
        result['growth'] = benchmark_growth.measure(settings)
        words = ['growth', *[args.device] * (args.device != 'cpu'), *['quick'] * args.quick]
        path = out / f'{"-".join(words)}.json'
    else:
        result['rows'] = run(cases, settings, args.threads, args.rounds)
        result['peak_flops'] = {
            str(row['threads']): product_peak(row['threads'], settings.device)
            for row in result['rows']
        }
        path = out / f'{"-".join([args.device, *["quick"] * args.quick, *args.only])}.json'
    result['seconds'] = time.perf_counter() - start
    write_json(path, finite(result))
    print(f'\n{path}: {result["seconds"]:.0f} s in all')
    if any('failed' in row for row in result.get('rows', ())):
        sys.exit(1)
    return result


def parse(argv):
    accelerator = (
        [torch.accelerator.current_accelerator().type] if torch.accelerator.is_available() else []
    )
    parser = argparse.ArgumentParser(
        description='Time the program against the plain formulation of its specification.'
    )
    parser.add_argument(
        '--quick', action='store_true', help='smaller inputs and fewer rounds: two minutes'
    )
    parser.add_argument(
        '--only', nargs='+', default=[], metavar='NAME', help='rows whose name contains this word'
    )
    parser.add_argument('--list', action='store_true', help='name the rows and stop')
    parser.add_argument(
        '--threads', nargs='+', type=int, metavar='N', help='of the CPU, default 1 2, quick 1'
    )
    parser.add_argument(
        '--device', choices=['cpu', *accelerator], default='cpu', help='those of this machine'
    )
    parser.add_argument(
        '--rounds',
        type=int,
        help=f'timed calls of each way, default {ROUNDS}, quick {QUICK_ROUNDS}',
    )
    parser.add_argument(
        '--photos',
        type=int,
        help='in a batch of a training step; 64 on an accelerator, 16 on the CPU',
    )
    parser.add_argument(
        '--profile',
        action='store_true',
        help='say of every row where the time goes, not only of slow ones',
    )
    parser.add_argument('--seed', type=int, default=1, help='of the invented inputs')
    parser.add_argument('--growth', action='store_true', help='how cost grows, instead of the rows')
    parser.add_argument(
        '--out',
        type=path_text,
        default=str(ROOT / 'benchmarks/results'),
        help='folder for the JSON',
    )
    args = parser.parse_args(argv)
    args.threads = args.threads or ([1] if args.quick else [1, 2])
    least = {
        'threads': (min(args.threads), 1),
        'rounds': (args.rounds, 1),
        'photos': (args.photos, 8),
        'seed': (args.seed, 0),
    }
    for name, (number, smallest) in least.items():
        if number is not None and number < smallest:
            raise InputError(f'--{name} {number} is not possible; give at least {smallest}')
    if '' in args.only:
        raise InputError('--only: an empty word names no row; --list names them')
    return args


def all_cases(settings):
    return [*benchmark_models.cases(settings), *benchmark_cases.cases(settings)]


def choose(cases, words):
    """The cases whose name contains one of ``words``; all without words. InputError for a word that
    names none.
    """
    for word in words:
        if not any(word in case.name for case in cases):
            raise InputError(
                f'--only {word}: no row has this in its name; choose from '
                f'{", ".join(c.name for c in cases)}'
            )
    return [case for case in cases if not words or any(word in case.name for word in words)]


def run(cases, settings, threads, rounds=None):
    """Run and print the rows; an error in one is told, kept in its row, and the others go on."""
    on_cpu = settings.device.type == 'cpu'
    jobs = [
        (case, count)
        for case in cases
        for count in (
            sorted(threads)
            if case.threaded and on_cpu
            else [1 if on_cpu else torch.get_num_threads()]
        )
    ]
    print(HEADER)
    rows = []
    for case, count in progress(jobs, 'benchmark'):
        try:
            row = run_case(
                case,
                settings,
                count,
                rounds or case.rounds or (QUICK_ROUNDS if settings.quick else ROUNDS),
            )
        except Exception as error:  # noqa: BLE001 minutes of other rows are not lost to it; the exit code tells
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


def line(row):
    """A row of the table."""
    if 'ours' not in row:
        return f'{row["name"]:22}{row["threads"]:8d}  failed'
    goal = (
        f'≤ {row["limit_s"]:g} s' if row['limit_s'] is not None else number(row['goal'], 'g', '≥ ')
    )
    memory = row.get('memory', {})
    plain = number(row.get('plain', {}).get('median_s'), '.4f')
    ours = number(row['ours']['median_s'], '.4f')
    saved = number(memory_ratio(memory) if 'plain' in memory else None, '.2f')
    return (
        f'{row["name"]:22}{row["threads"]:8d}{row["rounds"]:7d}{plain:>11}{ours:>11}'
        f'{number(row["ratio"], ".2f"):>8}{goal:>8}{verdict(row):>9}'
        f'{number(row["difference"], ".1e"):>12}{saved:>8}'
        f'{number(memory.get("goal"), ".2f", "≤ "):>7}{verdict(memory):>9}'
    )


def number(value, form, before=''):
    return '-' if value is None else f'{before}{value:{form}}'


def verdict(facts):
    return {True: 'yes', False: 'NO', None: '-'}[facts.get('reached')]


def profile_lines(row):
    """Where the time of ours goes, as text."""

    def shares(part):
        return (
            ', '.join(f'{name} {share:.0%}' for name, share in profile[part]) or 'nothing above 1 %'
        )

    profile = row['profile']
    lines = [
        f'\n{row["name"]}, {row["threads"]} threads: where the time of ours goes',
        f'  kernels:   {shares("kernels")}',
    ]
    if 'device_kernels' in profile:
        lines += [f'  on device: {shares("device_kernels")}; idle {profile["device_idle"]:.0%}']
    lines += [f'  functions: {shares("functions")}']
    if 'flops' in profile:
        lines += [
            f'  {profile["flops"] / 1e9:.1f} GFLOP, {profile["share_of_limit"]:.0%} of the '
            'arithmetic limit '
            f'{profile["peak_flops"] / 1e9:.0f} GFLOP/s ({profile["dtype"]} products)'
        ]
    return lines


def machine(settings):
    """What the numbers were measured on, and with what."""
    accelerator = (
        torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    )
    return {
        'cpu': _cpu(),
        'cores': os.cpu_count(),
        'memory_bytes': _memory(),
        'os': platform.platform(),
        'python': platform.python_version(),
        'torch': torch.__version__,
        'numpy': np.__version__,
        'device': settings.device.type,
        'accelerator': accelerator and torch.get_device_module().get_device_name(),
        'threads': torch.get_num_threads(),
        'git': git_state(),
        'date': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        'command': sys.argv,
    }


def _memory():
    return (
        os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') if hasattr(os, 'sysconf') else None
    )  # not on Windows


def _cpu():
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return platform.processor()
    return next(
        (text.partition(':')[2].strip() for text in lines if text.startswith('model name')),
        platform.machine(),
    )


def finite(value):
    """JSON knows no infinity and no NaN: null instead."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


if __name__ == '__main__':
    sys.exit(exit_code(main))
