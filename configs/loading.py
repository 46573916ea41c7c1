"""Merge the defaults, a yml and ``KEY VALUE`` pairs into one frozen config."""

import difflib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from configs.defaults import RULES
from configs.rules import Ignored
from configs.values import ConfigError, Value, short
from configs.yml_files import base_chain


def load_cfg(config_file: str | Path = '', opts: Sequence[str] = ()) -> CfgNode:
    """Merge defaults, ``config_file`` and ``opts`` into a frozen config, and check every value.

    Args:
        config_file: A yml; ``_BASE_: other.yml`` in it is merged first. '' = the defaults alone.
        opts: ``KEY, VALUE, KEY, VALUE …``; they win over the file.

    Raises:
        ConfigError: Missing or broken file, unknown key (the nearest one is named), key given
            twice or without a value, value of a wrong type or not allowed.
    """
    values = {key: rule.default for key, rule in RULES.items()}
    for path, tree in base_chain(Path(config_file)) if config_file else []:
        values |= {key: _read(key, value, str(path)) for key, value in flatten(tree).items()}
    if len(opts) % 2:
        raise ConfigError(
            'command line: overrides come in pairs KEY VALUE (a value with spaces needs quotes), '
            f'but the number of words is odd, {len(opts)}: {short(" ".join(map(str, opts)))}'
        )
    for key, value in zip(opts[::2], opts[1::2], strict=True):
        values[key] = _read(key, value, 'command line')
    _check_together(values)
    _warn_of_ignored(values)
    cfg = _as_tree(values)
    cfg.freeze()
    return cfg


def with_value(cfg: CfgNode, key: str, value: Value) -> CfgNode:
    """Return a copy of ``cfg``, not frozen, with another value of 'SECTION.KEY'."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.merge_from_list([key, value])
    return cfg


def ignored_keys() -> set[str]:
    """Return the keys that have no effect; they only exist so that old ymls load."""
    return {key for key, rule in RULES.items() if isinstance(rule, Ignored)}


def flatten(tree: Mapping[Any, Any], prefix: str = '') -> dict[str, Value]:
    """Return {'MODEL.NAME': 'RN50', …} of a config, a section or the sections of a yml."""
    flat: dict[str, Value] = {}
    for key, value in tree.items():
        name = f'{prefix}{key}'
        is_section = isinstance(value, dict) and value
        flat |= flatten(value, f'{name}.') if is_section else {name: value}
    return flat


def _as_tree(values: dict[str, Value]) -> CfgNode:
    cfg = CfgNode()
    for key, value in values.items():
        *sections, name = key.split('.')
        section = cfg
        for part in sections:
            section = section.setdefault(part, CfgNode())
        section[name] = value
    return cfg.clone()  # lists of the defaults are not shared


# --------------------------------------------------------------------------------- a key, its value


def _read(key: str, value: object, where: str) -> Value:
    """Check a value of the yml, or of the 'command line', that ``where`` names."""
    if key not in RULES:
        raise ConfigError(f'{where}: {_unknown(key)}')
    if value is None:
        raise ConfigError(
            f'{where}: {key} has no value (a bare ~ is none in YAML); its default is '
            f'{RULES[key].default!r}'
        )
    try:
        return RULES[key].read(value)
    except ValueError as error:
        raise ConfigError(f'{where}: {key} {error}') from None


def _unknown(name: str) -> str:
    """The error about a name that is no key, with the keys that may be meant."""
    below = [key.removeprefix(f'{name}.') for key in RULES if key.startswith(f'{name}.')]
    if below:
        keys = ', '.join(dict.fromkeys(key.split('.')[0] for key in below))
        return f'{name} is a section: set its keys ({keys}), or take the line out'
    upper = name[:100].upper()  # as all keys are
    last = upper.rsplit('.', 1)[-1]
    close = (  # an old flat key or a forgotten section wins over spelling
        difflib.get_close_matches(upper, RULES, 1, 0.9)
        or [key for key in RULES if key.rsplit('.', 1)[-1] == last]
        or difflib.get_close_matches(upper, RULES, 3, 0.6)
    )
    hint = f'; did you mean {" or ".join(close[:3])}?' if close else ''
    if upper == f'SOLVER.{last}' and f'SOLVER.STAGE2.{last}' in RULES:
        hint += (
            " A flat SOLVER is that of the original's base variants: its keys stand in "
            'SOLVER.STAGE2 here, with SOLVER.STAGE1.MAX_EPOCHS 0 and MODEL.I2T_LOSS_WEIGHT 0'
        )
    return f'unknown key {short(name)}{hint}'


# --------------------------------------------------------------------------- several keys together


def _check_together(values: dict[str, Value]) -> None:
    """Reject values that are allowed, but not together. Rules of one key stand in defaults.py."""
    photos = values['SOLVER.STAGE2.IMS_PER_BATCH']
    instances = values['DATALOADER.NUM_INSTANCE']
    if values['DATALOADER.SAMPLER'] == 'softmax_triplet' and photos % instances:
        raise ConfigError(
            f'SOLVER.STAGE2.IMS_PER_BATCH {photos} is no multiple of DATALOADER.NUM_INSTANCE '
            f'{instances}; a batch is P individuals x NUM_INSTANCE photos'
        )
    choice = values['MODEL.PRETRAIN_CHOICE']
    if choice in ('self', 'finetune') and not values['MODEL.PRETRAIN_PATH']:
        raise ConfigError(
            f'MODEL.PRETRAIN_CHOICE {choice!r} needs MODEL.PRETRAIN_PATH, the checkpoint to start '
            'from'
        )


def _warn_of_ignored(values: dict[str, Value]) -> None:
    for key, rule in RULES.items():
        if isinstance(rule, Ignored) and values[key] not in (rule.default, rule.also):
            logging.getLogger('transreid').warning(
                '%s is %r: this key is only kept so that old ymls load, it has no effect',
                key,
                values[key],
            )
