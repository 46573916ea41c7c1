"""Where the time of a way goes: kernels, Python functions, share of the arithmetic limit."""

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

PRODUCT = 4096  # rows of the square matrices whose product gives the arithmetic limit
TOP = 8  # lines of a profile
Shares = list[list[str | float]]  # [name, share of the wall clock], the largest first


@functools.cache
def product_peak(threads: int, device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """The arithmetic limit in FLOP/s: a large product, the better library's best of three."""
    size = PRODUCT if device.type == 'cpu' else 2 * PRODUCT  # too short for an accelerator else
    with use_threads(threads):
        a, b = (torch.ones(size, size, device=device, dtype=dtype) for _ in range(2))
        out = a @ b
        seconds = []
        for _ in range(3):
            seconds.append(seconds_of(lambda: torch.mm(a, b, out=out)))
            seconds.append(seconds_of(lambda: linear(a, b)))
        return 2 * size**3 / min(seconds)


def count_flops(function: Callable[[], object]) -> float:
    """Floating-point operations of one call, forward and backward.

    Counted are products, convolutions and attention.
    """
    torch.backends.mkldnn.set_flags(False)  # oneDNN's products are not counted: take torch's own
    try:
        with FlopCounterMode(display=False) as counter:
            function()
    finally:
        torch.backends.mkldnn.set_flags(True)
    return float(counter.get_total_flops())


def profile(ways: Ways, median: float, threads: int, device: torch.device) -> Facts:
    """Why ours takes its time.

    Args:
        ways: of which ours is called, twice.
        median: seconds of a call without a profiler.
        threads: of the CPU.
        device: where the call works.

    Returns:
        The largest kernels and Python functions as shares of one call, and the arithmetic; on a
        device also the share of the median in which none of its kernels ran.
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
    for event in events:  # kernels, not what launched or spans them
        if event.device_type != torch.autograd.DeviceType.CPU and not event.is_user_annotation:
            busy[event.key] = event.self_device_time_total / 1e6
    idle = max(0.0, 1 - sum(busy.values()) / median)
    return facts | {'device_kernels': _top(busy, wall), 'device_idle': idle}


def _functions(python: cProfile.Profile) -> dict[str, float]:
    """Seconds that each Python function took itself."""
    stats = cast('dict[tuple[str, int, str], tuple]', vars(pstats.Stats(python))['stats'])
    seconds = {}
    for (file, line, name), (_, _, own, *_) in stats.items():
        seconds[f'{Path(file).name}:{line} {name}'] = own
    return seconds


def _top(seconds: Mapping[str, float], wall: float) -> Shares:
    """The largest from 1 % of the wall clock on."""
    largest = sorted(seconds.items(), key=lambda item: -item[1])[:TOP]
    return [[name, own / wall] for name, own in largest if own >= 0.01 * wall]
