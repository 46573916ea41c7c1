"""How the benchmark measures: a case has two ways to one result; they run in turns. Medians,
difference, memory, profile.
"""

import contextlib
import cProfile
import functools
import gc
import math
import multiprocessing
import pstats
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from utils.device import make_runtime
from utils.linear import linear

ROUNDS, QUICK_ROUNDS = 5, 2
PRODUCT = 4096  # rows of the square matrices whose product gives the arithmetic limit
TOP = 8  # lines of a profile


@dataclass(frozen=True)
class Settings:
    """What the builders of cases are told. quick: sizes for a run of all cases in two minutes;
    photos: of a training step;
    options: KEY VALUE pairs for the models' configs."""

    quick: bool = False
    device: torch.device = torch.device('cpu')
    seed: int = 1
    photos: int | None = None
    profile: bool = False
    options: tuple = ()


@dataclass(frozen=True)
class Ways:
    """Both ways to the result, ready to be called: () -> arrays, tensors, numbers, or tuples,
    lists, dicts of them.

    plain: the specification's formulation; None: there is none to compare with.
    reset: called before every warm-up, not timed: puts back what earlier calls have changed (a
    trained model).
    flops: () -> floating-point operations of one call of ours, a multiply-add counted as two; see
    ``count_flops``.
    dtype: of the products among them, whose limit they are compared with.
    """

    ours: Callable
    plain: Callable | None = None
    reset: Callable | None = None
    flops: Callable | None = None
    dtype: torch.dtype = torch.float32


def relative_difference(plain, ours):
    """Largest |plain − ours| of an array over the largest |plain| in it; of nested results the
    largest of all.
    """
    if isinstance(plain, Mapping):
        if plain.keys() != ours.keys():
            return math.inf
        return max((relative_difference(plain[key], ours[key]) for key in plain), default=0.0)
    if isinstance(plain, (tuple, list)):
        if len(plain) != len(ours):
            return math.inf
        return max((relative_difference(*pair) for pair in zip(plain, ours)), default=0.0)
    plain, ours = (
        np.asarray(x.detach().float().cpu() if isinstance(x, torch.Tensor) else x)
        for x in (plain, ours)
    )
    if plain.shape != ours.shape:
        return math.inf
    if plain.size == 0:
        return 0.0
    plain, ours = plain.astype(np.float64), ours.astype(np.float64)
    scale, largest = np.abs(plain).max(), np.abs(plain - ours).max()
    return float(largest / scale if scale else largest) if np.isfinite(largest) else math.inf


@dataclass(frozen=True)
class Case:
    """One row of the table.

    name: what ``--only`` looks for; title: for people.
    ways: () -> context manager that yields ``Ways``: allocates when the row runs, and gives back
    afterwards. Where ``memory`` is asked it must be picklable: functools.partial of a function of a
    module.
    goal: plain seconds / ours, on the CPU at one thread; limit: seconds that ours may take; None:
    no goal.
    tolerance: what ``difference(plain result, ours result)`` may be.
    threaded: False: the row runs once, at one thread, as more do not matter or would take too long.
    rounds: fewer or more than usual.
    memory: measure the peak of each way in a process of its own; memory_goal: ours / plain.
    """

    name: str
    title: str
    ways: Callable
    goal: float | None = None
    limit: float | None = None
    tolerance: float = 1e-4
    difference: Callable = relative_difference
    threaded: bool = True
    rounds: int | None = None
    memory: bool = False
    memory_goal: float | None = None


def run_case(case, settings, threads, rounds):
    """Measure a case at a number of threads; returns its row as a dict for JSON. Goals are for full
    size on one CPU thread.
    """
    judged = (
        settings.device.type == 'cpu' and not settings.quick and (threads == 1 or not case.threaded)
    )
    row = {
        'name': case.name,
        'title': case.title,
        'threads': threads,
        'goal': case.goal if judged else None,
        'limit_s': case.limit if judged else None,
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
        if row['reached'] is False or settings.profile or settings.device.type != 'cpu':
            row['profile'] = profile(ways, row['ours']['median_s'], threads, settings.device)
        if settings.device.type != 'cpu':
            row['memory'] = _device_memory(ways)
    gc.collect()
    if case.memory and settings.device.type == 'cpu':
        row['memory'] = {name: in_fresh_process(case.ways, name, threads) for name in _names(ways)}
        if case.memory_goal and 'plain' in row['memory']:
            row['memory'] |= {
                'goal': case.memory_goal,
                'reached': memory_ratio(row['memory']) <= case.memory_goal,
            }
    return row


def _reached(row):
    if row['limit_s'] is not None:
        return row['ours']['median_s'] <= row['limit_s']
    return None if row['goal'] is None else row['ratio'] >= row['goal']


def _names(ways):
    return ['plain', 'ours'] if ways.plain else ['ours']


def time_in_turns(ways, rounds, difference=relative_difference):
    """Warm up and compare, then plain, ours, ours, plain, plain, ours …; all seconds, their medians
    and the ratio.
    """
    names = _names(ways)
    if ways.reset:
        ways.reset()
    warm = {name: getattr(ways, name)() for name in names}
    facts = {'difference': float(difference(warm['plain'], warm['ours'])) if ways.plain else None}
    del warm
    seconds = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            seconds[name].append(seconds_of(getattr(ways, name)))
    for name in names:
        facts[name] = {'median_s': statistics.median(seconds[name]), 'seconds': seconds[name]}
    facts['ratio'] = facts['plain']['median_s'] / facts['ours']['median_s'] if ways.plain else None
    return facts | {'rounds': rounds}


def seconds_of(function):
    """Wall clock of one call, the device's work included."""
    synchronize()
    start = time.perf_counter()
    function()
    synchronize()
    return time.perf_counter() - start


def synchronize():
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


@contextlib.contextmanager
def use_threads(threads):
    """This many threads for torch and for NumPy's BLAS."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads, user_api='blas'):
            yield
    finally:
        torch.set_num_threads(before)


# Memory


def in_fresh_process(ways, name, threads, accelerator=None):
    """One call of one way in a new process: {'seconds', 'peak_bytes', 'extra_bytes'}, the peak of
    the whole process and what of it the call added. Bytes are None where there is no /proc (macOS).

    accelerator: the device that the way uses, if it does: it is called once before, which starts
    the device and loads its kernels, and 'device_peak_bytes' is added.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
        return pool.submit(measure, ways, name, threads, accelerator).result()


def measure(ways, name, threads, accelerator=None):
    """What ``in_fresh_process`` does there."""
    with use_threads(threads), ways() as ready:
        call = getattr(ready, name)
        if accelerator:
            make_runtime(accelerator.type)  # the settings of its kernels
            call()
        gc.collect()
        before = _forget_peak()
        seconds = seconds_of(call)
        peak = _status('VmHWM')
        on_device = (
            {'device_peak_bytes': torch.accelerator.max_memory_allocated()} if accelerator else {}
        )
    return {
        'seconds': seconds,
        'peak_bytes': peak,
        'extra_bytes': peak - before if peak else None,
        **on_device,
    }


def _forget_peak():
    """Set the process's peak of resident memory back to what it has now; returns that."""
    with contextlib.suppress(OSError):
        Path('/proc/self/clear_refs').write_text('5', encoding='ascii')
    return _status('VmHWM')


def _status(field):
    """A field of /proc/self/status in bytes, None where there is none."""
    try:
        lines = Path('/proc/self/status').read_text(encoding='ascii').splitlines()
    except OSError:
        return None
    return next(
        (int(line.split()[1]) * 1024 for line in lines if line.startswith(f'{field}:')), None
    )


def memory_ratio(memory):
    """Ours / plain of what the calls added to the peak; NaN where it is not measured."""
    plain, ours = (memory.get(name, {}).get('extra_bytes') for name in ('plain', 'ours'))
    return ours / plain if plain and ours is not None else math.nan


def _device_memory(ways):
    facts = {}
    for name in _names(ways):
        torch.accelerator.reset_peak_memory_stats()
        before = torch.accelerator.memory_allocated()
        getattr(ways, name)()
        peak = torch.accelerator.max_memory_allocated()
        facts[name] = {'peak_bytes': peak, 'extra_bytes': peak - before}
    return facts


# Where the time goes


@functools.cache
def product_peak(threads, device, dtype=torch.float32):
    """The arithmetic limit in FLOP/s: a large product of matrices, the better library's best of
    three.
    """
    size = PRODUCT if device.type == 'cpu' else 2 * PRODUCT  # too short for an accelerator else
    with use_threads(threads):
        a, b = (torch.ones(size, size, device=device, dtype=dtype) for _ in range(2))
        out = a @ b
        ways = (lambda: torch.mm(a, b, out=out)), (lambda: linear(a, b))
        return 2 * size**3 / min(seconds_of(way) for way in ways for _ in range(3))


def count_flops(function):
    """Floating-point operations of one call: products, convolutions and attention, forward and
    backward.
    """
    from torch.utils.flop_counter import FlopCounterMode

    torch.backends.mkldnn.set_flags(False)  # oneDNN's products are not counted: take torch's own
    try:
        with FlopCounterMode(display=False) as counter:
            function()
    finally:
        torch.backends.mkldnn.set_flags(True)
    return float(counter.get_total_flops())


def profile(ways, median, threads, device):
    """Why ours takes its time: the largest kernels and Python functions as shares of one call, and
    the arithmetic.

    On a device also the share of the median in which none of its kernels ran.
    """
    with torch.profiler.profile() as profiler:
        wall = seconds_of(ways.ours)
    events = profiler.key_averages()
    facts = {
        'kernels': _top({event.key: event.self_cpu_time_total / 1e6 for event in events}, wall)
    }
    if device.type != 'cpu':
        busy = {
            event.key: event.self_device_time_total / 1e6
            for event in events  # kernels, not what launched or spans them
            if event.device_type != torch.autograd.DeviceType.CPU and not event.is_user_annotation
        }
        facts |= {
            'device_kernels': _top(busy, wall),
            'device_idle': max(0.0, 1 - sum(busy.values()) / median),
        }
    python = cProfile.Profile()
    wall = seconds_of(lambda: python.runcall(ways.ours))
    facts['functions'] = _top(
        {
            f'{Path(file).name}:{line} {name}': own
            for (file, line, name), (_, _, own, _, _) in pstats.Stats(python).stats.items()
        },
        wall,
    )
    if ways.flops:
        peak, flops = product_peak(threads, device, ways.dtype), ways.flops()
        facts |= {
            'flops': flops,
            'peak_flops': peak,
            'share_of_limit': flops / median / peak,
            'dtype': str(ways.dtype).removeprefix('torch.'),
        }
    return facts


def _top(seconds, wall):
    """[[name, share of the wall clock]], the largest first, from 1 % on."""
    largest = sorted(seconds.items(), key=lambda item: -item[1])[:TOP]
    return [[name, own / wall] for name, own in largest if own >= 0.01 * wall]
