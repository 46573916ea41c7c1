"""Batch norms over the photos of all processes (MODEL.SYNC_BN)."""

import torch
from torch import nn

from utils.distributed import Processes
from utils.errors import InputError


def check_sync_batch_norms(processes: Processes, device: torch.device) -> None:
    """Reject several processes on a CPU, where torch.nn.SyncBatchNorm does not work.

    Raises:
        InputError: there are several processes and ``device`` is a CPU.
    """
    if processes.world_size > 1 and device.type == 'cpu':
        raise InputError(
            f'MODEL.SYNC_BN is True with {processes.world_size} processes on the CPU; it works on '
            'CUDA only: set MODEL.SYNC_BN False, or train in one process'
        )


def sync_batch_norms(module: nn.Module, processes: Processes) -> nn.Module:
    """Let all batch norms of ``module`` share their statistics (Ioffe & Szegedy, 2015).

    Args:
        module: its parameters and buffers stay the same objects under the same names.
        processes: with a single one nothing changes. All must have batches of equal shape.

    Returns:
        The module with torch.nn.SyncBatchNorm in the place of its batch norms.
    """
    if processes.world_size == 1:
        return module
    return nn.SyncBatchNorm.convert_sync_batchnorm(module)
