"""Merge the defaults, a yml and ``KEY VALUE`` pairs into one frozen config."""

import difflib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from configs import rules
from configs.defaults import RULES, flatten, get_defaults
from configs.rules import Ignored
from configs.values import ConfigError, Value, short
from configs.yml_files import base_chain

_FLAT = "is that of the original's base variants"
_BASE_VARIANT = 'with SOLVER.STAGE1.MAX_EPOCHS 0 and MODEL.I2T_LOSS_WEIGHT 0'


def load_cfg(config_file: str | Path = '', opts: Sequence[str] = ()) -> CfgNode:
    """Merge defaults, ``config_file`` and ``opts`` into a frozen config, and check every value.

    Args:
        config_file: A yml; ``_BASE_: other.yml`` in it is merged first. '' = the defaults alone.
        opts: ``KEY, VALUE, KEY, VALUE …``; they win over the file.

    Raises:
        ConfigError: Missing or broken file, unknown key (the nearest one is named), key given
            twice or without a value, value of a wrong type or not allowed.
    """
    cfg = get_defaults()
    if config_file:
        for path, tree in base_chain(Path(config_file)):
            _merge(cfg, tree, '', str(path))
    if len(opts) % 2:
        raise ConfigError(
            'command line: overrides come in pairs KEY VALUE (a value with spaces needs quotes), '
            f'but the number of words is odd, {len(opts)}: {short(" ".join(map(str, opts)))}'
        )
    for key, value in zip(opts[::2], opts[1::2], strict=True):
        below: Any = value
        for part in reversed(str(key).split('.')):
            below = {part: below}
        _merge(cfg, below, '', 'command line')
    _check_together(cfg)
    _warn_of_ignored(cfg)
    cfg.freeze()
    return cfg


def with_value(cfg: CfgNode, key: str, value: Value) -> CfgNode:
    """Return a copy of ``cfg``, not frozen, with another value of 'SECTION.KEY'."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.merge_from_list([key, value])
    return cfg


# ------------------------------------------------------------------------------------------- merge


def _merge(cfg: CfgNode, tree: dict, prefix: str, where: str) -> None:
    """Put the values of ``tree`` into the section ``cfg``. ``where``: a yml, or 'command line'."""
    if prefix == 'SOLVER.':
        _reject_flat_solver(cfg, tree, where)
    # empty sections last: the other errors say more
    for key, value in sorted(tree.items(), key=lambda item: item[1] is None):
        name = f'{prefix}{key}'
        if key not in cfg:
            name = _first_path(name, value)
            raise ConfigError(f'{where}: unknown key {short(name)}{_did_you_mean(name)}')
        if isinstance(cfg[key], CfgNode):
            _check_section(cfg[key], value, f'{where}: {name}')
            _merge(cfg[key], value, f'{name}.', where)
        else:
            cfg[key] = _read(name, value, where)


def _check_section(section: CfgNode, value: object, name: str) -> None:
    keys = ', '.join(section)
    if value is None:
        raise ConfigError(
            f'{name} is an empty section: fill in its keys ({keys}), or take the line out'
        )
    if not isinstance(value, dict):
        raise ConfigError(f'{name} is a section and has no value of its own; its keys are {keys}')


def _read(name: str, value: object, where: str) -> Value:
    rule = RULES[name]
    if value is None:
        is_path = isinstance(rule, rules.Path)
        home = '; a bare ~ is YAML for none, the home is ~/' if is_path else ''
        raise ConfigError(f'{where}: {name} has no value; its default is {rule.default!r}{home}')
    if isinstance(value, dict):
        unknown = f'{name}.{short(str(next(iter(value), "")))}'
        raise ConfigError(f'{where}: unknown key {unknown}: {name} is a value, not a section')
    try:
        return rule.read(value)
    except ValueError as error:
        raise ConfigError(f'{where}: {name} {error}') from None


# ------------------------------------------------------------------------------------ unknown keys


def _reject_flat_solver(solver: CfgNode, tree: dict, where: str) -> None:
    flat = [key for key in tree if key not in solver and key in solver.STAGE2]
    if len(flat) > 1:
        keys = ', '.join(f'SOLVER.STAGE2.{key}' for key in flat)
        raise ConfigError(
            f'{where}: unknown keys: a flat SOLVER {_FLAT}; here its keys are {keys}, '
            f'{_BASE_VARIANT}'
        )


def _first_path(name: str, value: object) -> str:
    """Follow the first key of each section to a value."""
    while isinstance(value, dict) and value:
        part, value = next(iter(value.items()))
        name += f'.{part}'
    return name


def _did_you_mean(name: str) -> str:
    """The end of the error about an unknown key."""
    name = name[:100].upper()  # as all keys are
    close = _nearest(name)
    hint = f'; did you mean {" or ".join(close[:3])}?' if close else ''
    stage2 = name.replace('SOLVER.', 'SOLVER.STAGE2.', 1)
    if name.startswith('SOLVER.') and stage2 in RULES:
        hint += f' A flat SOLVER {_FLAT}: here it is {stage2}, {_BASE_VARIANT}'
    return hint


def _nearest(name: str) -> list[str]:
    """The keys that may be meant: an old flat key or a forgotten section wins over spelling."""
    last = name.rsplit('.', 1)[-1]
    by_last = {key.rsplit('.', 1)[-1]: key for key in RULES}
    return (
        difflib.get_close_matches(name, RULES, 1, 0.9)
        or [key for key in RULES if key.rsplit('.', 1)[-1] == last]
        or difflib.get_close_matches(name, RULES, 3, 0.6)
        or [by_last[word] for word in difflib.get_close_matches(last, by_last, 1, 0.6)]
    )


# --------------------------------------------------------------------------- several keys together


def _check_together(cfg: CfgNode) -> None:
    """Reject values that are allowed, but not together. Rules of one key stand in defaults.py."""
    photos, instances = cfg.SOLVER.STAGE2.IMS_PER_BATCH, cfg.DATALOADER.NUM_INSTANCE
    if cfg.DATALOADER.SAMPLER == 'softmax_triplet' and photos % instances:
        raise ConfigError(
            f'SOLVER.STAGE2.IMS_PER_BATCH {photos} is no multiple of DATALOADER.NUM_INSTANCE '
            f'{instances}; a batch is P individuals x NUM_INSTANCE photos'
        )
    choice = cfg.MODEL.PRETRAIN_CHOICE
    if choice in ('self', 'finetune') and not cfg.MODEL.PRETRAIN_PATH:
        raise ConfigError(
            f'MODEL.PRETRAIN_CHOICE {choice!r} needs MODEL.PRETRAIN_PATH, the checkpoint to start '
            'from'
        )


def _warn_of_ignored(cfg: CfgNode) -> None:
    for key, value in flatten(cfg).items():
        rule = RULES[key]
        if isinstance(rule, Ignored) and value not in rule.usual:
            logging.getLogger('transreid').warning(
                '%s is %r: this key is only kept so that old ymls load, it has no effect',
                key,
                value,
            )
