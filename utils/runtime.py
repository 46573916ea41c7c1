"""Device, precision and randomness: settled once, above the loops. The only file that knows about CUDA."""
import contextlib
import logging
import random
from typing import NamedTuple

import numpy as np
import torch

from utils.errors import InputError

logger = logging.getLogger('transreid')


class Runtime(NamedTuple):
    """What a loop needs to know of the machine."""

    device: torch.device
    autocast: object  # () -> context of the forward pass; does nothing in full precision
    scaler: torch.amp.GradScaler  # passes everything through unless the precision is fp16
    precision: str  # 'fp32', 'bf16' or 'fp16'

    def move(self, tensor):
        """To the device; asynchronously where the tensor's memory is pinned."""
        return tensor.to(self.device, non_blocking=True)

    @property
    def comparing(self):
        """Where features are compared and ranked: where they are, if that device has the sparse products of re-ranking."""
        return torch.device('cpu') if self.device.type == 'mps' else self.device

    def look_period(self, period):
        """Iterations between looks at the loss: ``period`` on an accelerator, which a look waits for; 1 on the CPU."""
        return 1 if self.device.type == 'cpu' else period


def make_runtime(device='cuda', amp='auto'):
    """Settle device and precision.

    Parameters
    ----------
    device : {'cuda', 'cpu', 'mps'}
        The CPU is taken, with a warning, where there is no such device.
    amp : {'auto', 'off', 'bf16', 'fp16'}
        'auto' = bf16 on a GPU that has it, else fp16 with gradient scaling; off elsewhere.
    """
    device = _device(device)
    if device.type == 'cuda':
        torch.backends.cudnn.allow_tf32 = False  # else convolutions in float32 would keep 10 bits of it: tests, validation
    precision = {'auto': _best_precision(device), 'off': 'fp32'}.get(amp, amp)
    if precision == 'fp16' and device.type != 'cuda':
        raise InputError(f'SOLVER.AMP fp16 needs a CUDA GPU, the device is {device.type}; choose auto, off or bf16')
    if precision == 'fp32':
        autocast = contextlib.nullcontext
    else:
        dtype = torch.bfloat16 if precision == 'bf16' else torch.float16

        def autocast():
            return torch.autocast(device.type, dtype=dtype)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == 'fp16')
    return Runtime(device, autocast, scaler, precision)


def _device(name):
    there = {'cuda': torch.cuda.is_available, 'mps': torch.backends.mps.is_available, 'cpu': lambda: True}
    if not there[name]():
        logger.warning('MODEL.DEVICE is %r, but there is none here: the CPU is used', name)
        name = 'cpu'
    return torch.device(name)


def _best_precision(device):
    if device.type != 'cuda':
        return 'fp32'
    return 'bf16' if torch.cuda.is_bf16_supported() else 'fp16'


def device_text(device):
    """For people: 'cuda (NVIDIA H200)', 'cpu (2 threads)'."""
    if device.type == 'cuda':
        return f'cuda ({torch.cuda.get_device_name(device)})'
    return f'{device.type} ({torch.get_num_threads()} threads)'


def wants_pinned_memory(device):
    """Whether batches should lie in pinned memory on their way to the device."""
    return device.type == 'cuda'


def seed_everything(seed):
    """Python's, NumPy's and torch's generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
