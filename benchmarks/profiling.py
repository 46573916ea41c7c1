"""Profiles of a way: its kernels, Python functions, and share of the arithmetic limit."""

import cProfile
import functools
import pstats
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.core import Facts, Ways, seconds_of, use_threads
from utils.linear import linear

PRODUCT = 4096  # rows of the square matrices whose product measures the arithmetic limit
TOP = 8  # entries in a profile
Shares = list[list[str | float]]  # [name, share of the wall clock], the largest first


@functools.cache
def product_peak(threads: int, device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Return the arithmetic limit in FLOP/s, from a large matrix product.

    This is the best of three runs of each of two libraries.
    """
    # A product of PRODUCT rows takes an accelerator too little time to be measured.
    size = PRODUCT if device.type == 'cpu' else 2 * PRODUCT
    with use_threads(threads):
        a, b = (torch.ones(size, size, device=device, dtype=dtype) for _ in range(2))
        out = a @ b
        seconds = []
        for _ in range(3):
            seconds.append(seconds_of(lambda: torch.mm(a, b, out=out)))
            seconds.append(seconds_of(lambda: linear(a, b)))
        return 2 * size**3 / min(seconds)


def count_flops(function: Callable[[], object]) -> float:
    """Count the floating-point operations of one call, forward and backward.

    Products, convolutions and attention are counted.
    """
    torch.backends.mkldnn.set_flags(False)  # the counter does not see the products of oneDNN
    try:
        with FlopCounterMode(display=False) as counter:
            function()
    finally:
        torch.backends.mkldnn.set_flags(True)
    return float(counter.get_total_flops())


def profile(ways: Ways, median: float, threads: int, device: torch.device) -> Facts:
    """Show where ``ways.ours`` spends its time.

    Args:
        ways: Ways; ``ours`` is called twice.
        median: Seconds of a call without a profiler.
        threads: Number of CPU threads.
        device: Device on which the call works.

    Returns:
        The largest kernels and Python functions as shares of one call, and the arithmetic. On an
        accelerator also the share of the median during which none of its kernels ran.
    """
    facts = _kernels(ways, median, device)
    python = cProfile.Profile()
    wall = seconds_of(lambda: python.runcall(ways.ours))
    facts['functions'] = _top(_functions(python), wall)
    if ways.flops:
        peak, flops = product_peak(threads, device, ways.dtype), ways.flops()
        facts |= {
            'flops': flops,
            'peak_flops': peak,
            'share_of_limit': flops / median / peak,
            'dtype': str(ways.dtype).removeprefix('torch.'),
        }
    return facts


def _kernels(ways: Ways, median: float, device: torch.device) -> Facts:
    with torch.profiler.profile() as profiler:
        wall = seconds_of(ways.ours)
    events = profiler.key_averages()
    on_cpu = {event.key: event.self_cpu_time_total / 1e6 for event in events}
    facts: Facts = {'kernels': _top(on_cpu, wall)}
    if device.type == 'cpu':
        return facts
    busy = {}
    for event in events:  # only kernels, without the events that launch or span them
        if event.device_type != torch.autograd.DeviceType.CPU and not event.is_user_annotation:
            busy[event.key] = event.self_device_time_total / 1e6
    idle = max(0.0, 1 - sum(busy.values()) / median)
    return facts | {'device_kernels': _top(busy, wall), 'device_idle': idle}


def _functions(python: cProfile.Profile) -> dict[str, float]:
    """Return the seconds spent in each Python function itself."""
    stats = cast('dict[tuple[str, int, str], tuple]', vars(pstats.Stats(python))['stats'])
    seconds = {}
    for (file, line, name), (_, _, own, *_) in stats.items():
        seconds[f'{Path(file).name}:{line} {name}'] = own
    return seconds


def _top(seconds: Mapping[str, float], wall: float) -> Shares:
    """Return the largest entries, down to 1 % of the wall-clock time."""
    largest = sorted(seconds.items(), key=lambda item: -item[1])[:TOP]
    return [[name, own / wall] for name, own in largest if own >= 0.01 * wall]
