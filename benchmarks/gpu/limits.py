"""Parts about limits: a clear error when memory runs out, and no waiting for the device.

A part is a function of (settings, folder) that returns a ``Finding``. ``folder`` is an empty folder
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

LITTLE_MEMORY = 2.0  # 10⁹ bytes, enough for the weights of RN50 but not for a batch


def memory(settings: Settings, folder: Path) -> Finding:
    """Train RN50 with too little memory; the training must end with a one-line error."""
    limit_memory(settings.device, LITTLE_MEMORY)
    wrong = []
    try:
        train(tiger_arguments('RN50', settings, folder))
    except InputError as error:
        line = str(error)
        if not line.startswith('out of memory') or '\n' in line:
            wrong.append('the training ended with another error')
        return Finding(line, {'line': line}, wrong)
    if not settings.on_cpu:
        wrong.append(f'{LITTLE_MEMORY} GB were enough, so this part proves nothing')
    return Finding('the training finished', {}, wrong)


def waits(settings: Settings, folder: Path) -> Finding:
    """Check that iterations do not wait for the device.

    A training with twice as many iterations must wait equally often. The remaining waits are at the
    end of epochs and when states are saved.
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
        f'{more.total()} more waits with twice as many iterations; {counts[0].total()} waits in a '
        'training of two epochs'
    )
    wrong = [f'{line} waits {count} more times' for line, count in more.most_common(5)]
    return Finding(text, {'waits': [dict(count) for count in counts]}, wrong)


@contextlib.contextmanager
def noted_waits(device: torch.device) -> Iterator[list[str]]:
    """Collect the lines of Python, 'file:number', that wait for the device in a ``with`` block.

    Yields:
        A list that is filled at the end of the block. It stays empty on the CPU.
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
