"""The description of the machine in the files of benchmarks/results."""

import datetime
import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.core import Facts, Settings
from utils.run.provenance import git_state

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / 'benchmarks/results'


def machine(settings: Settings) -> Facts:
    """Describe the machine and the versions that the numbers were measured with."""
    accelerator = None
    if torch.accelerator.is_available():
        accelerator = torch.get_device_module().get_device_name()
    return {
        'cpu': _cpu(),
        'cores': os.cpu_count(),
        'memory_bytes': _memory(),
        'os': platform.platform(),
        'python': platform.python_version(),
        'torch': torch.__version__,
        'numpy': np.__version__,
        'device': settings.device.type,
        'accelerator': accelerator,
        'threads': torch.get_num_threads(),
        'git': git_state(),
        'date': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        'command': sys.argv,
    }


def _memory() -> int | None:
    if not hasattr(os, 'sysconf'):  # Windows
        return None
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')


def _cpu() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return platform.processor()
    names = [text.partition(':')[2].strip() for text in lines if text.startswith('model name')]
    return names[0] if names else platform.machine()


def finite(value: Any) -> Any:
    """Replace infinity and NaN, which JSON does not have, with None."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
