"""Merge the defaults, a yml and ``KEY VALUE`` pairs into one frozen config."""

import difflib
import logging
from collections.abc import Sequence
from pathlib import Path

from yacs.config import CfgNode

from configs import rules
from configs.defaults import RULES, as_tree
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
    values = {key: rule.default for key, rule in RULES.items()}
    if config_file:
        for path, tree in base_chain(Path(config_file)):
            values |= _read_pairs(_pairs(tree), str(path))
    if len(opts) % 2:
        raise ConfigError(
            'command line: overrides come in pairs KEY VALUE (a value with spaces needs quotes), '
            f'but the number of words is odd, {len(opts)}: {short(" ".join(map(str, opts)))}'
        )
    values |= _read_pairs(list(zip(opts[::2], opts[1::2], strict=True)), 'command line')
    _check_together(values)
    _warn_of_ignored(values)
    cfg = as_tree(values)
    cfg.freeze()
    return cfg


def with_value(cfg: CfgNode, key: str, value: Value) -> CfgNode:
    """Return a copy of ``cfg``, not frozen, with another value of 'SECTION.KEY'."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.merge_from_list([key, value])
    return cfg


# ------------------------------------------------------------------------------------------ values


def _pairs(tree: dict, prefix: str = '') -> list[tuple[str, object]]:
    """The pairs ('SECTION.KEY', value) of a yml."""
    pairs: list[tuple[str, object]] = []
    for key, value in tree.items():
        name = f'{prefix}{key}'
        is_section = isinstance(value, dict) and name not in RULES
        if is_section and (value or _keys_of(name)):
            pairs += _pairs(value, f'{name}.')
        else:
            pairs.append((name, value))
    return pairs


def _read_pairs(pairs: Sequence[tuple[str, object]], where: str) -> dict[str, Value]:
    """Check the pairs of a yml, or of the 'command line', and return each key's value."""
    names = [name for name, _ in pairs if name not in RULES]
    flat = [key for key in map(_in_stage2, names) if key in RULES]
    if len(flat) > 1:
        raise ConfigError(
            f'{where}: unknown keys: a flat SOLVER {_FLAT}; here its keys are {", ".join(flat)}, '
            f'{_BASE_VARIANT}'
        )
    # empty sections last: the other errors say more
    ordered = sorted(pairs, key=lambda pair: pair[1] is None)
    return {name: _read(name, value, where) for name, value in ordered}


def _read(name: str, value: object, where: str) -> Value:
    if name not in RULES:
        raise ConfigError(f'{where}: {_unknown(name, value)}')
    rule = RULES[name]
    if value is None:
        is_path = isinstance(rule, rules.Path)
        home = '; a bare ~ is YAML for none, the home is ~/' if is_path else ''
        raise ConfigError(f'{where}: {name} has no value; its default is {rule.default!r}{home}')
    if isinstance(value, dict):
        below = f'{name}.{short(str(next(iter(value), "")))}'
        raise ConfigError(f'{where}: unknown key {below}: {name} is a value, not a section')
    try:
        return rule.read(value)
    except ValueError as error:
        raise ConfigError(f'{where}: {name} {error}') from None


# ------------------------------------------------------------------------------------ unknown keys


def _keys_of(section: str) -> list[str]:
    """The keys and sections right below; none where it is no section."""
    below = [key.removeprefix(f'{section}.') for key in RULES if key.startswith(f'{section}.')]
    return list(dict.fromkeys(key.split('.')[0] for key in below))


def _in_stage2(name: str) -> str:
    return name.replace('SOLVER.', 'SOLVER.STAGE2.', 1) if name.startswith('SOLVER.') else ''


def _unknown(name: str, value: object) -> str:
    """The error about a name that is no key, with the keys that may be meant."""
    keys = ', '.join(_keys_of(name))
    if keys and value is None:
        return f'{name} is an empty section: fill in its keys ({keys}), or take the line out'
    if keys:
        return f'{name} is a section and has no value of its own; its keys are {keys}'
    upper = name[:100].upper()  # as all keys are
    close = _nearest(upper)
    hint = f'; did you mean {" or ".join(close[:3])}?' if close else ''
    stage2 = _in_stage2(upper)
    if stage2 in RULES:
        hint += f' A flat SOLVER {_FLAT}: here it is {stage2}, {_BASE_VARIANT}'
    return f'unknown key {short(name)}{hint}'


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
        if isinstance(rule, Ignored) and values[key] not in rule.usual:
            logging.getLogger('transreid').warning(
                '%s is %r: this key is only kept so that old ymls load, it has no effect',
                key,
                values[key],
            )
