"""Checkpoints and states of runs: written completely or not at all, read without running code."""

import hashlib
import logging
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import safetensors.torch
import torch

from utils.errors import InputError, Mismatch, first_line
from utils.files import atomic_write
from utils.weights_files import (
    State,
    check_tensors,
    find_state,
    is_plain_dict,
    notes_of,
    read_weights_file,
)

logger = logging.getLogger('transreid')


# ------------------------------------------------------------------------------------- state dicts


class Checkpoint(NamedTuple):
    """The content of a file of weights.

    Attributes:
        state: CPU tensors by name, without the prefixes of DataParallel and torch.compile.
        about: Notes about them, not to be trusted.
        inside: The key that held the weights, if the file holds other things too; else ''.
        path: The file.
        key: The config key that gave the path.
    """

    state: State
    about: dict[str, str]
    inside: str
    path: str | Path
    key: str


def save_state(
    state: Mapping[str, torch.Tensor], path: str | Path, about: dict[str, str] | None = None
) -> None:
    """Write a state dict under a temporary name, then rename.

    All tensors are written as CPU tensors in the usual memory format.

    Args:
        state: The weights by name.
        path: safetensors if it ends in .safetensors, else torch's .pth.
        about: Notes, kept where PyTorch keeps versions of modules (the state dict's
            ``_metadata``) or in the header of safetensors; other programs do not see them.
    """
    tensors = OrderedDict(
        # copies, so that tensors share no memory and none is a part of a larger one
        (name, tensor.detach().cpu().clone(memory_format=torch.contiguous_format))
        for name, tensor in state.items()
    )
    with atomic_write(path, 'wb') as file:
        if Path(path).suffix == '.safetensors':
            file.write(safetensors.torch.save(tensors, about or None))
        else:
            setattr(tensors, '_metadata', OrderedDict({'': about or {}}))  # noqa: B010  as torch
            _write_torch(tensors, file)


def load_state(path: str | Path, key: str = 'TEST.WEIGHT') -> State:
    """Return only the state of :func:`load_checkpoint`."""
    return load_checkpoint(path, key).state


def load_checkpoint(path: str | Path, key: str = 'TEST.WEIGHT') -> Checkpoint:
    """Read a state dict, .pth or safetensors; the content decides which.

    The file may also hold an epoch, an optimizer and the like; the state dict may be under any key,
    even in nested dicts, and its names may begin with ``module.`` or ``_orig_mod.``. The log
    reports such cases.

    Args:
        path: The file.
        key: The config key that gave the path, for errors.

    Raises:
        InputError: The path is empty or missing; the file is not a checkpoint or is truncated; it
            holds code (never run), several state dicts or the state of a run; or it claims to be
            far larger than it is.
    """
    state, inside = find_state(read_weights_file(path, key), path, key)
    check_tensors(state.values(), path, key)
    weights = {
        re.sub(r'^(module\.)+', '', re.sub(r'(?<![^.])_orig_mod\.', '', name)): tensor.detach()
        for name, tensor in state.items()
    }
    if len(weights) < len(state):
        raise InputError(
            f'{key}: {path} holds weights of the same name with and without module. or _orig_mod. '
            'before it; save only one model'
        )
    renamed = weights.keys() != state.keys()
    if inside or renamed:
        logger.info(
            '%s: %s: read the weights%s%s',
            key,
            path,
            f' under {inside!r}' if inside else '',
            ' without module. or _orig_mod. before their names' if renamed else '',
        )
    return Checkpoint(weights, notes_of(state), inside, path, key)


def check_state(
    state: Mapping[str, torch.Tensor],
    expected: Mapping[str, torch.Tensor],
    path: str | Path,
    key: str = 'TEST.WEIGHT',
) -> None:
    """Raise ``Mismatch`` unless ``state`` has the expected names and shapes."""
    differences = {
        'missing': [n for n in expected if n not in state],
        'unknown': [n for n in state if n not in expected],
        'of another shape': [
            f'{n} {tuple(state[n].shape)} instead of {tuple(expected[n].shape)}'
            for n in expected
            if n in state and state[n].shape != expected[n].shape
        ],
    }
    problems = [
        f'{len(names)} {what} ({", ".join(names[:3])}{", …" if len(names) > 3 else ""})'
        for what, names in differences.items()
        if names
    ]
    if problems:
        raise Mismatch(
            f'{key}: {path} does not match this model: {"; ".join(problems)}; check MODEL.NAME, '
            'the sizes and the number of individuals'
        )


# ------------------------------------------------------------------------------------------- trees


def sha256_state(state: State) -> str:
    """Return the SHA-256 of the values of a state dict, as hex: of weights that have no file."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def copy_tree(tree: Any) -> Any:
    """Return a copy on the CPU, for :func:`save_tree`.

    It shares no memory with ``tree`` and contains no container twice. Tensors keep their memory
    format.
    """
    if isinstance(tree, torch.Tensor):
        return tree.detach().to('cpu', copy=True)
    if isinstance(tree, dict):
        return {name: copy_tree(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(copy_tree(value) for value in tree)
    return tree


def save_tree(tree: Any, path: str | Path) -> None:
    """Write a tree from :func:`copy_tree` under a temporary name, then rename.

    Raises:
        ValueError: :func:`load_tree` could not read it: it contains something other than dict,
            list, tuple, str, int, float, bool, None and tensors, or a key that is neither str nor
            int.
    """
    _tensors_of(tree)
    with atomic_write(path, 'wb') as file:
        _write_torch(tree, file)


def load_tree(path: str | Path, key: str) -> Any:
    """Read a tree written by :func:`save_tree`; its tensors are on the CPU.

    Raises:
        InputError: As :func:`load_checkpoint`.
    """
    tree = read_weights_file(path, key)
    try:
        tensors = _tensors_of(tree)
    except ValueError as error:
        raise InputError(
            f'{key}: {path} is not a state saved by this program, or is damaged ({error})'
        ) from None
    check_tensors(tensors, path, key)
    return tree


def _tensors_of(tree: Any) -> list[torch.Tensor]:
    """Return all tensors of a tree; without recursion, since untrusted trees may be deep.

    Raises:
        ValueError: It contains other things, or a container twice, which could be a loop, or a few
            bytes that stand for billions of values.
    """
    todo, seen, tensors = [tree], set(), []
    while todo:
        node = todo.pop()
        if isinstance(node, torch.Tensor):
            tensors.append(node)
        elif isinstance(node, dict | list | tuple):
            if node and id(node) in seen:
                raise ValueError(f'it contains a {type(node).__name__} twice')
            seen.add(id(node))
            if not isinstance(node, dict):
                todo.extend(node)
            elif is_plain_dict(node) and all(type(name) in (str, int) for name in node):
                todo.extend(node.values())
            else:
                raise ValueError('a dict with attributes, or a key that is neither text nor number')
        elif node is not None and type(node) not in (str, int, float, bool):
            raise ValueError(f'a value of type {type(node).__name__}')
    return tensors


def _write_torch(value: Any, file: IO[bytes]) -> None:
    try:
        torch.save(value, file)
    except RuntimeError as error:  # torch's error for a failed write
        reason = error.__context__
        raise (reason if isinstance(reason, OSError) else OSError(first_line(error))) from error
