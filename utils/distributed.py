"""Several processes that share a training run or a test: how they communicate and how they end.

With one process (``SINGLE``) every method is trivial and torch.distributed is not started, so the
training loops need no branches for it.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn  # noqa: F401  if imported later, its defaults would keep the group
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from utils.errors import InputError, first_line
from utils.failure_watch import START_TIMEOUT, FailureWatch, is_lost_connection
from utils.run.signals import StopRequest

COMMAND = 'torchrun --nproc_per_node 2 train_clipreid.py --config_file … MODEL.DIST_TRAIN True'
# The others wait this long while the first process ranks a large validation set.
OPERATION_TIMEOUT = timedelta(minutes=60)


@dataclass(frozen=True)
class Processes:
    """The processes of this run, as seen by one of them.

    All processes must call the communicating methods (``gather`` to ``broadcast_buffers``) in the
    same order.

    Attributes:
        rank: The number of this process, 0 … world_size - 1.
        world_size: The number of processes.
        local_rank: Like ``rank``, among the processes of this machine.
        local_world_size: Like ``world_size``, on this machine.
        watch: Notices errors of the other processes; None for a single process.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    watch: FailureWatch | None = None

    @property
    def main(self) -> bool:
        """Whether this is the process that writes files and logs."""
        return self.rank == 0

    # ----------------------------------------------------------------------------- sharing the work

    def shard(self, count: int, batch_size: int) -> range:
        """Return this process's part of ``count`` rows; it may be empty, except on process 0.

        The rows are cut between batches, so batches and their rounding are those of a single
        process.
        """
        batches = -(-count // batch_size)
        start, stop = (
            -(-batches * rank // self.world_size) * batch_size
            for rank in (self.rank, self.rank + 1)
        )
        return range(count)[start:stop]

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Return the model to call in training; backward() averages gradients over all processes.

        Each forward pass first copies the buffers of process 0 to the others, so that the state
        saved there is valid for all. Every parameter that requires a gradient must get one. Save
        the state dict of ``model`` itself, not of the returned wrapper.

        Args:
            model: The model, on ``device``.
            device: The device of this process.
        """
        if self.world_size == 1:
            return model
        return DistributedDataParallel(model, device_ids=None if device.type == 'cpu' else [device])

    # ------------------------------------------------------------------------------- communication

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """Concatenate the processes' tensors (B, …) to (world_size · B, …), in rank order.

        Every process gets the result; the shapes must be equal. Differentiable, provided that all
        processes compute the same loss from the result. Then its gradient is the same everywhere,
        so backward keeps the rows of this process and needs no communication. It multiplies them by
        ``world_size``, because parameter gradients are averaged afterwards (:meth:`wrap` or
        :meth:`average_gradients`). The average equals what one process computes from the whole
        batch, for parameters before and after this call.
        """
        return tensor if self.world_size == 1 else _Gather.apply(tensor, self.rank, self.world_size)

    def gather_rows(self, tensor: torch.Tensor) -> torch.Tensor:
        """Concatenate the processes' tensors (n, …) in rank order; n may differ. No gradient.

        A process without rows may pass a tensor (0,), but of the same dtype.
        """
        if self.world_size == 1:
            return tensor
        shape = self.broadcast(tensor.shape[1:])
        lengths = _gather(torch.tensor([len(tensor)])).tolist()
        padded = tensor.new_zeros(max(lengths), *shape)
        padded[: len(tensor)] = tensor.detach().reshape(len(tensor), *shape)
        parts = _gather(padded).tensor_split(self.world_size)
        return torch.cat([part[:length] for part, length in zip(parts, lengths)])

    def average_gradients(self, parameters: Iterable[torch.Tensor]) -> None:
        """Average ``.grad`` over all processes, for parameters outside a wrapped model."""
        for parameter in parameters:
            if self.world_size > 1 and parameter.grad is not None:
                parameter.grad = parameter.grad.contiguous()
                dist.all_reduce(parameter.grad)
                parameter.grad /= self.world_size

    def any(self, flag: object) -> bool:
        """Return whether ``flag`` is true on any process. Runs on the CPU and waits for no GPU."""
        if self.world_size == 1:
            return bool(flag)
        found = torch.tensor(int(bool(flag)), dtype=torch.uint8)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found)

    def barrier(self) -> None:
        """Wait until all processes have called this."""
        self.any(False)

    def broadcast(self, value: Any) -> Any:
        """Return the first process's ``value``, made of plain types, on every process."""
        values = [value]
        if self.world_size > 1:
            dist.broadcast_object_list(values, device=torch.device('cpu'))
        return values[0]

    def broadcast_buffers(self, model: nn.Module) -> None:
        """Copy the first process's buffers of ``model`` (batch-norm statistics) to the others."""
        if self.world_size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)


SINGLE = Processes()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor, rank: int, world_size: int) -> torch.Tensor:
        ctx.rows = slice(rank * len(tensor), (rank + 1) * len(tensor))
        ctx.world_size = world_size
        return _gather(tensor)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return gradient[ctx.rows] * ctx.world_size, None, None


def _gather(tensor: torch.Tensor) -> torch.Tensor:
    whole = tensor.new_empty(dist.get_world_size() * len(tensor), *tensor.shape[1:])
    dist.all_gather(list(whole.tensor_split(dist.get_world_size())), tensor.contiguous())
    return whole


# ------------------------------------------------------------------------------------ start and end


def start_processes(wanted: bool, backend: str) -> Processes:
    """Connect the processes that torchrun has started, of which this is one.

    Args:
        wanted: MODEL.DIST_TRAIN.
        backend: The backend of torch.distributed, with gloo for the CPU: 'gloo', 'cpu:gloo,…'.

    Raises:
        InputError: ``wanted`` and torchrun's variables contradict each other, or the other
            processes cannot be reached.
    """
    world_size = os.environ.get('WORLD_SIZE')
    if not wanted and world_size not in (None, '1'):
        raise InputError(
            f'torchrun has started {world_size} processes, but MODEL.DIST_TRAIN is False, so each '
            'would do all the work; set MODEL.DIST_TRAIN True'
        )
    if not wanted or world_size == '1':
        return SINGLE
    try:
        local_rank, local_size = int(os.environ['LOCAL_RANK']), int(os.environ['LOCAL_WORLD_SIZE'])
        store, rank, size = next(dist.rendezvous('env://', timeout=START_TIMEOUT))
        dist.init_process_group(
            backend, store=store, rank=rank, world_size=size, timeout=OPERATION_TIMEOUT
        )
    except (KeyError, ValueError) as error:
        raise InputError(
            'MODEL.DIST_TRAIN is True, but the environment lacks the variables that torchrun sets '
            f'({error}); start with {COMMAND}, or set MODEL.DIST_TRAIN False'
        ) from error
    except RuntimeError as error:
        raise InputError(
            f'rank {os.environ["RANK"]} of {world_size} cannot reach the other processes at '
            f'{os.environ["MASTER_ADDR"]}:{os.environ["MASTER_PORT"]} ({first_line(error)}); check '
            'that all were started and that no firewall blocks them'
        ) from error
    watch = FailureWatch(rank, store.clone())
    processes = Processes(rank, size, local_rank, local_size, watch)
    processes.barrier()  # all have arrived; from now on an error of one reaches the others
    watch.start()
    return processes


@contextlib.contextmanager
def several_processes(wanted: bool, backend: str, stop: StopRequest) -> Iterator[Processes]:
    """Run a block with :func:`start_processes`; an error in one process ends all of them.

    The process that failed raises its error (an ``InputError`` with the rank in front). The others
    raise an ``InputError`` that repeats the message; if they hang in an operation, they print it to
    stderr and exit with code 2.

    Args:
        wanted: MODEL.DIST_TRAIN.
        backend: The backend of torch.distributed.
        stop: The run's request to end. After such a request a lost process is not an error.
    """
    processes = start_processes(wanted, backend)
    if processes.watch is None:
        yield processes
        return
    try:
        yield processes
        processes.barrier()  # keep watching: the first process may still fail in work it does alone
    except BaseException as error:
        with stop.patiently():  # when one process fails, torchrun sends SIGTERM to the others
            _report_error(error, processes.rank, processes.watch, stop)
        raise
    processes.watch.end()
    dist.destroy_process_group()


def _report_error(error: BaseException, rank: int, watch: FailureWatch, stop: StopRequest) -> None:
    """Report ``error`` to the others, or name the other process that caused it."""
    watch.end()
    time.sleep(0.3)  # gloo's threads must free their tensors, else they abort the process at exit
    cause = watch.first_failure()
    if cause:
        raise InputError(f'another process failed: {cause}') from None
    if is_lost_connection(error):
        stop.check()
        # NCCL's own words
        last = str(error).partition('Last error:')[2].strip().splitlines()
        raise InputError(
            f'rank {rank}: another process ended without a message; was it killed, '
            f'perhaps because memory ran out?{f" ({last[0][:120]})" if last else ""}'
        ) from error
    if isinstance(error, InputError):
        watch.post(error)
        raise InputError(f'rank {rank}: {error}') from error
    if isinstance(error, Exception):  # not Stopped or KeyboardInterrupt
        watch.post(f'{type(error).__name__}: {error}')
