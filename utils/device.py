"""Device, precision, randomness and processes: settled once, above the loops. The only file that
knows about CUDA.
"""

import contextlib
import hashlib
import logging
import os
import random
import sys
from typing import NamedTuple

import numpy as np
import torch

from utils.distributed import SINGLE, Processes
from utils.errors import InputError, first_line
from utils.run.signals import StopRequest

try:
    import resource
except ImportError:  # Windows
    resource = None

logger = logging.getLogger('transreid')

WORKSPACES = (
    ':4096:8',
    ':16:8',
)  # of cuBLAS: with others older versions of torch fail in deterministic mode
DTYPES = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


class Runtime(NamedTuple):
    """What a loop needs to know of the machine."""

    device: torch.device
    autocast: object  # () -> context of the forward pass; does nothing in full precision
    scaler: torch.amp.GradScaler  # passes everything through unless the precision is fp16
    precision: str  # 'fp32', 'bf16' or 'fp16'
    processes: Processes = SINGLE  # that share the work, this one among them
    stop: StopRequest = StopRequest()  # by a signal

    @property
    def dtype(self):
        """What products are computed in within ``autocast``."""
        return DTYPES[self.precision]

    def move(self, tensor):
        """To the device; without waiting where memory is pinned. MPS would read the tensor after it
        is gone.
        """
        return tensor.to(self.device, non_blocking=wants_pinned_memory(self.device))

    def move_all(self, *tensors):
        """Tensors (n,) of one type to the device: in one copy, which does not wait for a GPU."""
        if self.device.type == 'cpu':
            return tensors
        packed = torch.cat(tensors)
        if wants_pinned_memory(self.device):
            packed = packed.pin_memory()
        return self.move(packed).split([len(tensor) for tensor in tensors])

    @property
    def comparing(self):
        """Where features are compared and ranked: where they are, if that device has the sparse
        products of re-ranking.
        """
        return torch.device('cpu') if self.device.type == 'mps' else self.device

    def fetch_period(self, period):
        """Iterations between looks at the loss: ``period`` on an accelerator, which a look waits
        for; 1 on the CPU.
        """
        return 1 if self.device.type == 'cpu' else period


def make_runtime(
    device='cuda', amp='auto', deterministic=False, processes=SINGLE, stop=None, compiles=False
):
    """Settle device and precision.

    Parameters
    ----------
    device : {'cuda', 'cpu', 'mps'}
        The CPU is taken, with a warning, where there is no such device. Of several processes each
        has a GPU of its own.
    amp : {'auto', 'off', 'bf16', 'fp16'}
        'auto' = bf16 on a GPU that computes in it, else fp16 with gradient scaling; off elsewhere.
    deterministic : bool
        Only kernels that add up in the same order each time; an operation without such a kernel
        raises RuntimeError.
    compiles : bool
        Whether torch.compile will be used on the device: InputError where it does not work.
    """
    device = _device(device, processes)
    if device.type == 'cuda':  # else float32 would keep 10 bits in tests, validation and losses
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False  # vendors' containers switch it on
    if deterministic and os.environ.get('CUBLAS_WORKSPACE_CONFIG') not in WORKSPACES:
        os.environ['CUBLAS_WORKSPACE_CONFIG'] = WORKSPACES[0]  # read when cuBLAS is first used
    if (
        deterministic != torch.are_deterministic_algorithms_enabled()
    ):  # it imports torch's compiler, which takes a second
        torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic
    if compiles:
        _try_compiler(device)
    precision = {'auto': _best_precision(device), 'off': 'fp32'}.get(amp, amp)
    if precision == 'fp16' and device.type != 'cuda':
        raise InputError(
            f'SOLVER.AMP fp16 needs a CUDA GPU, the device is {device.type}; choose auto, off or '
            'bf16'
        )
    if precision == 'fp32':
        autocast = contextlib.nullcontext
    else:

        def autocast():
            return torch.autocast(device.type, dtype=DTYPES[precision])

    scaler = torch.amp.GradScaler(device.type, enabled=precision == 'fp16')
    return Runtime(device, autocast, scaler, precision, processes, stop or StopRequest())


def process_backend(device):
    """How several processes talk to each other, for ``utils.distributed``: NCCL between GPUs, else
    gloo, which can do both.

    Torch for Windows has no NCCL.
    """
    nccl = device == 'cuda' and torch.cuda.is_available() and torch.distributed.is_nccl_available()
    return 'cpu:gloo,cuda:nccl' if nccl else 'gloo'


def has_cuda() -> bool:
    """Whether there is a CUDA device."""
    return torch.cuda.is_available()


def gpu_architectures() -> list[str]:
    """What this build of torch has GPU kernels for: sm_80 …"""
    return torch.cuda.get_arch_list()


def _device(name, processes):
    there = {
        'cuda': torch.cuda.is_available,
        'mps': torch.backends.mps.is_available,
        'cpu': lambda: True,
    }
    if name == 'cuda' and processes.world_size > 1 and (index := _own_gpu(processes)) is not None:
        return torch.device(name, index)
    if not there[name]():
        logger.warning('MODEL.DEVICE is %r, but there is none here: the CPU is used', name)
        name = 'cpu'
    return torch.device(name)


def _own_gpu(processes):
    """Index of the GPU that this one of several processes has for itself; None where no process has
    any.

    Of all GPUs of a machine it is that of the local rank, and the first where SLURM or
    CUDA_VISIBLE_DEVICES shows each process its own. All compare their GPUs' serial numbers, which
    tell one GPU from another also where both are number 0.
    """
    count = torch.cuda.device_count()
    index = processes.local_rank if processes.local_world_size <= count else 0
    serial = torch.zeros(1, 32, dtype=torch.uint8)
    if count:
        torch.cuda.set_device(index)
        uuid = str(torch.cuda.get_device_properties(index).uuid)
        serial[0] = torch.tensor(list(hashlib.sha256(uuid.encode()).digest()))
    of_all = processes.gather(serial)
    missing = (of_all == 0).all(1)
    if missing.all():
        return None
    if missing.any() or len(of_all.unique(dim=0)) < processes.world_size:
        raise InputError(
            f'each process needs a GPU of its own: {processes.local_world_size} were started on '
            'this machine, '
            f'{count} GPUs are visible to this one; start one process a GPU (--nproc_per_node), '
            'or set '
            f'MODEL.DEVICE cpu'
        )
    return index


def _best_precision(device):
    if device.type != 'cuda':
        return 'fp32'
    native = torch.cuda.is_bf16_supported(including_emulation=False)  # emulated it is very slow
    return 'bf16' if native else 'fp16'


def _try_compiler(device):
    """Compile a tiny function now: the image encoder's turn comes hours later."""
    number = torch.zeros(1, device=device)
    try:
        torch.compile(lambda x: x + 1)(number)
    except Exception as error:  # of the compiler, the linker, the toolchain …
        raise InputError(
            f'MODEL.COMPILE True: torch.compile does not work on {device} '
            f'({first_line(error, 100)}); on a GPU it needs Triton and a C compiler, on the CPU a '
            'C++ compiler; set MODEL.COMPILE False'
        ) from None


def device_text(device):
    """For people: 'cuda (NVIDIA H200)', 'cpu (2 threads)'."""
    if device.type == 'cuda':
        return f'cuda ({torch.cuda.get_device_name(device)})'
    return f'{device.type} ({torch.get_num_threads()} threads)'


def wants_pinned_memory(device):
    """Whether batches should lie in pinned memory on their way to the device."""
    return device.type == 'cuda'


def memory_in_use(device):
    """Peak memory of this process in 10⁹ bytes: {'memory_gb': main memory, 'device_memory_gb': the
    GPU's}, as far as known.
    """
    peak = {}
    if resource:
        unit = 1 if sys.platform == 'darwin' else 1024
        peak['memory_gb'] = round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, 3
        )
    if device.type == 'cuda':
        peak['device_memory_gb'] = round(torch.cuda.max_memory_allocated(device) / 1e9, 3)
    return peak


def random_states(device):
    """The states of Python's, NumPy's and torch's generators, that of a GPU ``device`` too, for
    :func:`set_random_states`.
    """
    kind, words, *rest = np.random.get_state()
    return {
        'python': random.getstate(),
        'numpy': (kind, words.tolist(), *rest),
        'torch': torch.get_rng_state(),
        'cuda': [torch.cuda.get_rng_state(device)] if device.type == 'cuda' else [],
    }


def set_random_states(states, device):
    """Take the generators up where :func:`random_states` left them; the GPU's if both runs have
    one.
    """
    version, words, gauss = states['python']
    random.setstate((version, tuple(words), gauss))
    kind, words, *rest = states['numpy']
    np.random.set_state((kind, np.array(words, np.uint32), *rest))
    torch.set_rng_state(states['torch'])
    if device.type == 'cuda' and states['cuda']:
        torch.cuda.set_rng_state(states['cuda'][0], device)


def seed_everything(seed):
    """Python's, NumPy's and torch's generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
