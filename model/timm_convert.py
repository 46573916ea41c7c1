"""Renames weights of other programs to timm's names, by the order of the tensors.

Two programs that build the same network usually register its parts in the same order, so the
tensors correspond one by one, whatever their names.
"""

from collections.abc import Mapping
from pathlib import Path

import timm
import torch

from model.names import TIMM
from model.timm_model import COUNTERS, feature_length, load_network, without_classifier
from model.timm_names import photo_size, timm_name
from utils.checkpoint import load_checkpoint, save_state
from utils.errors import InputError, Mismatch

# Last parts of names that mean the same in all programs written with PyTorch.
KINDS = {'weight', 'bias', 'running_mean', 'running_var', COUNTERS}

State = Mapping[str, torch.Tensor]


def convert_weights(source: str, target: str, name: str, prefix: str = '') -> dict[str, int]:
    """Write the weights of ``source`` to ``target`` under timm's names; check that they load.

    Args:
        source: A state dict, .pth or safetensors, of a network that timm has too.
        target: The file to write, .safetensors.
        name: timm's name of the network, with or without 'timm:'.
        prefix: Use only the tensors whose names begin so, such as 'backbone.'.

    Returns:
        {'tensors': their number, 'renamed': how many have other names, 'feature': its length}.

    Raises:
        InputError: The source cannot be read, the target cannot be written, or timm does not know
            the network.
        Mismatch: The tensors do not correspond to those of the network.
    """
    target_path, name = _checked_target(target), timm_name(name)
    found = load_checkpoint(source, 'the weights to convert').state
    state = {n.removeprefix(prefix): t for n, t in found.items() if n.startswith(prefix)}
    if not state:
        raise InputError(
            f'{source}: no name of a tensor begins with {prefix!r}; they begin with '
            f'{next(iter(found)).partition(".")[0]!r} and the like'
        )
    renamed = rename_by_order(state, timm.create_model(name).state_dict(), name, source)
    # under a temporary name until the network has loaded it and given a feature
    unchecked = target_path.with_name(f'.{target_path.stem}.unchecked.safetensors')
    try:
        save_state(renamed, unchecked)
        size = photo_size(name)
        length = feature_length(load_network(name, size, unchecked), name, size)
        unchecked.replace(target_path)
    finally:
        unchecked.unlink(missing_ok=True)
    changed = sum(old != new for old, new in zip(state, renamed, strict=False))
    return {'tensors': len(renamed), 'renamed': changed, 'feature': length}


def _checked_target(target: str) -> Path:
    path = Path(target)
    if path.suffix != '.safetensors' or path.is_dir():
        raise InputError(f'{target}: the file to write must end in .safetensors')
    if not path.absolute().parent.is_dir():
        raise InputError(f'{target}: there is no folder {path.parent}; create it')
    return path


def rename_by_order(
    state: State, network: State, name: str, source: str
) -> dict[str, torch.Tensor]:
    """Return the tensors of ``state`` under the names of ``network``, which has the same order.

    If the names agree, nothing changes. A classifier may be missing, or have other classes.

    Args:
        state: The weights, in the order in which their network was built.
        network: The weights of timm's network with its classifier.
        name: timm's name of the network.
        source: The file of ``state``, for errors.

    Raises:
        Mismatch: The numbers of tensors differ, or a shape or the kind of a tensor (weight, bias,
            running_mean …) does; the first pair that differs is named.
    """
    without = without_classifier(dict(network), {}, name)
    if without.keys() <= state.keys():
        return dict(state)
    names = list(network if len(state) >= len(network) else without)
    for old, new in zip(state, names, strict=False):
        same = state[old].shape == network[new].shape or new not in without
        kinds = {old.rpartition('.')[2], new.rpartition('.')[2]}
        if not same or (len(kinds) == 2 and kinds <= KINDS):
            raise Mismatch(
                f'{source} does not correspond to {TIMM}{name}: {old} '
                f'{tuple(state[old].shape)} stands where {new} {tuple(network[new].shape)} is '
                'expected; name the network that the weights were made for'
            )
    if len(state) != len(names):
        raise Mismatch(
            f'{source} has {len(state)} tensors, but {TIMM}{name} has {len(network)}, '
            f'{len(without)} of them without its classifier; name the network that the weights '
            'were made for, or choose a part of them by --prefix'
        )
    return dict(zip(names, state.values(), strict=True))
