"""How the benchmark measures: a case has two ways to one result, which run in turns."""

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

Facts = dict[str, Any]  # what was measured, ready for JSON


@dataclass(frozen=True)
class Settings:
    """What the builders of cases need to know.

    quick: sizes with which all cases run in two minutes. photos: in a training step, None: as many
    as suit the device. profile: say of every row where the time goes. options: KEY VALUE pairs for
    the models' configs.
    """

    quick: bool = False
    device: torch.device = torch.device('cpu')
    seed: int = 1
    photos: int | None = None
    profile: bool = False
    options: tuple[str, ...] = ()

    @property
    def on_cpu(self) -> bool:
        """Whether the device is the CPU: goals, numbers of threads and /proc are the CPU's."""
        return self.device.type == 'cpu'


@dataclass(frozen=True)
class Ways:
    """Both ways to a result, ready to be called.

    A way returns arrays, tensors, numbers, or tuples, lists and dicts of them.

    ours: the product's path. plain: the specification's formulation; None: there is none.
    reset: called before every warm-up, not timed: undoes what earlier calls changed (a trained
    model). flops: floating-point operations of one call of ours, a multiply-add counted as two; see
    ``profiling.count_flops``. dtype: of the products among them, whose limit they are compared
    with.
    """

    ours: Callable[[], object]
    plain: Callable[[], object] | None = None
    reset: Callable[[], None] | None = None
    flops: Callable[[], float] | None = None
    dtype: torch.dtype = torch.float32

    def by_name(self) -> dict[str, Callable[[], object]]:
        """The ways there are: plain first, so that it comes first in the first turn."""
        return {'plain': self.plain, 'ours': self.ours} if self.plain else {'ours': self.ours}


def relative_difference(plain: Any, ours: Any) -> float:
    """Largest |plain − ours| of an array over the largest |plain| in it.

    Args:
        plain: an array, a tensor, a number, or nested tuples, lists and dicts of them.
        ours: the same kind of thing.

    Returns:
        The largest difference of all arrays; infinity where shapes or keys differ, or a number is
        not finite.
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

    name: what ``--only`` looks for; title: for people.
    ways: opens the ways: allocates when the row runs, and frees afterwards. Where ``memory`` is
    asked it must be picklable: functools.partial of a function of a module.
    goal: plain seconds / ours, on the CPU at one thread; limit: seconds that ours may take; None:
    no goal.
    tolerance: what ``difference(plain result, ours result)`` may be.
    threaded: False: the row runs once, at one thread, as more do not matter or would take too long.
    rounds: fewer or more than usual.
    memory: measure the peak of each way in a process of its own; memory_goal: ours / plain.
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
    """Warm up and compare, then time plain, ours, ours, plain, plain, ours …

    Returns:
        The difference of the results, of each way all seconds and their median, and the medians'
        ratio. Difference and ratio are None where there is no plain way.
    """
    if ways.reset:
        ways.reset()
    calls = ways.by_name()
    results = {name: call() for name, call in calls.items()}
    facts: Facts = {'difference': None, 'ratio': None, 'rounds': rounds}
    if ways.plain:
        facts['difference'] = float(difference(results['plain'], results['ours']))
    del results  # their memory is the timed calls'
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
    """Wall clock of one call, the device's work included."""
    synchronize()
    start = time.perf_counter()
    function()
    synchronize()
    return time.perf_counter() - start


def synchronize() -> None:
    """Wait until the accelerator, where there is one, has done all its work."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


@contextlib.contextmanager
def use_threads(threads: int) -> Iterator[None]:
    """This many threads for torch and for NumPy's BLAS."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads, user_api='blas'):
            yield
    finally:
        torch.set_num_threads(before)
