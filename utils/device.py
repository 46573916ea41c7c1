"""Device, precision and randomness, chosen once before the loops. Only this file names CUDA."""

import contextlib
import functools
import logging
import os
import random
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from utils.distributed import SINGLE, Processes
from utils.errors import InputError, first_line
from utils.run.signals import StopRequest

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]  # on other systems it is a module

logger = logging.getLogger('transreid')

# cuBLAS workspaces; with any other, older versions of torch fail in deterministic mode
WORKSPACES = (':4096:8', ':16:8')
DTYPES = {'bf16': torch.bfloat16, 'fp16': torch.float16}  # dtypes of autocast


class Runtime(NamedTuple):
    """What a loop needs to know about the machine.

    Attributes:
        device: The device of this process.
        autocast: () -> context of the forward pass; does nothing in full precision.
        scaler: Scales gradients in fp16; does nothing otherwise.
        precision: 'fp32', 'bf16' or 'fp16'.
        processes: The processes that share the work, this one among them.
        stop: Whether a signal has asked the run to end.
    """

    device: torch.device
    autocast: Callable[[], contextlib.AbstractContextManager]
    scaler: torch.amp.GradScaler
    precision: str
    processes: Processes = SINGLE
    stop: StopRequest = StopRequest()

    def move(self, tensor: torch.Tensor) -> torch.Tensor:
        """Copy to the device, without waiting if the memory is pinned.

        Other memory might be freed before the copy has read it, as happens on MPS.
        """
        return tensor.to(self.device, non_blocking=wants_pinned_memory(self.device))

    def move_all(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Copy tensors (n,) of one dtype to the device together, without waiting for a GPU."""
        if self.device.type == 'cpu':
            return tensors
        packed = torch.cat(tensors)
        if wants_pinned_memory(self.device):
            packed = packed.pin_memory()
        return self.move(packed).split([len(tensor) for tensor in tensors])

    @property
    def ranking_device(self) -> torch.device:
        """Where features are compared and ranked; MPS lacks the sparse products of re-ranking."""
        return torch.device('cpu') if self.device.type == 'mps' else self.device

    def fetch_period(self, period: int) -> int:
        """Return the iterations between fetches of the loss: 1 on the CPU, ``period`` elsewhere.

        Each fetch waits for the accelerator to finish its work.
        """
        return 1 if self.device.type == 'cpu' else period


def make_runtime(
    device: str = 'cuda',
    amp: str = 'auto',
    deterministic: bool = False,
    processes: Processes = SINGLE,
    stop: StopRequest | None = None,
    compiles: bool = False,
) -> Runtime:
    """Choose device and precision.

    Args:
        device: 'cuda', 'cpu' or 'mps'. If the machine has no such device, the CPU is used, with a
            warning. Each of several processes gets its own GPU.
        amp: 'auto', 'off', 'bf16' or 'fp16'. Auto means bf16 on a GPU with native bf16, fp16 with
            gradient scaling on other GPUs, and off elsewhere.
        deterministic: Use only kernels that always add in the same order; an operation without such
            a kernel raises RuntimeError.
        processes: The processes that share the work.
        stop: The run's request to end.
        compiles: Whether torch.compile will be used on the device.

    Raises:
        InputError: A choice does not work on the device.
    """
    chosen = _device(device, processes)
    _set_kernels(chosen, deterministic)
    if compiles:
        _try_compiler(chosen)
    precision = _precision(chosen, amp)
    autocast = functools.partial(
        torch.autocast, chosen.type, dtype=DTYPES.get(precision), enabled=precision != 'fp32'
    )
    scaler = torch.amp.GradScaler(chosen.type, enabled=precision == 'fp16')
    return Runtime(chosen, autocast, scaler, precision, processes, stop or StopRequest())


def _precision(device: torch.device, amp: str) -> str:
    if amp == 'auto' and device.type == 'cuda':
        native = torch.cuda.is_bf16_supported(including_emulation=False)  # emulation is very slow
        return 'bf16' if native else 'fp16'
    if amp == 'fp16' and device.type != 'cuda':
        raise InputError(
            f'SOLVER.AMP fp16 needs a CUDA GPU, but the device is {device.type}; choose auto, off '
            'or bf16'
        )
    return {'auto': 'fp32', 'off': 'fp32'}.get(amp, amp)


def feature_autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager:
    """Return the context in which features are computed in a test.

    Args:
        device: The device of the model.
        precision: TEST.PRECISION, 'fp32' or 'bf16'.

    Raises:
        InputError: The device has no instructions for bf16, so that it would be slower than fp32.
    """
    if precision == 'bf16' and (reason := _why_no_bf16(device)):
        raise InputError(f'TEST.PRECISION bf16 does not work here: {reason}; set it to fp32')
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == 'bf16')


def bf16_is_slow(device: torch.device) -> bool:
    """Return whether bf16 may be slower than fp32: on processors with AVX512_BF16 but no AMX."""
    return device.type == 'cpu' and not torch.cpu._is_amx_tile_supported()


def _why_no_bf16(device: torch.device) -> str:
    """Return why the device has no native bf16, '' if it has."""
    if device.type == 'cuda':
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return '' if native else 'this GPU has no bf16'
    if device.type != 'cpu':
        return f'it is tested on CUDA and the CPU only, and the device is {device.type}'
    if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported():
        return '' if torch.backends.mkldnn.enabled else 'this torch has no oneDNN'
    return 'this processor has neither AMX nor AVX512_BF16'


def _set_kernels(device: torch.device, deterministic: bool) -> None:
    if device.type == 'cuda':  # TF32 would keep only 10 bits in tests, validation and losses
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False  # some vendors' containers turn it on
    if deterministic and os.environ.get('CUBLAS_WORKSPACE_CONFIG') not in WORKSPACES:
        os.environ['CUBLAS_WORKSPACE_CONFIG'] = WORKSPACES[0]  # read when cuBLAS is first used
    # called only on a change: it imports torch's compiler, which takes a second
    if deterministic != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(deterministic)


def process_backend(device: str) -> str:
    """Return the backend for torch.distributed: NCCL between GPUs, otherwise gloo.

    Torch for Windows has no NCCL; gloo works with GPUs too.
    """
    nccl = device == 'cuda' and torch.cuda.is_available() and torch.distributed.is_nccl_available()
    return 'cpu:gloo,cuda:nccl' if nccl else 'gloo'


def _device(name: str, processes: Processes) -> torch.device:
    if name == 'cuda' and processes.world_size > 1:
        index = _own_gpu(processes)
        if index is not None:
            return torch.device(name, index)
    if name != 'cpu' and not torch.get_device_module(name).is_available():
        logger.warning('MODEL.DEVICE is %r, but this machine has none; using the CPU', name)
        name = 'cpu'
    return torch.device(name)


def _own_gpu(processes: Processes) -> int | None:
    """Return the index of this process's GPU, one of several; None if no process has a GPU.

    It is the local rank, or 0 where SLURM or CUDA_VISIBLE_DEVICES shows each process only its own
    GPU. The processes compare serial numbers, which differ even if every GPU has index 0.
    """
    count = torch.cuda.device_count()
    index = processes.local_rank if processes.local_world_size <= count else 0
    serial = None
    if count:
        torch.cuda.set_device(index)
        serial = str(torch.cuda.get_device_properties(index).uuid)
    serials: list[str | None] = [None] * processes.world_size
    torch.distributed.all_gather_object(serials, serial)
    if not any(serials):
        return None
    if None in serials or len(set(serials)) < processes.world_size:
        raise InputError(
            f'each process needs its own GPU: {processes.local_world_size} processes were started '
            f'on this machine, and this one sees {count} GPUs; start one process per GPU '
            '(--nproc_per_node), or set MODEL.DEVICE cpu'
        )
    return index


def _try_compiler(device: torch.device) -> None:
    """Compile a tiny function now: the image encoder itself is compiled only hours later."""
    number = torch.zeros(1, device=device)
    try:
        torch.compile(lambda x: x + 1)(number)
    except Exception as error:  # from the compiler, the linker or the toolchain
        raise InputError(
            f'MODEL.COMPILE is True, but torch.compile does not work on {device} '
            f'({first_line(error, 100)}); it needs Triton and a C compiler on a GPU, and a C++ '
            'compiler on the CPU; install them, or set MODEL.COMPILE False'
        ) from None


def device_text(device: torch.device) -> str:
    """Describe the device for people: 'cuda (NVIDIA H200)', 'cpu (2 threads)'."""
    on_gpu = device.type == 'cuda'
    name = torch.cuda.get_device_name(device) if on_gpu else f'{torch.get_num_threads()} threads'
    return f'{device.type} ({name})'


def wants_pinned_memory(device: torch.device) -> bool:
    """Return whether batches should be in pinned memory before they are copied to the device."""
    return device.type == 'cuda'


def memory_in_use(device: torch.device) -> dict[str, float]:
    """Return the peak memory of this process in 10⁹ bytes, as far as the system reports it.

    Returns:
        'memory_gb': Main memory; 'device_memory_gb': Memory of the GPU.
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


def random_states(device: torch.device) -> dict[str, Any]:
    """Return the states of torch's and a GPU's random generators; training uses no others."""
    return {
        'torch': torch.get_rng_state(),
        'cuda': [torch.cuda.get_rng_state(device)] if device.type == 'cuda' else [],
    }


def set_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Restore :func:`random_states`; the GPU's only if both runs have one."""
    torch.set_rng_state(states['torch'])
    if device.type == 'cuda' and states['cuda']:
        torch.cuda.set_rng_state(states['cuda'][0], device)


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
