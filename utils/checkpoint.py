"""Checkpoints and states of runs: written whole or not at all, read without running anything in
them.
"""

import contextlib
import json
import logging
import math
import pickle
import re
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open

from utils.errors import InputError, Mismatch
from utils.files import atomic_write

# What weights are made of, by safetensors' names for it.
DTYPES = {
    torch.float64: 'F64',
    torch.float32: 'F32',
    torch.float16: 'F16',
    torch.bfloat16: 'BF16',
    torch.int64: 'I64',
    torch.int32: 'I32',
    torch.int16: 'I16',
    torch.int8: 'I8',
    torch.uint8: 'U8',
    torch.bool: 'BOOL',
}
DEPTH = 4  # of the dicts around a state dict
SLACK = (
    64 << 20
    # bytes that tensors may take beyond four times their file: some repeat a value without storing
    # it
)


class _Skipped:
    """Stands where a file holds an object of Python or NumPy beside its weights. It runs and keeps
    nothing.
    """

    def __init__(self, *_):
        pass

    def __setstate__(self, _):
        pass


# What training programs write beside their weights: a best mAP, a history, the options of the
# command line.
SKIPPED = [
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
WRAPPERS = (
    'module.',
    '_orig_mod.',
)  # what DataParallel and torch.compile put before the names of weights
STATE_OF_A_RUN = {'format', 'stage', 'tensors'}  # of utils.run.journal's, besides other keys

logger = logging.getLogger('transreid')


# ------------------------------------------------------------------------------------- state dicts


class Checkpoint(NamedTuple):
    """What is in a file of weights."""

    state: (
        dict  # {name: CPU tensor}, without what DataParallel and torch.compile put before the names
    )
    about: dict  # what was noted about them, {text: text}: nothing to rely on
    # the name under which the weights stood beside other things; '' = they are the whole file
    inside: str


def save_state(state, path, about=None):
    """Write a state dict (moved to the CPU, in the usual memory format) under a temporary name,
    then rename.

    As safetensors where ``path`` ends so, else as torch's .pth. ``about`` {text: text} goes where
    PyTorch keeps the versions of modules (the state dict's ``_metadata``) or into safetensors'
    header: who reads names and tensors only does not see it.
    """
    state = OrderedDict(
        (name, _own(tensor.detach().cpu().contiguous())) for name, tensor in state.items()
    )
    state._metadata = OrderedDict({'': dict(about or {})})
    write = _write_safetensors if Path(path).suffix == '.safetensors' else _write_torch
    with atomic_write(path, 'wb') as file:
        write(state, file)


def load_state(path, key='TEST.WEIGHT'):
    """The state of :func:`load_checkpoint` alone."""
    return load_checkpoint(path, key).state


def load_checkpoint(path, key='TEST.WEIGHT'):
    """Read a state dict, .pth or safetensors (told by content), as a :class:`Checkpoint`.

    It may stand beside an epoch, an optimizer and the like, under whatever name, also in a dict
    within, and its names may begin with ``module.`` or ``_orig_mod.``; the log says so. ``key`` is
    the config key the path came from, for the error.
    InputError: empty or missing path, a file that is no checkpoint or is cut short, one that holds
    more than weights (refused, never run), several state dicts or the state of a run, or claims to
    be far larger than it is.
    """
    state, inside = _find_state(_read(path, key), path, key)
    check_tensors(state.values(), path, key)
    names = {name: plain_name(name) for name in state}
    if len(set(names.values())) < len(names):
        raise InputError(
            f'{key}: {path} holds weights of the same name with and without '
            f'{" or ".join(WRAPPERS)} before it; '
            f'save one model alone'
        )
    wrappers = [
        word
        for word in WRAPPERS
        if any(word in name and word not in plain for name, plain in names.items())
    ]
    if inside or wrappers:
        logger.info(
            '%s: %s: read the weights%s%s',
            key,
            path,
            f' under {inside!r}' if inside else '',
            f' without {" and ".join(wrappers)} in their names' if wrappers else '',
        )
    return Checkpoint(
        {names[name]: tensor.detach() for name, tensor in state.items()}, _about(state), inside
    )


def plain_name(name: str) -> str:
    """The name of a weight without what DataParallel and torch.compile put before it, in whatever
    order.
    """
    return re.sub(r'^(module\.)+', '', re.sub(r'(?<![^.])_orig_mod\.', '', name))


def _find_state(content, path, key):
    """(the one state dict in what a file holds, the name under which it stood)"""
    if _is_state(content):
        return content, ''
    found = []
    if _is_dict(content):
        if content.keys() >= STATE_OF_A_RUN:
            newest = _checkpoints_beside(Path(path))
            remedy = (
                f'take the newest checkpoint there, {newest[0]}'
                if newest
                else 'no checkpoint lies beside it yet'
            )
            raise InputError(
                f'{key}: {path} is what a training resumes from, not a checkpoint; {remedy}'
            )
        found = _states_within(content)
    if len(found) > 1:
        names = [repr('.'.join(keys)[:40]) for keys, _ in found]
        listed = ', '.join(names[:4]) + (' …' if names[4:] else '')
        first = ''.join(f'[{name!r}]' for name in found[0][0])
        raise InputError(
            f'{key}: {path} holds {len(found)} state dicts: {listed}; save the one you mean alone: '
            f'torch.save(torch.load(path){first}, other_path)'
        )
    if not found:
        raise InputError(
            f'{key}: {path} is no plain state dict (names and tensors), and holds none'
        )
    keys, state = found[0]
    return state, '.'.join(keys)


def _states_within(content: dict) -> list[tuple[tuple[str, ...], dict]]:
    """The state dicts in a dict, with the keys that lead to each; deeper ones only where there is
    none above.

    So an optimizer's parts are not found beside a model. Each dict is seen once: strangers' may
    hold themselves.
    """
    found, level, seen = [], [((), content)], set()
    while level and not found and len(level[0][0]) < DEPTH:
        below = []
        for keys, node in level:
            for name, value in node.items():
                if _is_name(name) and _is_dict(value) and id(value) not in seen:
                    seen.add(id(value))
                    (found if _is_state(value) else below).append(((*keys, name), value))
        level = below
    return found


def _is_state(value):
    return (
        _is_dict(value)
        and bool(value)
        and all(
            _is_name(name) and isinstance(tensor, torch.Tensor) for name, tensor in value.items()
        )
    )


def check_state(state, expected, path, key='TEST.WEIGHT'):
    """Mismatch unless names and shapes of ``state`` are those of ``expected``; nothing has been
    copied then.
    """
    missing = [n for n in expected if n not in state]
    unknown = [n for n in state if n not in expected]
    shapes = [
        f'{n} {tuple(state[n].shape)} instead of {tuple(expected[n].shape)}'
        for n in expected
        if n in state and state[n].shape != expected[n].shape
    ]
    problems = [
        f'{len(names)} {what} ({", ".join(names[:3])}{", …" if len(names) > 3 else ""})'
        for names, what in (
            (missing, 'missing'),
            (unknown, 'unknown'),
            (shapes, 'of another shape'),
        )
        if names
    ]
    if problems:
        raise Mismatch(
            f'{key}: {path} does not fit this model: {"; ".join(problems)}; check MODEL.NAME, '
            'the sizes and '
            f'the number of individuals'
        )


def check_tensors(tensors, path, key):
    """InputError where a tensor is none that weights are made of, or where they take far more
    memory than their file.
    """
    total = 0
    for tensor in tensors:
        if (
            tensor.layout != torch.strided
            or tensor.is_nested
            or tensor.device.type != 'cpu'
            or tensor.dtype not in DTYPES
        ):
            raise InputError(
                f'{key}: {path} holds a tensor that is no plain weight ({tensor.layout}, '
                f'{tensor.dtype}, on '
                f'{tensor.device}); floats, integers and truth values are allowed'
            )
        if any(size < 0 for size in tensor.shape):  # torch takes some, and breaks later
            raise InputError(f'{key}: {path} is damaged: a tensor of shape {tuple(tensor.shape)}')
        total += math.prod(tensor.shape) * tensor.element_size()  # nbytes may overflow
    if total > 4 * Path(path).stat().st_size + SLACK:
        raise InputError(
            f'{key}: {path} claims {total / 1e9:.1f} GB of weights in a file of '
            f'{Path(path).stat().st_size / 1e6:.1f} MB; it was refused'
        )


# ------------------------------------------------------------------------------------------- trees


def save_tree(tree, path):
    """Write a tree of dict, list, tuple, str, int, float, bool, None and tensors, under a temporary
    name, then rename.

    Tensors go to the CPU and keep their memory format. TypeError: anything else in it, or a key
    that is neither str nor int.
    """
    tree = _plain(tree, lambda tensor: _own(tensor.cpu()))
    with atomic_write(path, 'wb') as file:
        _write_torch(tree, file)


def copy_tree(tree):
    """A copy, on the CPU, of what :func:`save_tree` takes: what happens to ``tree`` afterwards does
    not change it.
    """
    return _plain(tree, lambda tensor: tensor.to('cpu', copy=True))


def load_tree(path, key):
    """Read what :func:`save_tree` wrote; dicts come back as dict, tensors on the CPU. InputError as
    for :func:`load_state`.
    """
    tree = _read(path, key)
    try:
        tensors = _tensors_of(tree)
    except ValueError as error:
        raise InputError(
            f"{key}: {path} is none of this program's states, or is damaged ({error})"
        ) from None
    check_tensors(tensors, path, key)
    return tree


def _is_dict(node):
    """Whether it is a dict whose methods are a dict's: a stranger's OrderedDict may have attributes
    in their place.
    """
    return isinstance(node, dict) and not getattr(node, '__dict__', {}).keys() - {'_metadata'}


def _about(state):
    """The texts of what :func:`save_state` noted; strangers' notes may be anything."""
    notes = getattr(state, '_metadata', None)
    notes = notes.get('') if _is_dict(notes) else None
    return (
        {name: text for name, text in notes.items() if type(name) is type(text) is str}
        if _is_dict(notes)
        else {}
    )


def _plain(node, take):
    """``node`` built anew from dict, list and tuple, so that no container of it stands in two
    places; ``take``: what becomes of a tensor.
    """
    if isinstance(node, torch.Tensor):
        return take(node.detach())
    if isinstance(node, dict):
        if any(type(name) not in (str, int) for name in node):
            raise TypeError(f'keys must be str or int: {list(node)[:5]}')
        return {name: _plain(value, take) for name, value in node.items()}
    if isinstance(node, list):
        return [_plain(value, take) for value in node]
    if isinstance(node, tuple):
        return tuple(_plain(value, take) for value in node)
    if node is None or type(node) in (str, int, float, bool):
        return node
    raise TypeError(f'{type(node).__name__} cannot be written and read back safely: {node!r:.80}')


def _tensors_of(tree):
    """All tensors of a tree that was read. ValueError: other things in it, or a container in two
    places, which might be a loop, or few bytes that look like billions of values. Without
    recursion, as strangers' trees may be deep.
    """
    todo, seen, tensors = [tree], set(), []
    while todo:
        node = todo.pop()
        if isinstance(node, torch.Tensor):
            tensors.append(node)
        elif isinstance(node, (dict, list, tuple)):
            if node and id(node) in seen:
                raise ValueError(f'a {type(node).__name__} stands in two places')
            seen.add(id(node))
            if isinstance(node, dict) and not _is_dict(node):
                raise ValueError('a dict with attributes')
            if isinstance(node, dict) and any(type(name) not in (str, int) for name in node):
                raise ValueError('a key that is neither text nor number')
            todo.extend(node.values() if isinstance(node, dict) else node)
        elif node is not None and type(node) not in (str, int, float, bool):
            raise ValueError(f'a value of type {type(node).__name__}')
    return tensors


# ------------------------------------------------------------------------------------------- files


def is_torchscript(path):
    """Whether the file is a TorchScript archive, that is weights with code."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _has_code(archive)
    except Exception:  # zipfile raises anything on damaged bytes: no archive then
        return False


def _has_code(archive):
    return any(name.endswith('/constants.pkl') for name in archive.namelist())


def _write_torch(value, file):
    try:
        torch.save(value, file)
    except RuntimeError as error:  # torch's own word for a write that failed
        reason = error.__context__
        raise (reason if isinstance(reason, OSError) else OSError(first_line(error))) from error


def _write_safetensors(state, file):
    """The format of https://github.com/huggingface/safetensors. The library reads it, but does not
    write it here: it takes twice the tensors' memory, or writes and renames files of its own, which
    it leaves behind when it is killed.
    """
    about = state._metadata['']
    state = dict(
        sorted(state.items(), key=lambda item: -item[1].element_size())
    )  # so that each begins at a multiple of it
    header, end = {'__metadata__': about} if about else {}, 0
    for name, tensor in state.items():
        start, end = end, end + tensor.nbytes
        header[name] = {
            'dtype': DTYPES[tensor.dtype],
            'shape': list(tensor.shape),
            'data_offsets': [start, end],
        }
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    file.write(len(text).to_bytes(8, 'little') + text)
    for tensor in state.values():
        file.write(tensor.reshape(-1).view(torch.uint8).numpy())


def _checkpoints_beside(path):
    """The other checkpoints in the folder of ``path``, newest first; none where it cannot be
    read.
    """
    with contextlib.suppress(OSError, ValueError):
        found = [
            file
            for file in path.parent.iterdir()
            if file.suffix in ('.pth', '.safetensors')
            and not file.name.startswith('resume.')
            and file.name != path.name
        ]
        return sorted(found, key=lambda file: file.stat().st_mtime, reverse=True)
    return []


def _beside(path):
    """Which checkpoints lie where one was looked for, the newest three."""
    newest = _checkpoints_beside(path)
    if not newest:
        return ''
    return f'; there are {", ".join(file.name for file in newest[:3])}{" …" if newest[3:] else ""}'


def _read(path, key):
    """What is in the file; tensors on the CPU. Nothing in it is run; nothing is known of its
    content afterwards.
    """
    if not path:
        raise InputError(
            f'{key} is empty; give the checkpoint, as in {key} ./output/tiger/cnn/RN50_80.pth'
        )
    if not Path(path).is_file():
        raise InputError(f'{key}: there is no file {path}{_beside(Path(path))}')
    try:
        with open(path, 'rb') as file:
            head = file.read(9)
    except OSError as error:
        raise InputError(f'{key}: {path} cannot be read ({error.strerror})') from None
    try:
        if head[:4] == b'PK\x03\x04':
            _check_zip(path, key)
        if head[8:] == b'{':
            with safe_open(
                path, 'pt'
            ) as file:  # a file's map in memory, hence the clones: it may change afterwards
                state = OrderedDict((name, file.get_tensor(name).clone()) for name in file.keys())  # noqa: SIM118 it is no dict
                state._metadata = {'': file.metadata() or {}}
                return state
        with (
            open(path, 'rb') as file,
            warnings.catch_warnings(),
            torch.serialization.safe_globals(SKIPPED),
        ):
            # the file and not its path: torch would believe the suffix
            warnings.simplefilter('ignore')  # torch's guesses about a damaged file
            return torch.load(file, map_location='cpu', weights_only=True)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        # GLOBAL and REDUCE name and call what is in Python; 149 is how pickles of Python's own, not
        # torch's, begin
        if any(sign in str(error) for sign in ('GLOBAL', 'REDUCE', 'operand 149')):
            raise InputError(
                f'{key}: {path} holds more than weights (Python code or objects); it was refused '
                'and not run. '
                f'Save the plain state dict: torch.save(model.state_dict(), path)'
            ) from None
        raise InputError(f'{key}: {path} is no checkpoint or is damaged') from None
    # on damaged bytes torch raises anything: RuntimeError, EOFError, IndexError, struct.error …
    except Exception as error:
        raise InputError(
            f'{key}: {path} is no checkpoint, or it is cut short ({first_line(error)}); '
            f'copy or write it again'
        ) from None


def _check_zip(path, key):
    """torch.save stores its members as they are, one after another. A zip that unpacks to more than
    it holds is none of its.
    """
    with zipfile.ZipFile(path) as archive:
        if _has_code(archive):
            raise InputError(
                f"{key}: {path} is a TorchScript archive (weights with code, as OpenAI's CLIP is "
                'published); it '
                'can only be where training starts: MODEL.PRETRAIN_PATH, with '
                'MODEL.PRETRAIN_CHOICE clip'
            )
        members = archive.infolist()
    if (
        any(member.compress_type != zipfile.ZIP_STORED for member in members)
        or sum(member.file_size for member in members) > Path(path).stat().st_size
    ):
        raise InputError(
            f'{key}: {path} unpacks to more than it holds (members are compressed or overlap, as '
            'in a zip bomb); '
            f'it was refused. torch.save does neither: write it again with that'
        )


def _own(tensor):
    """The tensor, without the rest of a larger memory that it is a part of: torch would write that
    too.
    """
    return tensor.clone() if tensor.untyped_storage().nbytes() > tensor.nbytes else tensor


def _is_name(name):
    return isinstance(name, str) and len(name) <= 500 and name.isprintable()


def first_line(error):
    """What an error says, fit for a message of one line: damaged files and strange servers put
    anything into it.
    """
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
    return ''.join(letter if letter.isprintable() else '?' for letter in line)
