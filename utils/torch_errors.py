"""Turns errors of torch that the user can fix into one-line messages."""

import contextlib
import multiprocessing
import re
from collections.abc import Iterator

import torch

from utils.errors import InputError, first_line

# Messages of torch, CUDA's libraries and the DataLoader when GPU or main memory runs out.
OUT_OF_MEMORY = re.compile(
    "out of memory|can't allocate memory|ALLOC_FAILED|ALLOCATION_FAILED|insufficient resources"
    '|resource allocation failed|Pin memory thread exited unexpectedly'
)
MAIN_GUARD = "put the call in your script below `if __name__ == '__main__':`"
# Part of torch's message -> what is wrong and how to fix it.
KNOWN = {
    # cuDNN does not say why each of its algorithms failed
    'unable to find an engine': 'cuDNN cannot compute a convolution ({line}): GPU memory is full, '
    'or this GPU does not support the precision; lower {batch_keys}, or set SOLVER.AMP off',
    'no kernel image is available': f'torch {torch.__version__} has no kernels for this GPU; '
    'install a torch built for it (docs/performance.md), or set MODEL.DEVICE cpu',
    'busy or unavailable': 'another process has exclusive use of the GPU; wait, choose another '
    'GPU with CUDA_VISIBLE_DEVICES, or set MODEL.DEVICE cpu',
    'does not have a deterministic implementation': 'SOLVER.DETERMINISTIC is True: {line}; set it '
    'to False',
}
WORKER_ENDED = re.compile(
    r'DataLoader worker \(pid.*?\) '
    r'(is killed by signal: [\w ]+|exited unexpectedly(?: with exit code \d+)?)'
)


@contextlib.contextmanager
def translated_errors(batch_keys: str) -> Iterator[None]:
    """Raise torch errors that the user can fix as InputError.

    Args:
        batch_keys: Config keys to lower when memory runs out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # OutOfMemoryError is a RuntimeError
        message = _translate(error, batch_keys)
        if message:
            raise InputError(message) from error
        raise


def _translate(error: RuntimeError | MemoryError, batch_keys: str) -> str | None:
    """Say what is wrong and how to fix it; None if the error is unknown."""
    text, line = str(error), first_line(error, 200)
    memory = [row for row in text.splitlines() if OUT_OF_MEMORY.search(row)]
    if memory or isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        reason = memory[0].strip()[:200] if memory else line
        return f'out of memory ({reason}); lower {batch_keys}, or use smaller photos'
    # if there is a cause, it holds the original reason
    ended = WORKER_ENDED.match(str(error.__cause__)) or WORKER_ENDED.match(text)
    if ended:
        return _worker_ended(ended)
    for sign, message in KNOWN.items():
        if sign in text:
            return message.format(line=line, batch_keys=batch_keys)
    return None


def _worker_ended(reason: re.Match) -> str:
    if 'killed' in reason[1]:
        return (
            f'a process that decodes photos was killed ({reason[0]}); memory or /dev/shm may be '
            'full: lower DATALOADER.NUM_WORKERS, and resume training with --resume'
        )
    return (
        f'a process that decodes photos ended ({reason[0]}); its error is printed above. To fix '
        f'it, {worker_remedy()}'
    )


def worker_remedy() -> str:
    """Say what to do if a process that decodes photos does not start or ends with an error."""
    alone = 'set DATALOADER.NUM_WORKERS 0'
    return alone if multiprocessing.get_start_method() == 'fork' else f'{MAIN_GUARD}, or {alone}'
