"""Errors of torch that the user can fix, told in one line."""

import contextlib
import multiprocessing
import re

import torch

from utils.device import gpu_architectures
from utils.errors import InputError

# What torch, CUDA's libraries and the DataLoader say when memory runs out, on the GPU or the CPU.
OUT_OF_MEMORY = (
    'out of memory',
    "can't allocate memory",
    'ALLOC_FAILED',
    'ALLOCATION_FAILED',
    'resource allocation failed',
    'insufficient resources',
    'Pin memory thread exited unexpectedly',
)
MAIN_GUARD = "put the call in your script below `if __name__ == '__main__':`"
WORKER_ENDED = re.compile(
    r'DataLoader worker \(pid.*?\) '
    r'(is killed by signal: [\w ]+|exited unexpectedly(?: with exit code \d+)?)'
)


@contextlib.contextmanager
def translated_errors(batch_keys):
    """Errors of torch that the user can mend, as InputError. batch_keys: what to lower when memory
    runs out.
    """
    if getattr(
        multiprocessing.current_process(), '_inheriting', False
    ):  # as multiprocessing itself looks at it
        raise InputError(
            'a worker process imports the script that started it, which would run again: '
            f'{MAIN_GUARD}'
        )
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch's own out of memory is a RuntimeError
        line = _out_of_memory(error)
        if line:
            raise InputError(
                f'out of memory ({line}); lower {batch_keys}, or the sizes of the photos'
            ) from error
        if WORKER_ENDED.match(str(error)):
            raise InputError(_worker_ended(error)) from error
        if 'unable to find an engine' in str(error):  # cuDNN hides why each of its ways failed
            raise InputError(
                'cuDNN cannot compute a convolution '
                f'({str(error).strip().splitlines()[0][:200]}): GPU memory is '
                f'full, or this GPU lacks the precision; lower {batch_keys}, or set SOLVER.AMP off'
            ) from error
        if 'no kernel image is available' in str(error):
            raise InputError(
                f'torch {torch.__version__} has no kernels for this GPU, only for '
                f'{", ".join(gpu_architectures())}; install a torch built for it '
                f'(docs/performance.md), or set MODEL.DEVICE cpu'
            ) from error
        if 'busy or unavailable' in str(error):
            raise InputError(
                'another process has the GPU for itself; wait for it, choose another GPU '
                'with CUDA_VISIBLE_DEVICES, or set MODEL.DEVICE cpu'
            ) from error
        if 'does not have a deterministic implementation' in str(error):
            raise InputError(
                f'SOLVER.DETERMINISTIC True: {str(error).split(",")[0]}; set it to False'
            ) from error
        raise


def _worker_ended(error):
    """error: torch's; the first word of why is in its cause, where there is one."""
    reason = WORKER_ENDED.match(str(error.__cause__)) or WORKER_ENDED.match(str(error))
    if 'killed' in reason[1]:
        return (
            f'a process that decodes photos was killed ({reason[0]}); is memory or /dev/shm '
            'full? Lower '
            f'DATALOADER.NUM_WORKERS; a training resumes with --resume'
        )
    return (
        f'a process that decodes photos ended ({reason[0]}); what it said is above. To fix '
        f'it, {worker_remedy()}'
    )


def worker_remedy() -> str:
    """What to do where a process that decodes photos does not start, or ends with an error."""
    alone = 'set DATALOADER.NUM_WORKERS 0'
    return alone if multiprocessing.get_start_method() == 'fork' else f'{MAIN_GUARD}, or {alone}'


def _out_of_memory(error):
    """The line of ``error`` that says that memory ran out; None if it is another error."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    told = [line for line in lines if any(sign in line for sign in OUT_OF_MEMORY)]
    known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return (told or lines)[0][:200] if told or known else None
