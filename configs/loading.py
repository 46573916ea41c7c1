"""Merges the defaults, a yml and ``KEY VALUE`` pairs into one frozen config."""

import difflib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from yacs.config import CfgNode

from configs import rules
from configs.defaults import RULES
from configs.rules import ConfigError, Value, short

BASE_KEY = '_BASE_'  # path of the yml that this yml is based on, relative to its own folder
MAX_BYTES = 100_000  # largest size of a yml; one with all keys has about 4,000


def load_cfg(config_file: str | Path = '', opts: Sequence[str] = ()) -> CfgNode:
    """Merge defaults, ``config_file`` and ``opts`` into a frozen config, and check every value.

    Args:
        config_file: A yml, merged after the yml that its ``_BASE_`` names. '' = only defaults.
        opts: ``KEY, VALUE, KEY, VALUE …``; they override the file.

    Raises:
        ConfigError: Missing or broken file, unknown key (the nearest one is named), key given
            twice or without a value, value of the wrong type or not allowed.
    """
    values = with_defaults(read_file(config_file) | read_pairs(opts))
    check_together(values)
    for key, rule in RULES.items():
        if isinstance(rule, rules.Ignored) and values[key] not in (rule.default, rule.also):
            logging.getLogger('transreid').warning(
                '%s is %r: this key has no effect and is only kept so that old ymls load',
                key,
                values[key],
            )
    cfg = _as_tree(values)
    cfg.freeze()
    return cfg


def read_file(config_file: str | Path) -> dict[str, Value]:
    """Return what a yml and those below it set; {} without a yml. Raises ``ConfigError``."""
    given: dict[str, Value] = {}
    for path, tree in _read_ymls(Path(config_file)) if config_file else []:
        given |= read_values(flatten(tree).items(), str(path))
    return given


def with_defaults(given: Mapping[str, Value]) -> dict[str, Value]:
    """Return the value of every key; defaults may depend on the network that is ``given``."""
    return {key: rule.default for key, rule in RULES.items()} | _left_to_timm(given) | dict(given)


def read_values(pairs: Iterable[tuple[str, object]], where: str) -> dict[str, Value]:
    """Check pairs of key and value: each by its rule.

    Args:
        pairs: The pairs; a value may be text, as on the command line.
        where: Where they come from, for error messages.

    Raises:
        ConfigError: Unknown key (the nearest one is named), or a value that is not allowed.
    """
    return {key: _read_value(key, value, where) for key, value in pairs}


def read_pairs(opts: Sequence[str]) -> dict[str, Value]:
    """Check ``KEY, VALUE, KEY, VALUE …`` of a command line. Raises ``ConfigError``."""
    if len(opts) % 2:
        raise ConfigError(
            'command line: overrides come in pairs KEY VALUE (a value with spaces needs quotes), '
            f'but the number of words is odd, {len(opts)}: {short(" ".join(map(str, opts)))}'
        )
    return read_values(zip(opts[::2], opts[1::2], strict=True), 'command line')


def with_value(cfg: CfgNode, key: str, value: Value) -> CfgNode:
    """Return an unfrozen copy of ``cfg`` with another value for 'SECTION.KEY'."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.merge_from_list([key, value])
    return cfg


def changes(cfg: CfgNode) -> str:
    """Return the keys of ``cfg`` that differ from the defaults, as 'KEY: value' lines."""
    values = flatten(cfg)
    lines = [f'{key}: {values[key]!r}' for key in RULES if values[key] != RULES[key].default]
    return '\n'.join(lines) or 'none'


def ignored_keys() -> set[str]:
    """Return the keys that have no effect; they only exist so that old ymls load."""
    return {key for key, rule in RULES.items() if isinstance(rule, rules.Ignored)}


def flatten(tree: Mapping[Any, Any], prefix: str = '') -> dict[str, Value]:
    """Return {'MODEL.NAME': 'RN50', …} for a config, a section or the sections of a yml."""
    flat: dict[str, Value] = {}
    for key, value in tree.items():
        name = f'{prefix}{key}'
        flat |= flatten(value, f'{name}.') if isinstance(value, dict) and value else {name: value}
    return flat


def _as_tree(values: dict[str, Value]) -> CfgNode:
    cfg = CfgNode()
    for key, value in values.items():
        *sections, name = key.split('.')
        section = cfg
        for part in sections:
            section = section.setdefault(part, CfgNode())
        section[name] = value
    return cfg.clone()  # so that lists are not shared with the defaults


# ---------------------------------------------------------------------------------------- yml files


def _read_ymls(path: Path, seen: tuple[str, ...] = ()) -> list[tuple[Path, dict]]:
    """Return (path, tree) of each yml from the lowest base to ``path`` itself.

    ``seen`` holds the real paths of the ymls that are based on it.
    """
    real = os.path.realpath(path)
    if real in seen:
        raise ConfigError(f'{path}: {BASE_KEY} leads back to this file')
    tree = read_yml(path)
    try:
        base = rules.Path('').read(tree.pop(BASE_KEY, ''))
    except ValueError as error:
        raise ConfigError(f'{path}: {BASE_KEY} {error}') from None
    below = _read_ymls(path.parent / base, (*seen, real)) if base else []
    return [*below, (path, tree)]


def read_yml(path: Path) -> dict[Any, Any]:
    """Return the content of a yml: plain values, sections in sections.

    Raises:
        ConfigError: It is missing, too large, not YAML, or not made of ``KEY: VALUE``.
    """
    if not os.path.isfile(path):  # reading a pipe or device could hang
        raise ConfigError(
            f'config file {short(str(path), 300)} does not exist or is not a regular file'
        )
    if path.stat().st_size > MAX_BYTES:
        raise ConfigError(f'{path}: larger than {MAX_BYTES} bytes; is it a config file?')
    try:
        tree = yaml.load(path.read_bytes().decode(), _Loader) or {}
    # YAMLError; for a tag on an unsuitable value also ValueError, IndexError and others
    except Exception as error:
        reason = ' '.join(str(error).split()).replace('in "<unicode string>", ', 'in ')
        raise ConfigError(f'{path}: not a readable YAML file: {short(reason, 300)}') from None
    if not isinstance(tree, dict):
        raise ConfigError(f'{path}: expected sections of KEY: VALUE, got {type(tree).__name__}')
    return tree


class _Loader(yaml.SafeLoader):
    """Loads plain values; rejects repeated keys, and aliases: a few can expand to gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.MarkedYAMLError(
                problem=f'alias *{event.anchor} is not allowed, write the value itself',
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        names = set()
        for key, _ in node.value:
            if str(key.value) in names:
                raise yaml.MarkedYAMLError(
                    problem=f'{key.value} is given twice', problem_mark=key.start_mark
                )
            names.add(str(key.value))
        return super().construct_mapping(node, deep)


# -------------------------------------------------------------------------------- keys and values


def _read_value(key: str, value: object, where: str) -> Value:
    if key not in RULES:
        raise ConfigError(f'{where}: {_unknown_key(key)}')
    if value is None:
        raise ConfigError(
            f'{where}: {key} has no value (in YAML a bare ~ means none); its default is '
            f'{RULES[key].default!r}'
        )
    try:
        return RULES[key].read(value)
    except ValueError as error:
        raise ConfigError(f'{where}: {key} {error}') from None


def _unknown_key(name: str) -> str:
    below = [key.removeprefix(f'{name}.') for key in RULES if key.startswith(f'{name}.')]
    if below:
        keys = ', '.join(dict.fromkeys(key.split('.')[0] for key in below))
        return f'{name} is a section: set its keys ({keys}), or delete the line'
    upper = name[:100].upper()  # as all keys are written
    last = upper.rsplit('.', 1)[-1]
    close = (  # an old flat key or a missing section is likelier than a typo
        difflib.get_close_matches(upper, RULES, 1, 0.9)
        or [key for key in RULES if key.rsplit('.', 1)[-1] == last]
        or difflib.get_close_matches(upper, RULES, 3, 0.6)
    )
    hint = f'; did you mean {" or ".join(close[:3])}?' if close else ''
    if upper == f'SOLVER.{last}' and f'SOLVER.STAGE2.{last}' in RULES:
        hint += (
            " A flat SOLVER belongs to the original's base variants: here use SOLVER.STAGE2, with "
            'SOLVER.STAGE1.MAX_EPOCHS 0 and MODEL.I2T_LOSS_WEIGHT 0'
        )
    return f'unknown key {short(name)}{hint}'


# ---------------------------------- several keys together; rules of one key stand in defaults.py


def _left_to_timm(given: Mapping[str, Value]) -> dict[str, Value]:
    """Return 'auto' for the keys that timm's data config decides if nothing sets them."""
    if not rules.TIMM.fullmatch(given.get('MODEL.NAME', '')):
        return {}
    return {key: rules.AUTO for key, rule in RULES.items() if isinstance(rule, rules.NumberOrAuto)}


def check_together(values: Mapping[str, Value]) -> None:
    """Raise ``ConfigError`` if values that are allowed alone do not fit together."""
    photos = values['SOLVER.STAGE2.IMS_PER_BATCH']
    instances = values['DATALOADER.NUM_INSTANCE']
    if values['DATALOADER.SAMPLER'] == 'softmax_triplet' and photos % instances:
        raise ConfigError(
            f'SOLVER.STAGE2.IMS_PER_BATCH {photos} is not a multiple of DATALOADER.NUM_INSTANCE '
            f'{instances}; a batch has NUM_INSTANCE photos of each of its individuals'
        )
    left = [
        key
        for key, rule in RULES.items()
        if isinstance(rule, rules.NumberOrAuto) and values[key] == rules.AUTO
    ]
    if left and not rules.TIMM.fullmatch(values['MODEL.NAME']):
        raise ConfigError(
            f"{left[0]} 'auto' needs an encoder of timm (MODEL.NAME timm:<name>), but MODEL.NAME "
            f'is {values["MODEL.NAME"]}; give numbers'
        )
    choice = values['MODEL.PRETRAIN_CHOICE']
    if choice in ('self', 'finetune') and not values['MODEL.PRETRAIN_PATH']:
        raise ConfigError(
            f'MODEL.PRETRAIN_CHOICE {choice!r} needs MODEL.PRETRAIN_PATH, the checkpoint to start '
            'from'
        )
    if choice == 'finetune' and values['MODEL.PROMPT_START'] == 'number':
        raise ConfigError(
            "MODEL.PROMPT_START 'number' needs CLIP's vocabulary, which a trained checkpoint "
            "lacks; set MODEL.PRETRAIN_CHOICE 'clip', or MODEL.PROMPT_START 'random'"
        )
