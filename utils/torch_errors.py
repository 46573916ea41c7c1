"""Errors of torch that the user can fix, told in one line."""

import contextlib
import multiprocessing
import re
from collections.abc import Iterator

import torch

from utils.device import gpu_architectures
from utils.errors import InputError, first_line

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
def translated_errors(batch_keys: str) -> Iterator[None]:
    """Raise errors of torch that the user can fix as InputError.

    Args:
        batch_keys: the config keys to lower when memory runs out.
    """
    if getattr(multiprocessing.current_process(), '_inheriting', False):  # multiprocessing's mark
        raise InputError(
            'a worker process imports the script that started it, which would run again: '
            f'{MAIN_GUARD}'
        )
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch's own out of memory is a RuntimeError
        message = _translate(error, batch_keys)
        if message:
            raise InputError(message) from error
        raise


def _translate(error: RuntimeError | MemoryError, batch_keys: str) -> str | None:
    """What is wrong and how to fix it; None of an error that is not known here."""
    text = str(error)
    if memory := _out_of_memory(error):
        return f'out of memory ({memory}); lower {batch_keys}, or the sizes of the photos'
    if WORKER_ENDED.match(text):
        return _worker_ended(error)
    if 'unable to find an engine' in text:  # cuDNN hides why each of its ways failed
        return (
            f'cuDNN cannot compute a convolution ({first_line(error, 200)}): GPU memory is full, '
            f'or this GPU lacks the precision; lower {batch_keys}, or set SOLVER.AMP off'
        )
    if 'no kernel image is available' in text:
        return (
            f'torch {torch.__version__} has no kernels for this GPU, only for '
            f'{", ".join(gpu_architectures())}; install a torch built for it '
            '(docs/performance.md), or set MODEL.DEVICE cpu'
        )
    if 'busy or unavailable' in text:
        return (
            'another process has the GPU for itself; wait for it, choose another GPU '
            'with CUDA_VISIBLE_DEVICES, or set MODEL.DEVICE cpu'
        )
    if 'does not have a deterministic implementation' in text:
        return f'SOLVER.DETERMINISTIC True: {text.split(",")[0]}; set it to False'
    return None


def _out_of_memory(error: RuntimeError | MemoryError) -> str | None:
    """The line of ``error`` that says that memory ran out; None if it is another error."""
    for line in str(error).strip().splitlines():
        if any(sign in line for sign in OUT_OF_MEMORY):
            return line[:200]
    known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return first_line(error, 200) if known else None


def _worker_ended(error: RuntimeError | MemoryError) -> str:
    """error: torch's; the first word of why is in its cause, where there is one."""
    reason = WORKER_ENDED.match(str(error.__cause__)) or WORKER_ENDED.match(str(error))
    assert reason
    if 'killed' in reason[1]:
        return (
            f'a process that decodes photos was killed ({reason[0]}); is memory or /dev/shm '
            'full? Lower DATALOADER.NUM_WORKERS; a training resumes with --resume'
        )
    return (
        f'a process that decodes photos ended ({reason[0]}); what it said is above. To fix '
        f'it, {worker_remedy()}'
    )


def worker_remedy() -> str:
    """What to do where a process that decodes photos does not start, or ends with an error."""
    alone = 'set DATALOADER.NUM_WORKERS 0'
    return alone if multiprocessing.get_start_method() == 'fork' else f'{MAIN_GUARD}, or {alone}'
