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

from utils.errors import InputError, first_line
from utils.failure_watch import MEETING, FailureWatch, is_loss
from utils.run.signals import StopRequest

COMMAND = 'torchrun --nproc_per_node 2 train_clipreid.py --config_file … MODEL.DIST_TRAIN True'
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
        return range(count)[start:stop]

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

    def gather_rows(self, tensor: torch.Tensor) -> torch.Tensor:
        """(n, …) of each process, any n -> all rows in rank order, everywhere.

        No gradient. A process without rows may give a tensor (0,) of whatever shape the rows have;
        the type of numbers must be the same.
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
        """Put the mean over all processes into ``.grad``, for what :meth:`wrap` does not do."""
        for parameter in parameters:
            if self.world_size > 1 and parameter.grad is not None:
                parameter.grad = parameter.grad.contiguous()
                dist.all_reduce(parameter.grad)
                parameter.grad /= self.world_size

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
    world_size = os.environ.get('WORLD_SIZE')
    if not wanted and world_size not in (None, '1'):
        raise InputError(
            f'torchrun has started {world_size} processes, but MODEL.DIST_TRAIN is False: each '
            'would do the whole work; set MODEL.DIST_TRAIN True'
        )
    if not wanted or world_size == '1':
        return SINGLE
    try:
        local_rank, local_size = int(os.environ['LOCAL_RANK']), int(os.environ['LOCAL_WORLD_SIZE'])
        store, rank, size = next(dist.rendezvous('env://', timeout=MEETING))
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    except (KeyError, ValueError) as error:
        raise InputError(
            'MODEL.DIST_TRAIN True needs processes that torchrun has started, with its variables '
            f'in the environment ({error}): {COMMAND}; or set it to False'
        ) from error
    except RuntimeError as error:
        raise InputError(
            f'rank {os.environ["RANK"]} of {world_size} cannot meet the others at '
            f'{os.environ["MASTER_ADDR"]}:{os.environ["MASTER_PORT"]} ({first_line(error)}); were '
            'all started, and do firewalls let them through?'
        ) from error
    watch = FailureWatch(rank, store.clone())
    processes = Processes(rank, size, local_rank, local_size, watch)
    processes.barrier()  # nobody is late: from here on an error of one reaches all
    watch.start()
    return processes


@contextlib.contextmanager
def several_processes(wanted: bool, backend: str, stop: StopRequest) -> Iterator[Processes]:
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
    if processes.watch is None:
        yield processes
        return
    try:
        yield processes
        processes.barrier()  # still watched: the first process may fail at what it alone does
    except BaseException as error:
        with stop.patiently():  # torchrun sends SIGTERM to the others when one has failed
            _report_error(error, processes.rank, processes.watch, stop)
        raise
    processes.watch.end()
    dist.destroy_process_group()


def _report_error(error: BaseException, rank: int, watch: FailureWatch, stop: StopRequest) -> None:
    """Tell the others of ``error``, or raise an InputError that says whose consequence it is."""
    watch.end()
    # gloo's threads let go of the last tensors: at the interpreter's end they would abort
    time.sleep(0.3)
    cause = watch.first_failure()
    if cause:
        raise InputError(f'ended because of {cause}') from None
    if is_loss(error):
        stop.check()
        # NCCL's own word for what broke
        last = str(error).partition('Last error:')[2].strip().splitlines()
        raise InputError(
            f'rank {rank}: another process is gone without a word; was it killed, '
            f'perhaps for want of memory?{f" ({last[0][:120]})" if last else ""}'
        ) from error
    if isinstance(error, InputError):
        watch.post(error)
        raise InputError(f'rank {rank}: {error}') from error
    if isinstance(error, Exception):  # Stopped and its like are none
        watch.post(f'{type(error).__name__}: {error}')
