"""Several processes that share one training or test: what they tell each other, and that they end
together.

Loops have no branches for this: of one process (``SINGLE``) every method is trivial, and
torch.distributed is not started.
"""

import contextlib
import json
import os
import sys
import threading
import time
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.distributed.nn  # noqa: F401  now: its functions' defaults hold on to a group that is there when they are imported
from torch.nn.parallel import DistributedDataParallel

from utils.errors import InputError

MEETING = timedelta(minutes=5)  # for all processes to start
PATIENCE = timedelta(
    minutes=60
)  # within an operation: the first process may be ranking a large validation set
LOOK = 0.5  # seconds between looks for another process's error
GRACE = 4.0  # seconds for the main thread to notice by itself that another process is gone
LOSS = (
    'gloo/transport',
    'ncclRemoteError',
    'ncclSystemError',
    'ncclInternalError',
    'collective operation timeout',
    'NCCL communicator was aborted',
)  # in the errors of who has lost another one

COMMAND = 'torchrun --nproc_per_node 2 train_clipreid.py --config_file … MODEL.DIST_TRAIN True'
VARIABLES = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'LOCAL_WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')


@dataclass(frozen=True)
class Processes:
    """The processes of this run. rank: which one this is, 0 … world_size - 1; local_*: among those
    of this machine.

    All of them must call the methods that communicate, in the same order; those are ``gather`` to
    ``broadcast_buffers``.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    watch: object = None

    @property
    def main(self):
        """Whether this is the process that writes."""
        return self.rank == 0

    # ---------------------------------------------------------------------------------------- work

    def shard(self, count, batch_size):
        """This process's part of ``count`` rows, a range, perhaps empty but not for the first
        process.

        Cut between batches of ``batch_size``, so that each batch, and the rounding in it, is one of
        a single process.
        """
        batches = -(-count // batch_size)
        start, stop = (
            -(-batches * rank // self.world_size) * batch_size
            for rank in (self.rank, self.rank + 1)
        )
        return range(min(start, count), min(stop, count))

    def wrap(self, model, device):
        """``model`` (on ``device``) to be called in training: its gradients become the mean over
        all processes in backward().

        Each forward pass first takes over the buffers of process 0, so that a state saved there is
        everybody's. Every parameter that requires a gradient must get one. The state dict is that
        of ``model``, not of what this returns.
        """
        if self.world_size == 1:
            return model
        return DistributedDataParallel(model, device_ids=None if device.type == 'cpu' else [device])

    # ------------------------------------------------------------------------------- communication

    def gather(self, tensor):
        """(B, …) of each process, equal shapes -> (world_size · B, …) in rank order, on every
        process. Differentiable.

        For a loss that every process computes alike from what was gathered: its gradient there is
        everywhere the same, so backward takes the own rows' and needs no communication. They are
        multiplied by ``world_size``, since each process sends back its own rows only while the
        gradients of parameters are averaged (:meth:`wrap`, or :meth:`average_gradients`): the mean
        is then what one process gets from the whole batch, for parameters before and behind this
        place.
        """
        return tensor if self.world_size == 1 else _Gather.apply(tensor, self.rank, self.world_size)

    def gather_rows(self, tensor, count):
        """(n, …) of each process, n as :meth:`shard` cuts ``count`` rows -> (count, …) in order, on
        every process; no gradient.

        A process without rows may give a tensor (0,) of whatever shape the rows have; the type of
        numbers must be the same.
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

    def mean(self, tensor):
        """Mean over the processes of a tensor of floats, a new one without gradient."""
        if self.world_size == 1:
            return tensor.detach()
        total = tensor.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.div_(self.world_size)

    def average_gradients(self, parameters):
        """Put the mean over all processes into ``.grad``, for what :meth:`wrap` does not do."""
        if self.world_size > 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad.copy_(self.mean(parameter.grad))

    def any(self, flag):
        """Whether ``flag`` is true anywhere. Goes over the CPU: does not wait for an
        accelerator.
        """
        if self.world_size == 1:
            return bool(flag)
        found = torch.tensor(int(flag), dtype=torch.uint8)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found)

    def barrier(self):
        """Wait until all processes are here."""
        self.any(False)

    def broadcast(self, value):
        """The first process's ``value``, of JSON's types, on every process."""
        if self.world_size == 1:
            return value
        text = bytearray(json.dumps(value).encode() if self.main else b'')
        length = torch.tensor(len(text))
        dist.broadcast(length, 0)
        content = (
            torch.frombuffer(text, dtype=torch.uint8)
            if self.main
            else torch.empty(int(length), dtype=torch.uint8)
        )
        dist.broadcast(content, 0)
        return json.loads(content.numpy().tobytes())

    def broadcast_buffers(self, model):
        """The first process's buffers (statistics of batch norms) for ``model`` on every
        process.
        """
        if self.world_size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)

    # ------------------------------------------------------------------------------------- the end

    def fail(self, message):
        """Tell the others that this process ends because of ``message``; they end within seconds.
        Takes one second.
        """
        if self.watch:
            self.watch.post(message)
            time.sleep(
                2 * LOOK
            )  # all have looked before connections break; the store may end with this process

    def first_failure(self):
        """'rank r: message' of the other process that failed first, or None. For an error that may
        only be a consequence.
        """
        return self.watch.look() if self.watch else None

    def stop(self, failed=False):
        """Leave the others: with them at the regular end, without waiting for them after a
        failure.
        """
        if self.watch:
            if not failed:
                self.barrier()  # still watched: the first process may fail at what it alone does
            self.watch.end()
            if failed:
                time.sleep(
                    0.3
                    # gloo's threads let go of the last tensors: at the interpreter's end they would
                    # abort it
                )
            else:
                dist.destroy_process_group()


SINGLE = Processes()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor, rank, world_size):
        ctx.rows = slice(rank * len(tensor), (rank + 1) * len(tensor))
        ctx.world_size = world_size
        return _gather(tensor)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient[ctx.rows] * ctx.world_size, None, None


def _gather(tensor):
    whole = tensor.new_empty(dist.get_world_size() * len(tensor), *tensor.shape[1:])
    dist.all_gather(list(whole.split(len(tensor))), tensor.contiguous())
    return whole


# ----------------------------------------------------------------------------------- start and end


def start_processes(wanted, backend):
    """The processes that torchrun has started, this one among them, connected with each other.

    wanted: MODEL.DIST_TRAIN. backend: of torch.distributed, with gloo for the CPU: 'gloo',
    'cpu:gloo,…'. Raises ``InputError`` where ``wanted`` and torchrun's variables contradict each
    other, and when the others do not come.
    """
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if not wanted:
        if os.environ.get('WORLD_SIZE', '1') != '1':
            raise InputError(
                f'torchrun has started {os.environ["WORLD_SIZE"]} processes, but '
                'MODEL.DIST_TRAIN is False: each '
                f'would do the whole work; set MODEL.DIST_TRAIN True'
            )
        return SINGLE
    if missing:
        raise InputError(
            'MODEL.DIST_TRAIN True needs processes that torchrun has started '
            f'({", ".join(missing)} not in the '
            f'environment): {COMMAND}; or set it to False'
        )
    try:
        rank, world_size, local_rank, local_world_size = (
            int(os.environ[name]) for name in VARIABLES[:4]
        )
        address = os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])
    except ValueError:
        raise InputError(
            f'{", ".join(VARIABLES)} in the environment must be numbers, but for the address: '
            'let torchrun set '
            f'them: {COMMAND}'
        ) from None
    if not (0 <= rank < world_size and 0 <= local_rank < local_world_size <= world_size):
        raise InputError(
            f'RANK {rank}, WORLD_SIZE {world_size}, LOCAL_RANK {local_rank}, LOCAL_WORLD_SIZE '
            f'{local_world_size} of the environment contradict each other; let torchrun set '
            f'them: {COMMAND}'
        )
    if world_size == 1:
        return SINGLE
    try:
        store, *_ = next(dist.rendezvous('env://', timeout=MEETING))
        dist.init_process_group(
            backend, store=store, rank=rank, world_size=world_size, timeout=PATIENCE
        )
        watch = _Watch(rank, address)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f'rank {rank} of {world_size} cannot meet the others at {address[0]}:{address[1]} '
            f'({str(error).splitlines()[0]}); were all started, and do firewalls let them through?'
        ) from error
    processes = Processes(rank, world_size, local_rank, local_world_size, watch)
    processes.barrier()  # nobody is late: from here on an error of one reaches all
    watch.start()
    return processes


@contextlib.contextmanager
def several_processes(wanted, backend, stop=None):
    """:func:`start_processes` for a block of code that all leave together: an error of one ends all
    within seconds.

    The one whose error it is raises it (an ``InputError`` with its rank in front), the others an
    ``InputError`` that repeats it; those that hang in an operation are ended with that line on
    stderr and exit code 2. stop: the run's ``utils.run.signals.StopRequest``: who has been asked to
    end does not wonder that another one has.
    """
    processes = start_processes(wanted, backend)
    if processes is SINGLE:
        yield processes
        return
    try:
        yield processes
        processes.stop()
    except BaseException as error:
        with (
            stop.patiently() if stop else contextlib.nullcontext()
        ):  # torchrun sends SIGTERM to the others when one has failed
            _settle(error, processes, stop)
        raise


def _settle(error, processes, stop):
    """Tell the others of ``error``, or raise an InputError that says whose consequence it is."""
    processes.stop(failed=True)
    cause = processes.first_failure()
    if cause:
        raise InputError(f'ended because of {cause}') from None
    if _is_loss(error):
        if stop:
            stop.check()
        last = (
            str(error).partition('Last error:')[2].strip().splitlines()
        )  # NCCL's own word for what broke
        raise InputError(
            f'rank {processes.rank}: another process is gone without a word; was it killed, '
            'perhaps for want of '
            f'memory?{f" ({last[0][:120]})" if last else ""}'
        ) from error
    if isinstance(error, InputError):
        processes.fail(error)
        raise InputError(f'rank {processes.rank}: {error}') from error
    if isinstance(error, Exception):  # Stopped and its like are none
        processes.fail(f'{type(error).__name__}: {error}')


def _is_loss(error):
    """Whether this is what gloo, NCCL or the store where they met says when the other end is
    gone.
    """
    if isinstance(error, (dist.DistNetworkError, dist.DistStoreError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in LOSS)


class _Watch(threading.Thread):
    """Looks whether another process has failed, and ends this one if its main thread does not
    notice.

    Messages go over a connection of its own to the store where the processes have met: torchrun's,
    or the first process's.
    """

    def __init__(self, rank, address):
        super().__init__(name='watch over the other processes', daemon=True)
        self.rank = rank
        self._over, self._found = threading.Event(), None
        self._store = dist.TCPStore(
            *address, is_master=False, timeout=MEETING, wait_for_workers=False
        )
        # the store outlives torchrun's restarts
        self._key = f'failed {os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)}'

    def post(self, message):
        """Say why this process ends. Of several the first message stays."""
        with contextlib.suppress(RuntimeError):  # the store is gone: so will be the others
            self._store.compare_set(self._key, '', f'{self.rank} {" ".join(str(message).split())}')

    def look(self):
        """'rank r: message' of another process, or None."""
        try:
            if not self._found and self._store.check([self._key]):
                rank, message = self._store.get(self._key).decode().split(' ', 1)
                if int(rank) != self.rank:
                    self._found = f'rank {rank}: {message}'
        except RuntimeError:
            self._found = 'torchrun or rank 0: it is gone without a word'
        return self._found

    def run(self):
        while not self._over.wait(LOOK):
            if self.look():
                if not self._over.wait(GRACE):
                    sys.stderr.write(f'error: ended because of {self._found}\n')
                    sys.stderr.flush()
                    os._exit(2)  # as what the main thread would have raised
                return

    def end(self):
        self._over.set()
        self.join(5)  # at the interpreter's end a thread within torch would abort the process
