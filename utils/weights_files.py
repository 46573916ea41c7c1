"""Files of weights, whoever wrote them: what is in them, without running anything of it.

Training programs of all kinds save the state dict of a model, alone or beside other things.
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

# What weights are made of.
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
    """In place of an object of Python or NumPy beside the weights: runs and keeps nothing."""

    def __init__(self, *_: object) -> None:
        """Take whatever the pickle has for the object."""

    __setstate__ = __init__


# What training programs write beside their weights: a best mAP, a history, the options of the
# command line.
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
    """All that a .pth or safetensors file holds, told by content; tensors on the CPU.

    Nothing in it is run, and nothing is known of it afterwards. ``key`` is the config key the path
    came from, for the error.

    Raises:
        InputError: an empty or missing path, a file that is no checkpoint, is cut short or holds
            more than weights.
    """
    if not path:
        raise InputError(
            f'{key} is empty; give the checkpoint, as in {key} ./output/tiger/cnn/RN50_80.pth'
        )
    if not Path(path).is_file():
        others = [file.name for file in checkpoints_beside(Path(path))]
        raise InputError(
            f'{key}: there is no file {path}; checkpoints there: {first_few(others) or "none"}'
        )
    try:
        return _read(path, key)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        # GLOBAL and REDUCE name and call what is in Python; 149 is how pickles of Python's own, not
        # torch's, begin
        if any(sign in str(error) for sign in ('GLOBAL', 'REDUCE', 'operand 149')):
            raise InputError(
                f'{key}: {path} holds more than weights (Python code or objects); it was refused '
                'and not run. Save the plain state dict: torch.save(model.state_dict(), path)'
            ) from None
        raise InputError(f'{key}: {path} is no checkpoint or is damaged') from None
    # on damaged bytes torch raises anything: RuntimeError, EOFError, IndexError, struct.error …
    except Exception as error:
        raise InputError(
            f'{key}: {path} cannot be read as a checkpoint ({first_line(error)}); if it is cut '
            'short, copy or write it again'
        ) from None


def _read(path: str | Path, key: str) -> Any:
    with open(path, 'rb') as file:
        head = file.read(9)
    if head[8:] == b'{':
        with safe_open(path, 'pt') as tensors:
            # clones: a tensor is the file's map in memory, and the file may change
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
                'published); it can only be where training starts: MODEL.PRETRAIN_PATH, with '
                'MODEL.PRETRAIN_CHOICE clip'
            )
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        # torch.save stores its members as they are, one after another
        if (
            any(member.compress_type != zipfile.ZIP_STORED for member in members)
            or sum(member.file_size for member in members) > Path(path).stat().st_size
        ):
            raise InputError(
                f'{key}: {path} unpacks to more than it holds (members are compressed or overlap, '
                'as in a zip bomb); it was refused. torch.save does neither: write it again with '
                'that'
            )
    with (
        open(path, 'rb') as file,  # not the path: torch would believe the suffix
        warnings.catch_warnings(),
        torch.serialization.safe_globals(SKIPPED),
    ):
        warnings.simplefilter('ignore')  # torch's guesses about a damaged file
        return torch.load(file, map_location='cpu', weights_only=True)


def is_torchscript(path: str | Path) -> bool:
    """Whether the file is a TorchScript archive, that is weights with code."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith('/constants.pkl') for name in archive.namelist())
    except Exception:  # zipfile raises anything on damaged bytes: no archive then
        return False


def check_tensors(tensors: Iterable[torch.Tensor], path: str | Path, key: str) -> None:
    """See that tensors read from a file can be weights.

    Raises:
        InputError: a tensor is none that weights are made of, or all take far more memory than
            their file.
    """
    total = 0
    for tensor in tensors:
        if (
            tensor.layout != torch.strided
            or tensor.is_nested
            or min(tensor.shape, default=0) < 0  # torch takes some, and breaks later
            or tensor.device.type != 'cpu'
            or tensor.dtype not in DTYPES
        ):
            raise InputError(
                f'{key}: {path} holds a tensor that is no plain weight ({tensor.layout}, '
                f'{tensor.dtype}, on {tensor.device}); floats, integers and truth values are '
                'allowed, of sizes from 0'
            )
        total += math.prod(tensor.shape) * tensor.element_size()  # nbytes may overflow
    size = Path(path).stat().st_size
    if total > 4 * size + SLACK:
        raise InputError(
            f'{key}: {path} claims {total / 1e9:.1f} GB of weights in a file of '
            f'{size / 1e6:.1f} MB; it was refused'
        )


def checkpoints_beside(path: Path) -> list[Path]:
    """The other checkpoints in the folder of ``path``, newest first."""
    found = [
        file
        for file in path.parent.glob('*')
        if file.suffix in ('.pth', '.safetensors')
        and not file.name.startswith('resume.')
        and file.name != path.name
    ]
    return sorted(found, key=os.path.getmtime, reverse=True)


# ------------------------------------------------------------------------------------- state dicts


def find_state(content: Any, path: str | Path, key: str) -> tuple[State, str]:
    """The one state dict in what a file holds, and the name under which it stood, '' = alone.

    Raises:
        InputError: several or none, or the state of a run.
    """
    if _is_state(content):
        return content, ''
    if is_plain_dict(content) and content.keys() >= {'format', 'stage', 'tensors'}:  # journal's
        newest = checkpoints_beside(Path(path))
        remedy = f'take the newest, {newest[0]}' if newest else 'no checkpoint lies beside it yet'
        raise InputError(
            f'{key}: {path} is what a training resumes from, not a checkpoint; {remedy}'
        )
    found = _states_within(content) if is_plain_dict(content) else []
    if not found:
        raise InputError(
            f'{key}: {path} is no plain state dict (names and tensors), and holds none'
        )
    if len(found) > 1:
        names = [repr(name[:40]) for _, name in found]
        raise InputError(
            f'{key}: {path} holds {len(found)} state dicts: {first_few(names, 4)}; save the one '
            'you mean in a file of its own, with torch.save'
        )
    return found[0]


def _states_within(content: dict) -> list[tuple[State, str]]:
    """The state dicts in a dict, with the keys that lead to each, as in 'net.state_dict'.

    Deeper ones only where there is none above, so that an optimizer's parts are not found beside a
    model. Each dict is seen once: strangers' may hold themselves.
    """
    found: list[tuple[State, str]] = []
    level: list[tuple[dict, str]] = [(content, '')]
    seen = set()
    for _ in range(4):  # dicts around a state dict
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
    """The texts that ``utils.checkpoint.save_state`` noted; strangers' notes may be anything."""
    notes = getattr(state, '_metadata', {})
    ours = notes.get('') if is_plain_dict(notes) else None
    texts = ours.items() if is_plain_dict(ours) else ()
    return {name: text for name, text in texts if type(name) is type(text) is str}


def is_plain_dict(node: Any) -> TypeGuard[dict]:
    """Whether it is a dict whose methods are a dict's.

    A stranger's OrderedDict may have attributes in their place.
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
