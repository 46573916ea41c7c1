"""Memory of a way: on the CPU measured in a separate process, on a device by its counters."""

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
    """Time one call of a way in a new process, and measure its memory.

    Args:
        ways: Opens the ways in that process; picklable.
        name: 'plain' or 'ours'.
        threads: Number of CPU threads.
        accelerator: Device that the way uses, or None. With a device, a first call that is not
            timed starts the device and loads its kernels, and the result has 'device_peak_bytes'.

    Returns:
        'seconds', 'peak_bytes' of the whole process, and 'extra_bytes', which the call added.
        Bytes are None on systems without /proc (macOS).
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
        return pool.submit(measure, ways, name, threads, accelerator).result()


def measure(
    ways: Callable[[], AbstractContextManager[Ways]],
    name: str,
    threads: int,
    accelerator: torch.device | None = None,
) -> Facts:
    """Measure one way in this process; ``in_fresh_process`` runs this in a new one."""
    with use_threads(threads), ways() as ready:
        call = ready.by_name()[name]
        if accelerator:
            make_runtime(accelerator.type)  # sets the kernel options of torch as in training
            call()
        gc.collect()
        before = _reset_peak()
        seconds = seconds_of(call)
        peak = _status('VmHWM')
        extra = None if peak is None or before is None else peak - before
        facts: Facts = {'seconds': seconds, 'peak_bytes': peak, 'extra_bytes': extra}
        if accelerator:
            facts['device_peak_bytes'] = torch.accelerator.max_memory_allocated()
    return facts


def _reset_peak() -> int | None:
    """Reset the peak of resident memory to the current amount; return it."""
    with contextlib.suppress(OSError):
        Path('/proc/self/clear_refs').write_text('5', encoding='ascii')
    return _status('VmHWM')


def _status(field: str) -> int | None:
    """Return a field of /proc/self/status in bytes, None if there is none."""
    try:
        lines = Path('/proc/self/status').read_text(encoding='ascii').splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(f'{field}:'):
            return int(line.split()[1]) * 1024
    return None


def memory_ratio(memory: Mapping[str, Facts]) -> float:
    """Return our memory / plain memory, as added to the peak by the calls; NaN if not measured."""
    plain, ours = (memory.get(name, {}).get('extra_bytes') for name in ('plain', 'ours'))
    return ours / plain if plain and ours is not None else math.nan


def device_memory(ways: Ways) -> Facts:
    """Return the peak memory of the device during a call of each way, and what the call added."""
    facts: Facts = {}
    for name, call in ways.by_name().items():
        torch.accelerator.reset_peak_memory_stats()
        before = torch.accelerator.memory_allocated()
        call()
        peak = torch.accelerator.max_memory_allocated()
        facts[name] = {'peak_bytes': peak, 'extra_bytes': peak - before}
    return facts
