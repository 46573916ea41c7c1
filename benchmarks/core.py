"""The core of the benchmark: a case has two ways to compute one result, timed in turns."""

import contextlib
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

ROUNDS, QUICK_ROUNDS = 5, 2

Facts = dict[str, Any]  # measurements, ready for JSON


@dataclass(frozen=True)
class Settings:
    """Settings for building cases.

    Attributes:
        quick: Whether sizes are so small that all cases run in two minutes.
        device: Device to measure.
        seed: Seed of the generated inputs.
        photos: Number of photos in a training step; None = a number that suits the device.
        profile: Whether all rows are profiled, not only those that miss their goals.
        options: KEY VALUE pairs for the configs of the models.
    """

    quick: bool = False
    device: torch.device = torch.device('cpu')
    seed: int = 1
    photos: int | None = None
    profile: bool = False
    options: tuple[str, ...] = ()

    @property
    def on_cpu(self) -> bool:
        """Whether the device is the CPU; only then goals, threads and /proc are meaningful."""
        return self.device.type == 'cpu'


@dataclass(frozen=True)
class Ways:
    """Both ways to compute a result, ready to be called.

    A way returns arrays, tensors, numbers, or tuples, lists and dicts of them.

    Attributes:
        ours: The code of the project.
        plain: The formulation of the specification; None if there is none.
        reset: Undoes changes by earlier calls, for example restores a trained model. It is called
            before every warm-up and not timed.
        flops: Returns the floating-point operations of one call of ``ours``, with a multiply-add
            counted as two; see ``profiling.count_flops``.
        dtype: Type of the matrix products in ``ours``, for comparison with the arithmetic limit.
    """

    ours: Callable[[], object]
    plain: Callable[[], object] | None = None
    reset: Callable[[], None] | None = None
    flops: Callable[[], float] | None = None
    dtype: torch.dtype = torch.float32

    def by_name(self) -> dict[str, Callable[[], object]]:
        """Return the existing ways by name, plain first, so that the first round starts with it."""
        return {'plain': self.plain, 'ours': self.ours} if self.plain else {'ours': self.ours}


def relative_difference(plain: Any, ours: Any) -> float:
    """Return the largest |plain − ours| of an array divided by its largest |plain|.

    Args:
        plain: Array, tensor, number, or nested tuples, lists and dicts of them.
        ours: Value of the same structure.

    Returns:
        The largest relative difference of all arrays; infinity if shapes or keys differ, or a
        number is not finite.
    """
    if isinstance(plain, Mapping):
        if plain.keys() != ours.keys():
            return math.inf
        return max((relative_difference(plain[key], ours[key]) for key in plain), default=0.0)
    if isinstance(plain, (tuple, list)):
        if len(plain) != len(ours):
            return math.inf
        return max((relative_difference(*pair) for pair in zip(plain, ours)), default=0.0)
    plain, ours = _array(plain), _array(ours)
    if plain.shape != ours.shape:
        return math.inf
    if plain.size == 0:
        return 0.0
    plain, ours = plain.astype(np.float64), ours.astype(np.float64)
    largest = np.abs(plain - ours).max()
    if not np.isfinite(largest):
        return math.inf
    scale = np.abs(plain).max()
    return float(largest / scale) if scale else float(largest)


def _array(value: Any) -> np.ndarray:
    return np.asarray(value.detach().float().cpu() if isinstance(value, torch.Tensor) else value)


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        name: Name that ``--only`` searches.
        title: Description for readers.
        ways: Opens the ways: allocates memory when the row runs, and frees it afterwards. If
            ``memory`` is true it must be picklable: a functools.partial of a module's function.
        goal: Least ratio of plain seconds / our seconds, on the CPU with one thread; None = no
            goal.
        limit: Most seconds that ours may take; None = no limit.
        tolerance: Largest allowed value of ``difference(plain result, our result)``.
        difference: Compares the two results.
        threaded: Whether the row runs with several numbers of threads; False = only with one,
            because more threads do not matter or would take too long.
        rounds: Number of rounds; None = the default.
        memory: Whether the peak memory of each way is measured in a separate process.
        memory_goal: Largest ratio of our memory / plain memory; None = no goal.
    """

    name: str
    title: str
    ways: Callable[[], AbstractContextManager[Ways]]
    goal: float | None = None
    limit: float | None = None
    tolerance: float = 1e-4
    difference: Callable[[Any, Any], float] = relative_difference
    threaded: bool = True
    rounds: int | None = None
    memory: bool = False
    memory_goal: float | None = None


def time_in_turns(
    ways: Ways, rounds: int, difference: Callable[[Any, Any], float] = relative_difference
) -> Facts:
    """Warm up and compare the ways, then time plain, ours, ours, plain, plain, ours …

    Returns:
        The difference of the results, all seconds of each way with their median, and the ratio of
        the medians. Difference and ratio are None if there is no plain way.
    """
    if ways.reset:
        ways.reset()
    calls = ways.by_name()
    results = {name: call() for name, call in calls.items()}
    facts: Facts = {'difference': None, 'ratio': None, 'rounds': rounds}
    if ways.plain:
        facts['difference'] = float(difference(results['plain'], results['ours']))
    del results  # free their memory for the timed calls
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        for name in calls if number % 2 == 0 else reversed(calls):
            seconds[name].append(seconds_of(calls[name]))
    for name in calls:
        facts[name] = {'median_s': statistics.median(seconds[name]), 'seconds': seconds[name]}
    if ways.plain:
        facts['ratio'] = facts['plain']['median_s'] / facts['ours']['median_s']
    return facts


def seconds_of(function: Callable[[], object]) -> float:
    """Return the wall-clock time of one call, including the work of the device."""
    synchronize()
    start = time.perf_counter()
    function()
    synchronize()
    return time.perf_counter() - start


def synchronize() -> None:
    """Wait until the accelerator, if any, has finished all its work."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


@contextlib.contextmanager
def use_threads(threads: int) -> Iterator[None]:
    """Use this number of threads for torch and for NumPy's BLAS within a ``with`` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads, user_api='blas'):
            yield
    finally:
        torch.set_num_threads(before)
