"""Checkpoints and states of runs: written whole or not at all, read without running anything."""

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
    """What is in a file of weights.

    state: CPU tensors by name, without what DataParallel and torch.compile put before the names.
    about: what was noted about them: nothing to rely on.
    inside: the name under which the weights stood beside other things; '' = they are the whole
        file.
    path: the file.
    key: the config key that the path came from.
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

    Tensors are written as on the CPU, in the usual memory format.

    Args:
        state: weights by name.
        path: safetensors where it ends so, else torch's .pth.
        about: notes, for where PyTorch keeps the versions of modules (the state dict's
            ``_metadata``) or for safetensors' header: who reads names and tensors only does not see
            them.
    """
    tensors = OrderedDict(
        # copies: no two share their memory, and none is a part of a larger one
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
    """The state of :func:`load_checkpoint` alone."""
    return load_checkpoint(path, key).state


def load_checkpoint(path: str | Path, key: str = 'TEST.WEIGHT') -> Checkpoint:
    """Read a state dict, .pth or safetensors (told by content).

    It may stand beside an epoch, an optimizer and the like, under whatever name, also in a dict
    within, and its names may begin with ``module.`` or ``_orig_mod.``; the log says so.

    Args:
        path: the file.
        key: the config key the path came from, for the error.

    Raises:
        InputError: an empty or missing path, a file that is no checkpoint or is cut short, one that
            holds more than weights (rejected, never run), several state dicts or the state of a
            run, or claims to be far larger than it is.
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
            'before it; save one model alone'
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
    """Mismatch unless names and shapes of ``state`` are the expected ones; copies nothing."""
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
            f'{key}: {path} does not fit this model: {"; ".join(problems)}; check MODEL.NAME, '
            'the sizes and the number of individuals'
        )


# ------------------------------------------------------------------------------------------- trees


def copy_tree(tree: Any) -> Any:
    """A copy on the CPU for :func:`save_tree`.

    It shares no memory with ``tree``, and no container of it stands in two places. Tensors keep
    their memory format.
    """
    if isinstance(tree, torch.Tensor):
        return tree.detach().to('cpu', copy=True)
    if isinstance(tree, dict):
        return {name: copy_tree(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(copy_tree(value) for value in tree)
    return tree


def save_tree(tree: Any, path: str | Path) -> None:
    """Write what :func:`copy_tree` gives, under a temporary name, then rename.

    Raises:
        ValueError: :func:`load_tree` would not read it: anything else than dict, list, tuple, str,
            int, float, bool, None and tensors, or a key that is neither str nor int.
    """
    _tensors_of(tree)
    with atomic_write(path, 'wb') as file:
        _write_torch(tree, file)


def load_tree(path: str | Path, key: str) -> Any:
    """Read what :func:`save_tree` wrote; dicts come back as dict, tensors on the CPU.

    Raises:
        InputError: as :func:`load_checkpoint`.
    """
    tree = read_weights_file(path, key)
    try:
        tensors = _tensors_of(tree)
    except ValueError as error:
        raise InputError(
            f"{key}: {path} is none of this program's states, or is damaged ({error})"
        ) from None
    check_tensors(tensors, path, key)
    return tree


def _tensors_of(tree: Any) -> list[torch.Tensor]:
    """All tensors of a tree that was read; without recursion, as strangers' trees may be deep.

    Raises:
        ValueError: other things in it, or a container in two places, which might be a loop, or few
            bytes that look like billions of values.
    """
    todo, seen, tensors = [tree], set(), []
    while todo:
        node = todo.pop()
        if isinstance(node, torch.Tensor):
            tensors.append(node)
        elif isinstance(node, dict | list | tuple):
            if node and id(node) in seen:
                raise ValueError(f'a {type(node).__name__} stands in two places')
            seen.add(id(node))
            if not isinstance(node, dict):
                todo.extend(node)
            elif is_plain_dict(node) and all(type(name) in (str, int) for name in node):
                todo.extend(node.values())
            else:
                raise ValueError('a dict with attributes, or a key that is no text or number')
        elif node is not None and type(node) not in (str, int, float, bool):
            raise ValueError(f'a value of type {type(node).__name__}')
    return tensors


def _write_torch(value: Any, file: IO[bytes]) -> None:
    try:
        torch.save(value, file)
    except RuntimeError as error:  # torch's own word for a write that failed
        reason = error.__context__
        raise (reason if isinstance(reason, OSError) else OSError(first_line(error))) from error
