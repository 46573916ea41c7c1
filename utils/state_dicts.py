"""The state dict in what a file holds, as training programs of all kinds save it."""

import re
from pathlib import Path
from typing import Any, TypeGuard

import torch

from utils.errors import InputError
from utils.weights_files import checkpoints_beside
from utils.words import first_few

DEPTH = 4  # of the dicts around a state dict
# what DataParallel and torch.compile put before the names of weights
WRAPPERS = ('module.', '_orig_mod.')
STATE_OF_A_RUN = {'format', 'stage', 'tensors'}  # of utils.run.journal's, besides other keys

State = dict[str, torch.Tensor]


def plain_name(name: str) -> str:
    """The name of a weight without what DataParallel and torch.compile put before it."""
    return re.sub(r'^(module\.)+', '', re.sub(r'(?<![^.])_orig_mod\.', '', name))


def plain_names(state: State, path: str | Path, key: str) -> dict[str, str]:
    """:func:`plain_name` of each name; InputError where two weights would have the same."""
    names = {name: plain_name(name) for name in state}
    if len(set(names.values())) < len(names):
        raise InputError(
            f'{key}: {path} holds weights of the same name with and without '
            f'{" or ".join(WRAPPERS)} before it; save one model alone'
        )
    return names


def find_state(content: Any, path: str | Path, key: str) -> tuple[State, str]:
    """The one state dict in what a file holds, and the name under which it stood, '' = alone.

    Raises:
        InputError: several or none, or the state of a run.
    """
    if _is_state(content):
        return content, ''
    found = []
    if is_plain_dict(content):
        if content.keys() >= STATE_OF_A_RUN:
            newest = checkpoints_beside(Path(path))
            remedy = 'no checkpoint lies beside it yet'
            if newest:
                remedy = f'take the newest checkpoint there, {newest[0]}'
            raise InputError(
                f'{key}: {path} is what a training resumes from, not a checkpoint; {remedy}'
            )
        found = _states_within(content)
    if len(found) > 1:
        names = [repr('.'.join(keys)[:40]) for keys, _ in found]
        first = ''.join(f'[{name!r}]' for name in found[0][0])
        raise InputError(
            f'{key}: {path} holds {len(found)} state dicts: {first_few(names, 4)}; save the '
            f'one you mean alone: torch.save(torch.load(path){first}, other_path)'
        )
    if not found:
        raise InputError(
            f'{key}: {path} is no plain state dict (names and tensors), and holds none'
        )
    keys, state = found[0]
    return state, '.'.join(keys)


def _states_within(content: dict) -> list[tuple[tuple[str, ...], State]]:
    """The state dicts in a dict, with the keys that lead to each.

    Deeper ones only where there is none above, so that an optimizer's parts are not found beside a
    model. Each dict is seen once: strangers' may hold themselves.
    """
    found: list[tuple[tuple[str, ...], State]] = []
    level: list[tuple[tuple[str, ...], dict]] = [((), content)]
    seen = set()
    while level and not found and len(level[0][0]) < DEPTH:
        below: list[tuple[tuple[str, ...], dict]] = []
        for keys, node in level:
            for name, value in node.items():
                if _is_name(name) and is_plain_dict(value) and id(value) not in seen:
                    seen.add(id(value))
                    (found if _is_state(value) else below).append(((*keys, name), value))
        level = below
    return found


def notes_of(state: State) -> dict[str, str]:
    """The texts that ``utils.checkpoint.save_state`` noted; strangers' notes may be anything."""
    notes = getattr(state, '_metadata', None)
    notes = notes.get('') if is_plain_dict(notes) else None
    if not is_plain_dict(notes):
        return {}
    return {name: text for name, text in notes.items() if type(name) is type(text) is str}


def is_plain_dict(node: Any) -> TypeGuard[dict]:
    """Whether it is a dict whose methods are a dict's.

    A stranger's OrderedDict may have attributes in their place.
    """
    return isinstance(node, dict) and not getattr(node, '__dict__', {}).keys() - {'_metadata'}


def _is_state(value: Any) -> TypeGuard[State]:
    if not is_plain_dict(value) or not value:
        return False
    return all(_is_name(name) and isinstance(x, torch.Tensor) for name, x in value.items())


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and len(name) <= 500 and name.isprintable()
