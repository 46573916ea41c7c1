"""Names of networks of the library timm, and what they expect of photos.

MODEL.NAME ``timm:<name>``: ``<name>`` is a network, such as ``vit_base_patch14_dinov2``, which a
tag may follow, such as ``.lvd142m``, that says how timm's weights were trained.
"""

import difflib
import functools
from collections.abc import Mapping
from typing import Any

import timm
from timm.data import resolve_data_config
from yacs.config import CfgNode

from model.names import TIMM, is_timm
from model.timm_files import find_timm_weights, read_config
from utils.errors import InputError, Mismatch

SIZES = ('SIZE_TRAIN', 'SIZE_TEST')
NORMALISATION = {'PIXEL_MEAN': 'mean', 'PIXEL_STD': 'std'}
KEYS = (*SIZES, *NORMALISATION)  # of INPUT, which may be 'auto'


def timm_name(name: str) -> str:
    """Return timm's name of MODEL.NAME ``name``.

    Raises:
        InputError: This version of timm has no such network or tag; the nearest ones are named.
    """
    name = name.removeprefix(TIMM)
    network, dot, tag = name.partition('.')
    known = _list_models('')
    if network not in known:
        raise InputError(
            f'MODEL.NAME: timm {timm.__version__} has no network {network!r}'
            f'{_nearest(network, known)}; timm.list_models() lists all of them'
        )
    tags = _list_models(f'{network}.*', pretrained=True) if dot else []
    if dot and name not in tags:
        raise InputError(
            f'MODEL.NAME: timm {timm.__version__} has no weights {tag!r} of {network}'
            f'{_nearest(name, tags)}; without a tag, timm chooses'
        )
    return name


@functools.cache
def _list_models(pattern: str, pretrained: bool = False) -> list[str]:
    """Return ``timm.list_models``; it sorts all names each time."""
    return timm.list_models(pattern, pretrained=pretrained)


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name.lower(), known, 3, 0.5)
    return f'; did you mean {" or ".join(close)}?' if close else ''


def pretrained_config(name: str) -> dict[str, Any]:
    """Return what timm knows of a network and its weights: sizes, mean, std, classifier, hub."""
    found = timm.get_pretrained_cfg(name)
    return found.to_dict() if found else {}


def is_of_fixed_size(name: str) -> bool:
    """Return whether the network is made for one size of photos, as most transformers are."""
    return bool(pretrained_config(name).get('fixed_input_size'))


def photo_size(name: str) -> tuple[int, int]:
    """Return the (height, width) in pixels of the photos that timm's weights were trained with."""
    _, height, width = resolve_data_config({}, pretrained_cfg=pretrained_config(name))['input_size']
    return height, width


def data_config(cfg: CfgNode) -> Mapping[str, Any]:
    """Return timm's data config: 'input_size' (3, H, W), 'mean', 'std' and others.

    A config.json beside the weights, as on the hub, overrides what timm knows.

    Raises:
        InputError: There is no such network; the weights or their config cannot be read.
    """
    name = timm_name(cfg.MODEL.NAME)
    known = pretrained_config(name)
    if cfg.MODEL.PRETRAIN_CHOICE in ('imagenet', 'clip') and cfg.MODEL.PRETRAIN_PATH:
        known |= read_config(find_timm_weights(cfg.MODEL.PRETRAIN_PATH), name)
    return resolve_data_config({}, pretrained_cfg=known)


def resolve_inputs(cfg: CfgNode) -> CfgNode:
    """Return the config with numbers in place of 'auto' in INPUT.

    Call it before anything reads INPUT. An 'auto' size is the other of INPUT.SIZE_TRAIN and
    SIZE_TEST if that is set, else that of timm's data config. The config of a CLIP is returned as
    it is.

    Raises:
        InputError: There is no such network; the config of its weights cannot be read.
    """
    if not is_timm(cfg.MODEL.NAME):
        return cfg
    timm_name(cfg.MODEL.NAME)  # checks it
    left = [key for key in KEYS if isinstance(cfg.INPUT[key], str)]  # 'auto', the only text
    if not left:
        return cfg
    data = _data_config_for(cfg, left)
    cfg = cfg.clone()
    cfg.defrost()
    given = [cfg.INPUT[key] for key in SIZES if key not in left] or [data['input_size'][1:]]
    values = dict.fromkeys(SIZES, given[0]) | {
        key: map(float, data[name]) for key, name in NORMALISATION.items()
    }
    for key in left:
        cfg.INPUT[key] = list(values[key])
    cfg.freeze()
    return cfg


def _data_config_for(cfg: CfgNode, keys: list[str]) -> Mapping[str, Any]:
    """Return :func:`data_config`; an error also says which keys of INPUT need it."""
    try:
        return data_config(cfg)
    except Mismatch:
        raise
    except InputError as error:
        named = ', '.join(f'INPUT.{key}' for key in keys)
        raise InputError(
            f"{error}; it is read since 'auto' stands for {named}: with numbers there it is not "
            'needed to test a trained model'
        ) from None
