"""Reads files of weights from any source without running any code in them.

Training programs save the state dict of a model alone or together with other things.
"""

import math
import os
import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeGuard

import torch
from safetensors import safe_open

from utils.errors import InputError, first_line
from utils.words import first_few

# Allowed types of weights.
DTYPES = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
)
# bytes that tensors may take beyond four times their file: some repeat a value without storing it
SLACK = 64 << 20

State = dict[str, torch.Tensor]


class _Skipped:
    """Stands for a Python or NumPy object beside the weights; runs and keeps nothing."""

    def __init__(self, *_: object) -> None:
        """Accept and ignore the arguments that the pickle gives."""

    __setstate__ = __init__


# Types that training programs save beside their weights: a best mAP, a history, command-line
# options.
SKIPPED: list[Callable | tuple[Callable, str]] = [
    (_Skipped, name)
    for name in (
        'numpy.dtype',
        'numpy.ndarray',
        'numpy._core.multiarray.scalar',
        'numpy._core.multiarray._reconstruct',
        'numpy.core.multiarray.scalar',
        'numpy.core.multiarray._reconstruct',
        'argparse.Namespace',
    )
]


def read_weights_file(path: str | Path, key: str) -> Any:
    """Return the content of a .pth or safetensors file, with tensors on the CPU.

    The content decides which it is. No code in it runs, and nothing in it is trusted. ``key`` is
    the config key that gave the path, for errors.

    Raises:
        InputError: The path is empty or missing, or the file is not a checkpoint, is truncated or
            holds more than weights.
    """
    if not path:
        raise InputError(
            f'{key} is empty; give a checkpoint, for example {key} ./output/tiger/cnn/RN50_80.pth'
        )
    if not Path(path).is_file():
        others = [file.name for file in checkpoints_beside(Path(path))]
        raise InputError(
            f'{key}: there is no file {path}; checkpoints in its folder: '
            f'{first_few(others) or "none"}'
        )
    try:
        return _read(path, key)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        # GLOBAL and REDUCE import and call Python objects; pickles not written by torch begin with
        # 149
        if any(sign in str(error) for sign in ('GLOBAL', 'REDUCE', 'operand 149')):
            raise InputError(
                f'{key}: {path} holds more than weights (Python code or objects); it was rejected '
                'and not run. Save the plain state dict: torch.save(model.state_dict(), path)'
            ) from None
        raise InputError(f'{key}: {path} is not a checkpoint or is damaged') from None
    # for damaged bytes torch raises RuntimeError, EOFError, IndexError, struct.error and others
    except Exception as error:
        raise InputError(
            f'{key}: {path} cannot be read as a checkpoint ({first_line(error)}); if it is '
            'truncated, copy or save it again'
        ) from None


def _read(path: str | Path, key: str) -> Any:
    with open(path, 'rb') as file:
        head = file.read(9)
    if head[8:] == b'{':
        with safe_open(path, 'pt') as tensors:
            # clones: the tensors are mapped from the file, which may change
            state = OrderedDict(
                (name, tensors.get_tensor(name).clone())
                for name in tensors.keys()  # noqa: SIM118
            )
            state._metadata = {'': tensors.metadata() or {}}  # type: ignore[attr-defined]
            return state
    if head[:4] == b'PK\x03\x04':
        if is_torchscript(path):
            raise InputError(
                f"{key}: {path} is a TorchScript archive (weights with code, as OpenAI's CLIP is "
                'published); use it only to start training, as MODEL.PRETRAIN_PATH with '
                'MODEL.PRETRAIN_CHOICE clip'
            )
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        # torch.save stores its members uncompressed, one after another
        if (
            any(member.compress_type != zipfile.ZIP_STORED for member in members)
            or sum(member.file_size for member in members) > Path(path).stat().st_size
        ):
            raise InputError(
                f'{key}: {path} unpacks to more than its size (members are compressed or overlap, '
                'as in a zip bomb); it was rejected. Save it again with torch.save, which does '
                'neither'
            )
    with (
        open(path, 'rb') as file,  # not the path: torch would trust the suffix
        warnings.catch_warnings(),
        torch.serialization.safe_globals(SKIPPED),
    ):
        warnings.simplefilter('ignore')  # about damaged files
        return torch.load(file, map_location='cpu', weights_only=True)


def is_torchscript(path: str | Path) -> bool:
    """Return whether the file is a TorchScript archive, that is, weights with code."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith('/constants.pkl') for name in archive.namelist())
    except Exception:  # damaged bytes can raise any error: not an archive
        return False


def check_tensors(tensors: Iterable[torch.Tensor], path: str | Path, key: str) -> None:
    """Check that tensors read from a file can be weights.

    Raises:
        InputError: A tensor has a type or layout that weights do not have, or together they take
            far more memory than the file.
    """
    total = 0
    for tensor in tensors:
        if (
            tensor.layout != torch.strided
            or tensor.is_nested
            or min(tensor.shape, default=0) < 0  # torch accepts some and fails later
            or tensor.device.type != 'cpu'
            or tensor.dtype not in DTYPES
        ):
            raise InputError(
                f'{key}: {path} holds a tensor that is not a plain weight ({tensor.layout}, '
                f'{tensor.dtype}, on {tensor.device}); floats, integers and booleans with sizes of '
                'at least 0 are allowed'
            )
        total += math.prod(tensor.shape) * tensor.element_size()  # nbytes may overflow
    size = Path(path).stat().st_size
    if total > 4 * size + SLACK:
        raise InputError(
            f'{key}: {path} claims {total / 1e9:.1f} GB of weights in a file of '
            f'{size / 1e6:.1f} MB; it was rejected'
        )


def checkpoints_beside(path: Path) -> list[Path]:
    """Return the other checkpoints in the folder of ``path``, newest first."""
    found = [
        file
        for file in path.parent.glob('*')
        if file.suffix in ('.pth', '.safetensors')
        and not file.name.startswith('resume.')
        and file.name != path.name
        and file.is_file()  # not a broken link
    ]
    return sorted(found, key=os.path.getmtime, reverse=True)


# ------------------------------------------------------------------------------------- state dicts


def find_state(content: Any, path: str | Path, key: str) -> tuple[State, str]:
    """Return the only state dict in the content of a file, and its key; '' = it is the whole file.

    Raises:
        InputError: There are several or none, or it is the state of a run.
    """
    if _is_state(content):
        return content, ''
    if is_plain_dict(content) and content.keys() >= {'format', 'stage', 'tensors'}:  # a journal
        newest = checkpoints_beside(Path(path))
        remedy = f'use the newest, {newest[0]}' if newest else 'its folder has no checkpoint yet'
        raise InputError(
            f'{key}: {path} is the state of a run, for --resume, not a checkpoint; {remedy}'
        )
    found = _states_within(content) if is_plain_dict(content) else []
    if not found:
        raise InputError(
            f'{key}: {path} is not a plain state dict (names and tensors) and contains none'
        )
    if len(found) > 1:
        names = [repr(name[:40]) for _, name in found]
        raise InputError(
            f'{key}: {path} holds {len(found)} state dicts: {first_few(names, 4)}; save only the '
            'one you need, with torch.save'
        )
    return found[0]


def _states_within(content: dict) -> list[tuple[State, str]]:
    """Return the state dicts in a dict, each with its path of keys, such as 'net.state_dict'.

    Deeper levels are searched only if there is none above, so that parts of an optimizer are not
    found beside a model. Each dict is searched once, as untrusted ones may contain themselves.
    """
    found: list[tuple[State, str]] = []
    level: list[tuple[dict, str]] = [(content, '')]
    seen = set()
    for _ in range(4):  # levels of nested dicts
        below: list[tuple[dict, str]] = []
        for node, prefix in level:
            for name, value in node.items():
                if _is_name(name) and is_plain_dict(value) and id(value) not in seen:
                    seen.add(id(value))
                    (found if _is_state(value) else below).append((value, f'{prefix}{name}'))
        if found:
            break
        level = [(node, f'{name}.') for node, name in below]
    return found


def notes_of(state: State) -> dict[str, str]:
    """Return the notes written by ``utils.checkpoint.save_state``; other notes may be anything."""
    notes = getattr(state, '_metadata', {})
    ours = notes.get('') if is_plain_dict(notes) else None
    texts = ours.items() if is_plain_dict(ours) else ()
    return {name: text for name, text in texts if type(name) is type(text) is str}


def is_plain_dict(node: Any) -> TypeGuard[dict]:
    """Return whether it is a dict with the usual methods.

    An untrusted OrderedDict may have attributes in their place.
    """
    return isinstance(node, dict) and not getattr(node, '__dict__', {}).keys() - {'_metadata'}


def _is_state(value: Any) -> TypeGuard[State]:
    return (
        is_plain_dict(value)
        and len(value) > 0
        and all(_is_name(name) and isinstance(x, torch.Tensor) for name, x in value.items())
    )


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and len(name) <= 500 and name.isprintable()
