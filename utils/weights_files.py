"""Files of weights, whoever wrote them: what is in them, without running anything of it."""

import contextlib
import math
import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

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


class _Skipped:
    """In place of an object of Python or NumPy beside the weights: runs and keeps nothing."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


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
        raise InputError(f'{key}: there is no file {path}{_checkpoints_text(Path(path))}')
    try:
        with open(path, 'rb') as file:
            head = file.read(9)
    except OSError as error:
        raise InputError(f'{key}: {path} cannot be read ({error.strerror})') from None
    with _damage_in_words(path, key):
        if head[:4] == b'PK\x03\x04':
            _check_zip(path, key)
        return _read_safetensors(path) if head[8:] == b'{' else _read_torch(path)


@contextlib.contextmanager
def _damage_in_words(path: str | Path, key: str) -> Iterator[None]:
    """Raise what a reader makes of a bad file as InputError."""
    try:
        yield
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
            f'{key}: {path} is no checkpoint, or it is cut short ({first_line(error)}); '
            f'copy or write it again'
        ) from None


def _read_safetensors(path: str | Path) -> OrderedDict:
    with safe_open(path, 'pt') as file:
        # clones: a tensor is the file's map in memory, and the file may change
        names = file.keys()
        state = OrderedDict((name, file.get_tensor(name).clone()) for name in names)
        state._metadata = {'': file.metadata() or {}}  # type: ignore[attr-defined]  # as torch does
        return state


def _read_torch(path: str | Path) -> Any:
    with (
        open(path, 'rb') as file,  # not the path: torch would believe the suffix
        warnings.catch_warnings(),
        torch.serialization.safe_globals(SKIPPED),
    ):
        warnings.simplefilter('ignore')  # torch's guesses about a damaged file
        return torch.load(file, map_location='cpu', weights_only=True)


def _check_zip(path: str | Path, key: str) -> None:
    """Reject code, and a zip that unpacks to more than it holds.

    torch.save stores its members as they are, one after another.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if _has_code(archive):
        raise InputError(
            f"{key}: {path} is a TorchScript archive (weights with code, as OpenAI's CLIP is "
            'published); it can only be where training starts: MODEL.PRETRAIN_PATH, with '
            'MODEL.PRETRAIN_CHOICE clip'
        )
    if (
        any(member.compress_type != zipfile.ZIP_STORED for member in members)
        or sum(member.file_size for member in members) > Path(path).stat().st_size
    ):
        raise InputError(
            f'{key}: {path} unpacks to more than it holds (members are compressed or overlap, as '
            'in a zip bomb); it was refused. torch.save does neither: write it again with that'
        )


def is_torchscript(path: str | Path) -> bool:
    """Whether the file is a TorchScript archive, that is weights with code."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _has_code(archive)
    except Exception:  # zipfile raises anything on damaged bytes: no archive then
        return False


def _has_code(archive: zipfile.ZipFile) -> bool:
    return any(name.endswith('/constants.pkl') for name in archive.namelist())


def check_tensors(tensors: Iterable[torch.Tensor], path: str | Path, key: str) -> None:
    """See that tensors read from a file can be weights.

    Raises:
        InputError: a tensor is none that weights are made of, or all take far more memory than
            their file.
    """
    total = 0
    for tensor in tensors:
        plain = tensor.layout == torch.strided and not tensor.is_nested
        if not plain or tensor.device.type != 'cpu' or tensor.dtype not in DTYPES:
            raise InputError(
                f'{key}: {path} holds a tensor that is no plain weight ({tensor.layout}, '
                f'{tensor.dtype}, on {tensor.device}); floats, integers and truth values are '
                'allowed'
            )
        if any(size < 0 for size in tensor.shape):  # torch takes some, and breaks later
            raise InputError(f'{key}: {path} is damaged: a tensor of shape {tuple(tensor.shape)}')
        total += math.prod(tensor.shape) * tensor.element_size()  # nbytes may overflow
    size = Path(path).stat().st_size
    if total > 4 * size + SLACK:
        raise InputError(
            f'{key}: {path} claims {total / 1e9:.1f} GB of weights in a file of '
            f'{size / 1e6:.1f} MB; it was refused'
        )


def checkpoints_beside(path: Path) -> list[Path]:
    """The other checkpoints in the folder of ``path``, newest first."""
    with contextlib.suppress(OSError, ValueError):  # a folder that cannot be read
        found = [
            file
            for file in path.parent.iterdir()
            if file.suffix in ('.pth', '.safetensors')
            and not file.name.startswith('resume.')
            and file.name != path.name
        ]
        return sorted(found, key=lambda file: file.stat().st_mtime, reverse=True)
    return []


def _checkpoints_text(path: Path) -> str:
    newest = [file.name for file in checkpoints_beside(path)]
    return f'; there are {first_few(newest)}' if newest else ''
