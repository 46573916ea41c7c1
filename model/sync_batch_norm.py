"""Batch norms over the photos of all processes (MODEL.SYNC_BN)."""

import torch
from torch import nn

from utils.distributed import Processes
from utils.errors import InputError


def sync_batch_norms(module: nn.Module, processes: Processes, device: torch.device) -> nn.Module:
    """Let all batch norms of ``module`` share their statistics (Ioffe & Szegedy, 2015).

    Args:
        module: its parameters and buffers stay the same objects under the same names.
        processes: with a single one nothing changes. All must have batches of equal shape.
        device: of the module.

    Returns:
        The module with torch.nn.SyncBatchNorm in the place of its batch norms.

    Raises:
        InputError: there are several processes and ``device`` is a CPU, where torch's does not
            work.
    """
    if processes.world_size == 1:
        return module
    if device.type == 'cpu':
        raise InputError(
            f'MODEL.SYNC_BN is True with {processes.world_size} processes on the CPU; it works on '
            'CUDA only: set MODEL.SYNC_BN False, or train in one process'
        )
    return nn.SyncBatchNorm.convert_sync_batchnorm(module)
