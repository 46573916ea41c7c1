"""Several processes that share one training or test: what they exchange, and how they end together.

Loops have no branches for this: of one process (``SINGLE``) every method is trivial, and
torch.distributed is not started.
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
import torch.distributed.nn  # noqa: F401  before a group is there: its defaults would keep it
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from utils.errors import InputError
from utils.failure_watch import MEETING, FailureWatch, is_loss
from utils.run.signals import StopRequest
from utils.torchrun import read_torchrun

# within an operation: the first process may be ranking a large validation set
PATIENCE = timedelta(minutes=60)


@dataclass(frozen=True)
class Processes:
    """The processes of this run.

    All of them must call the methods that communicate, in the same order; those are ``gather`` to
    ``broadcast_buffers``.

    rank: which one this is, 0 … world_size - 1.
    local_rank, local_world_size: the same among those of this machine.
    watch: sees the errors of the others; None of one process.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    watch: FailureWatch | None = None

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    # ---------------------------------------------------------------------------------------- work

    def shard(self, count: int, batch_size: int) -> range:
        """This process's part of ``count`` rows, perhaps empty but not for the first process.

        Cut between batches, so that each batch, and the rounding in it, is one of a single process.
        """
        batches = -(-count // batch_size)
        start, stop = (
            -(-batches * rank // self.world_size) * batch_size
            for rank in (self.rank, self.rank + 1)
        )
        return range(min(start, count), min(stop, count))

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The model to be called in training: backward() averages its gradients over all.

        Each forward pass first takes over the buffers of process 0, so that a state saved there is
        everybody's. Every parameter that requires a gradient must get one. The state dict is that
        of ``model`` (on ``device``), not of what this returns.
        """
        if self.world_size == 1:
            return model
        return DistributedDataParallel(model, device_ids=None if device.type == 'cpu' else [device])

    # ------------------------------------------------------------------------------- communication

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """(B, …) of each process, equal shapes -> (world_size · B, …) in rank order, everywhere.

        Differentiable, for a loss that every process computes alike from what was gathered: its
        gradient there is everywhere the same, so backward takes the own rows' and needs no
        communication. They are multiplied by ``world_size``, since each process sends back its own
        rows only while the gradients of parameters are averaged (:meth:`wrap`, or
        :meth:`average_gradients`): the mean is then what one process gets from the whole batch, for
        parameters before and behind this place.
        """
        return tensor if self.world_size == 1 else _Gather.apply(tensor, self.rank, self.world_size)

    def gather_rows(self, tensor: torch.Tensor, count: int) -> torch.Tensor:
        """(n, …) of each process's :meth:`shard` of ``count`` rows -> (count, …), everywhere.

        No gradient. A process without rows may give a tensor (0,) of whatever shape the rows have;
        the type of numbers must be the same.
        """
        if self.world_size == 1:
            return tensor
        shape = self.broadcast(list(tensor.shape[1:]))
        lengths = _gather(torch.tensor([len(tensor)])).tolist()
        if sum(lengths) != count:
            raise ValueError(
                f'{count} rows were expected of all processes together, they have {lengths}'
            )
        padded = tensor.new_zeros(max(lengths), *shape)
        if len(tensor):
            padded[: len(tensor)] = tensor.detach()
        parts = _gather(padded).split(max(lengths)) if count else [padded]
        return torch.cat([part[:length] for part, length in zip(parts, lengths)])

    def mean(self, tensor: torch.Tensor) -> torch.Tensor:
        """Mean over the processes of a tensor of floats, a new one without gradient."""
        if self.world_size == 1:
            return tensor.detach()
        total = tensor.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.div_(self.world_size)

    def average_gradients(self, parameters: Iterable[torch.Tensor]) -> None:
        """Put the mean over all processes into ``.grad``, for what :meth:`wrap` does not do."""
        if self.world_size > 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad.copy_(self.mean(parameter.grad))

    def any(self, flag: object) -> bool:
        """Whether ``flag`` is true anywhere; over the CPU, so no accelerator is waited for."""
        if self.world_size == 1:
            return bool(flag)
        found = torch.tensor(int(bool(flag)), dtype=torch.uint8)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found)

    def barrier(self) -> None:
        """Wait until all processes are here."""
        self.any(False)

    def broadcast(self, value: Any) -> Any:
        """The first process's ``value``, of plain types, on every process."""
        values = [value]
        if self.world_size > 1:
            dist.broadcast_object_list(values, device=torch.device('cpu'))
        return values[0]

    def broadcast_buffers(self, model: nn.Module) -> None:
        """Give every process the first one's buffers (statistics of batch norms) of ``model``."""
        if self.world_size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)

    # ------------------------------------------------------------------------------------- the end

    def fail(self, message: object) -> None:
        """Tell the others that this process ends because of ``message``; they end in seconds."""
        if self.watch:
            self.watch.post(message)

    def first_failure(self) -> str | None:
        """'rank r: message' of the other process that failed first, or None.

        For an error that may only be a consequence.
        """
        return self.watch.first_failure() if self.watch else None

    def stop(self, failed: bool = False) -> None:
        """Leave the others: with them at the regular end, without waiting after a failure."""
        if not self.watch:
            return
        if not failed:
            self.barrier()  # still watched: the first process may fail at what it alone does
        self.watch.end()
        if failed:
            # gloo's threads let go of the last tensors: at the interpreter's end they would abort
            time.sleep(0.3)
        else:
            dist.destroy_process_group()


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
    dist.all_gather(list(whole.split(len(tensor))), tensor.contiguous())
    return whole


# ----------------------------------------------------------------------------------- start and end


def start_processes(wanted: bool, backend: str) -> Processes:
    """The processes that torchrun has started, this one among them, connected with each other.

    Args:
        wanted: MODEL.DIST_TRAIN.
        backend: of torch.distributed, with gloo for the CPU: 'gloo', 'cpu:gloo,…'.

    Raises:
        InputError: ``wanted`` and torchrun's variables contradict each other, or the others do not
            come.
    """
    if not wanted:
        if os.environ.get('WORLD_SIZE', '1') != '1':
            raise InputError(
                f'torchrun has started {os.environ["WORLD_SIZE"]} processes, but MODEL.DIST_TRAIN '
                'is False: each would do the whole work; set MODEL.DIST_TRAIN True'
            )
        return SINGLE
    member = read_torchrun()
    rank, world_size = member.rank, member.world_size
    if world_size == 1:
        return SINGLE
    try:
        store, *_ = next(dist.rendezvous('env://', timeout=MEETING))
        dist.init_process_group(
            backend, store=store, rank=rank, world_size=world_size, timeout=PATIENCE
        )
        watch = FailureWatch(rank, member.address)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f'rank {rank} of {world_size} cannot meet the others at '
            f'{member.address[0]}:{member.address[1]} ({str(error).splitlines()[0]}); were all '
            'started, and do firewalls let them through?'
        ) from error
    processes = Processes(rank, world_size, member.local_rank, member.local_world_size, watch)
    processes.barrier()  # nobody is late: from here on an error of one reaches all
    watch.start()
    return processes


@contextlib.contextmanager
def several_processes(
    wanted: bool, backend: str, stop: StopRequest | None = None
) -> Iterator[Processes]:
    """:func:`start_processes` for a block that all leave together: an error of one ends all.

    The one whose error it is raises it (an ``InputError`` with its rank in front), the others an
    ``InputError`` that repeats it; those that hang in an operation are ended with that line on
    stderr and exit code 2.

    Args:
        wanted: MODEL.DIST_TRAIN.
        backend: of torch.distributed.
        stop: the run's request to end: who has been asked to end does not wonder that another one
            has.
    """
    processes = start_processes(wanted, backend)
    if processes is SINGLE:
        yield processes
        return
    try:
        yield processes
        processes.stop()
    except BaseException as error:
        # torchrun sends SIGTERM to the others when one has failed
        with stop.patiently() if stop else contextlib.nullcontext():
            _report_error(error, processes, stop)
        raise


def _report_error(error: BaseException, processes: Processes, stop: StopRequest | None) -> None:
    """Tell the others of ``error``, or raise an InputError that says whose consequence it is."""
    processes.stop(failed=True)
    cause = processes.first_failure()
    if cause:
        raise InputError(f'ended because of {cause}') from None
    if is_loss(error):
        if stop:
            stop.check()
        # NCCL's own word for what broke
        last = str(error).partition('Last error:')[2].strip().splitlines()
        raise InputError(
            f'rank {processes.rank}: another process is gone without a word; was it killed, '
            f'perhaps for want of memory?{f" ({last[0][:120]})" if last else ""}'
        ) from error
    if isinstance(error, InputError):
        processes.fail(error)
        raise InputError(f'rank {processes.rank}: {error}') from error
    if isinstance(error, Exception):  # Stopped and its like are none
        processes.fail(f'{type(error).__name__}: {error}')
