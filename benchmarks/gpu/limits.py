"""Parts about what a training must not do: run out of memory without a word, wait for the device.

A part is a function of (settings, folder) that returns a ``Finding``; ``folder`` is an empty one
for its files.
"""

import contextlib
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.core import Settings
from benchmarks.gpu.findings import Finding
from benchmarks.gpu.trainings import demo_arguments, epochs, limit_memory, tiger_arguments, train
from utils.errors import InputError

LITTLE_MEMORY = 2.0  # 10⁹ bytes: enough for RN50's weights, not for a batch


def memory(settings: Settings, folder: Path) -> Finding:
    """RN50 where memory ends early: the training must end with one line that says so."""
    limit_memory(settings.device, LITTLE_MEMORY)
    wrong = []
    try:
        train(tiger_arguments('RN50', settings, folder))
    except InputError as error:
        line = str(error)
        if not line.startswith('out of memory') or '\n' in line:
            wrong.append('ended with another error')
        return Finding(line, {'line': line}, wrong)
    if not settings.on_cpu:
        wrong.append(f'{LITTLE_MEMORY} GB were enough: nothing is shown')
    return Finding('trained to the end', {}, wrong)


def waits(settings: Settings, folder: Path) -> Finding:
    """Iterations must not wait for the device: twice as many wait as often.

    The waits that remain are at the ends of epochs and states.
    """
    counts = []
    for photos in (32, 16):
        opts: list[object] = [*epochs(1, 1)]
        for stage in ('STAGE1', 'STAGE2'):
            opts += [f'SOLVER.{stage}.IMS_PER_BATCH', photos, f'SOLVER.{stage}.LOG_PERIOD', 1000]
        arguments = demo_arguments(settings, folder, f'output{photos}', *opts)
        with noted_waits(settings.device) as lines:
            train(arguments)
        counts.append(Counter(lines))
    more = counts[1] - counts[0]
    text = (
        f'{more.total()} more waits in twice as many iterations; {counts[0].total()} in a '
        'training of two epochs'
    )
    wrong = [f'{line} waits {count} times more' for line, count in more.most_common(5)]
    return Finding(text, {'waits': [dict(count) for count in counts]}, wrong)


@contextlib.contextmanager
def noted_waits(device: torch.device) -> Iterator[list[str]]:
    """Yields a list: the lines of Python, 'file:number', that waited for the device.

    It is filled at the end, and stays empty on the CPU.
    """
    lines: list[str] = []
    if device.type == 'cpu':
        yield lines
        return
    backend = torch.get_device_module(device)
    backend.set_sync_debug_mode('warn')
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            yield lines
    finally:
        backend.set_sync_debug_mode('default')
    for warning in caught:
        if 'synchronizing' in str(warning.message):
            lines.append(f'{Path(warning.filename).name}:{warning.lineno}')
