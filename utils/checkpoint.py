"""Checkpoints: plain state dicts, written whole or not at all, read without running anything in them."""
import pickle
import warnings
from pathlib import Path

import torch

from utils.errors import InputError
from utils.files import atomic_write


def save_state(state, path):
    """Write a state dict (moved to the CPU, in the usual memory format) under a temporary name, then rename."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with atomic_write(path, 'wb') as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # torch's own word for a write that failed
            raise OSError(_first_line(error)) from error


def load_state(path, key='TEST.WEIGHT'):
    """Read a state dict: {name: CPU tensor}, a ``module.`` prefix taken off.

    ``key`` is the config key the path came from, for the error. InputError: empty or missing path, a file that is no
    checkpoint or is cut short, one that holds more than weights (refused, never run).
    """
    if not path:
        raise InputError(f'{key} is empty; give the checkpoint, as in {key} ./output/tiger/cnn/RN50_80.pth')
    if not Path(path).is_file():
        raise InputError(f'{key}: there is no file {path}')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # torch's guesses about a damaged file
            state = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        # GLOBAL and REDUCE name and call what is in Python; 149 is how pickles of Python's own, not torch's, begin
        if any(sign in str(error) for sign in ('GLOBAL', 'REDUCE', 'operand 149')):
            raise InputError(f'{key}: {path} holds more than weights (Python code or objects); it was refused and not run. '
                             f'Save the plain state dict: torch.save(model.state_dict(), path)') from None
        raise InputError(f'{key}: {path} is no checkpoint or is damaged') from None
    except Exception as error:  # on damaged bytes torch raises anything: RuntimeError, EOFError, IndexError, struct.error …
        raise InputError(f'{key}: {path} is no checkpoint, or it is cut short ({_first_line(error)}); '
                         f'copy or write it again') from None
    if not isinstance(state, dict) or not state or not all(
            isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in state.items()):
        raise InputError(f'{key}: {path} is no plain state dict (names and tensors)')
    return {name.removeprefix('module.'): tensor for name, tensor in state.items()}


def check_state(state, expected, path, key='TEST.WEIGHT'):
    """InputError unless names and shapes of ``state`` are those of ``expected``; nothing has been copied then."""
    missing = [n for n in expected if n not in state]
    unknown = [n for n in state if n not in expected]
    shapes = [f'{n} {tuple(state[n].shape)} instead of {tuple(expected[n].shape)}'
              for n in expected if n in state and state[n].shape != expected[n].shape]
    problems = [f'{len(names)} {what} ({", ".join(names[:3])}{", …" if len(names) > 3 else ""})'
                for names, what in ((missing, 'missing'), (unknown, 'unknown'), (shapes, 'of another shape')) if names]
    if problems:
        raise InputError(f'{key}: {path} does not fit this model: {"; ".join(problems)}; check MODEL.NAME, the sizes and '
                         f'the number of individuals')


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
