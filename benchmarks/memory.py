"""How much memory a way takes: on the CPU in a process of its own, on a device by its counters."""

import contextlib
import gc
import math
import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from benchmarks.core import Facts, Ways, seconds_of, use_threads
from utils.device import make_runtime


def in_fresh_process(
    ways: Callable[[], AbstractContextManager[Ways]],
    name: str,
    threads: int,
    accelerator: torch.device | None = None,
) -> Facts:
    """Time one call of one way in a new process, and measure its memory.

    Args:
        ways: opens the ways there; picklable.
        name: 'plain' or 'ours'.
        threads: of the CPU.
        accelerator: the device that the way uses, if it does: it is called once before, which
            starts the device and loads its kernels, and 'device_peak_bytes' is added.

    Returns:
        'seconds', 'peak_bytes' of the whole process and 'extra_bytes', what of it the call added.
        Bytes are None where there is no /proc (macOS).
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
        return pool.submit(measure, ways, name, threads, accelerator).result()


def measure(
    ways: Callable[[], AbstractContextManager[Ways]],
    name: str,
    threads: int,
    accelerator: torch.device | None = None,
) -> Facts:
    """What ``in_fresh_process`` does there."""
    with use_threads(threads), ways() as ready:
        call = ready.by_name()[name]
        if accelerator:
            make_runtime(accelerator.type)  # the settings of its kernels
            call()
        gc.collect()
        before = _forget_peak()
        seconds = seconds_of(call)
        peak = _status('VmHWM')
        extra = None if peak is None or before is None else peak - before
        facts: Facts = {'seconds': seconds, 'peak_bytes': peak, 'extra_bytes': extra}
        if accelerator:
            facts['device_peak_bytes'] = torch.accelerator.max_memory_allocated()
    return facts


def _forget_peak() -> int | None:
    """Set the process's peak of resident memory back to what it has now; returns that."""
    with contextlib.suppress(OSError):
        Path('/proc/self/clear_refs').write_text('5', encoding='ascii')
    return _status('VmHWM')


def _status(field: str) -> int | None:
    """A field of /proc/self/status in bytes, None where there is none."""
    try:
        lines = Path('/proc/self/status').read_text(encoding='ascii').splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(f'{field}:'):
            return int(line.split()[1]) * 1024
    return None


def memory_ratio(memory: Mapping[str, Facts]) -> float:
    """Ours / plain of what the calls added to the peak; NaN where it is not measured."""
    plain, ours = (memory.get(name, {}).get('extra_bytes') for name in ('plain', 'ours'))
    return ours / plain if plain and ours is not None else math.nan


def device_memory(ways: Ways) -> Facts:
    """The device's peak memory during a call of each way, and what of it the call added."""
    facts: Facts = {}
    for name, call in ways.by_name().items():
        torch.accelerator.reset_peak_memory_stats()
        before = torch.accelerator.memory_allocated()
        call()
        peak = torch.accelerator.max_memory_allocated()
        facts[name] = {'peak_bytes': peak, 'extra_bytes': peak - before}
    return facts
