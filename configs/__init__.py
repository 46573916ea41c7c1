"""Configuration: defaults, then the yml (and the ymls it is based on), then ``KEY VALUE`` pairs, then frozen."""
import ast
import difflib
import logging
from pathlib import Path

import yaml
from yacs.config import CfgNode

from configs.defaults import CHOICES, KEPT, get_defaults

BASE_KEY = '_BASE_'  # a yml names the yml it builds on, relative to itself


class ConfigError(Exception):
    """A config file, key or value that cannot be used. The message is one line."""


def load_cfg(config_file='', opts=()):
    """Merge defaults, ``config_file`` and ``opts`` into a frozen ``CfgNode``.

    Parameters
    ----------
    config_file : str or Path
        A yml; ``_BASE_: other.yml`` in it is merged first. ``''`` = the defaults alone.
    opts : sequence of str
        ``KEY, VALUE, KEY, VALUE …``; wins over the file.

    Raises
    ------
    ConfigError
        Missing or broken file, unknown key (the nearest one is named), wrong type, key without a value, value
        that is not among the choices.
    """
    cfg = get_defaults()
    if config_file:
        for path, tree in _base_chain(Path(config_file)):
            _merge(cfg, tree, '', str(path))
    opts = list(opts)
    if len(opts) % 2:
        raise ConfigError(f'command line: overrides come in pairs KEY VALUE, but {len(opts)} words were given: '
                          f'{" ".join(map(str, opts))}')
    for key, value in zip(opts[::2], opts[1::2], strict=True):
        tree = value
        for part in reversed(str(key).split('.')):
            tree = {part: tree}
        _merge(cfg, tree, '', 'command line')
    check_cfg(cfg)
    cfg.freeze()
    return cfg


def flatten(cfg, prefix=''):
    """{'MODEL.NAME': 'RN50', …} of a CfgNode."""
    flat = {}
    for key, value in cfg.items():
        flat |= flatten(value, f'{prefix}{key}.') if isinstance(value, CfgNode) else {prefix + key: value}
    return flat


def _base_chain(path, seen=()):
    """[(path, tree)] from the lowest base to ``path`` itself."""
    if path.resolve() in seen:
        raise ConfigError(f'{path}: {BASE_KEY} goes round in a circle')
    if not path.is_file():
        raise ConfigError(f'config file {path} does not exist')
    try:
        tree = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise ConfigError(f'{path}: not a readable YAML file: {" ".join(str(error).split())}') from None
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise ConfigError(f'{path}: expected sections of KEY: VALUE, got {type(tree).__name__}')
    base = tree.pop(BASE_KEY, '')
    if not isinstance(base, str):
        raise ConfigError(f'{path}: {BASE_KEY} must be the path of a yml, got {base!r}')
    below = _base_chain(path.parent / base, (*seen, path.resolve())) if base else []
    return [*below, (path, tree)]


def _merge(cfg, tree, prefix, where):
    for key, value in tree.items():
        name = f'{prefix}{key}'
        if key not in cfg:
            while isinstance(value, dict) and value:  # to the end of the first path below it
                part, value = next(iter(value.items()))
                name += f'.{part}'
            raise ConfigError(f'{where}: unknown key {name}{_nearest(name)}')
        if isinstance(cfg[key], CfgNode):
            if not isinstance(value, dict):
                raise ConfigError(f'{where}: {name} is a section and has no value of its own; its keys are '
                                  f'{", ".join(cfg[key])}')
            _merge(cfg[key], value, f'{name}.', where)
        else:
            if isinstance(value, dict):
                raise ConfigError(f'{where}: unknown key {name}.{next(iter(value), "")}: {name} is a value, not a section')
            cfg[key] = _coerce(value, cfg[key], name, where)


def _nearest(name):
    known = list(flatten(get_defaults()))
    name = name.upper()  # as all keys are
    tail = name.rsplit('.', 1)[-1]
    # an old flat key (SOLVER.BASE_LR) or a forgotten section: the same last part wins over spelling
    close = (difflib.get_close_matches(name, known, 1, 0.9) or [k for k in known if k.rsplit('.', 1)[-1] == tail]
             or difflib.get_close_matches(name, known, 3, 0.6))
    if not close:
        tails = {k.rsplit('.', 1)[-1]: k for k in known}
        close = [tails[t] for t in difflib.get_close_matches(tail, tails, 1, 0.6)]
    return f'; did you mean {" or ".join(close[:3])}?' if close else ''


def _coerce(value, default, name, where):
    """``value`` in the type of ``default``; text is read as a Python literal first, as YACS does."""
    if value is None:
        raise ConfigError(f'{where}: {name} has no value; its default is {default!r}')
    literal = value
    if isinstance(value, str):
        try:
            literal = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            literal = value
    if isinstance(default, str):
        return _text(value, literal, name, where)
    if isinstance(default, bool):
        if isinstance(literal, bool):
            return literal
    elif isinstance(default, int):
        if isinstance(literal, int) and not isinstance(literal, bool):
            return literal
    elif isinstance(default, float):
        if isinstance(literal, int | float) and not isinstance(literal, bool):
            return float(literal)
    elif isinstance(literal, list | tuple):
        if all(isinstance(x, int | float) and not isinstance(x, bool) for x in literal) \
                and (not isinstance(default[0], int) or all(isinstance(x, int) for x in literal)):
            return type(default)(literal)
    raise ConfigError(f'{where}: {name} must be {_type_text(default)} like {default!r}, got {value!r}')


def _text(value, literal, name, where):
    if isinstance(literal, str):
        return literal
    if isinstance(literal, bool) and isinstance(value, bool):  # YAML reads a bare yes, no, on, off as a boolean
        words = [w for w in CHOICES.get(name, []) if w in (('yes', 'on') if literal else ('no', 'off'))]
        return words[0] if words else str(value)
    if isinstance(value, list | tuple | dict):
        raise ConfigError(f'{where}: {name} must be a text, got {value!r}')
    return str(value)


def _type_text(default):
    if isinstance(default, list | tuple):
        return f'a list of {"whole numbers" if isinstance(default[0], int) else "numbers"}'
    return {bool: 'True or False', int: 'a whole number', float: 'a number'}[type(default)]


# ------------------------------------------------------------------------------------------------- values

def check_cfg(cfg):
    """Values that no part of the system can use, refused before anything starts. ConfigError names key and remedy."""
    flat = flatten(cfg)
    for key, choices in CHOICES.items():
        if flat[key] not in choices:
            raise ConfigError(f'{key} is {flat[key]!r}; choose from {", ".join(map(repr, choices))}')
    for key, value in flat.items():
        _check_range(key, value)
    if cfg.DATALOADER.SAMPLER == 'softmax_triplet' and cfg.SOLVER.STAGE2.IMS_PER_BATCH % cfg.DATALOADER.NUM_INSTANCE:
        raise ConfigError(f'SOLVER.STAGE2.IMS_PER_BATCH {cfg.SOLVER.STAGE2.IMS_PER_BATCH} is no multiple of '
                          f'DATALOADER.NUM_INSTANCE {cfg.DATALOADER.NUM_INSTANCE}; a batch is P individuals x '
                          f'NUM_INSTANCE photos')
    if cfg.MODEL.PRETRAIN_CHOICE in ('self', 'finetune') and not cfg.MODEL.PRETRAIN_PATH:
        raise ConfigError(f'MODEL.PRETRAIN_CHOICE {cfg.MODEL.PRETRAIN_CHOICE!r} needs MODEL.PRETRAIN_PATH, the '
                          f'checkpoint to start from')
    if list(cfg.SOLVER.STAGE2.STEPS) != sorted(cfg.SOLVER.STAGE2.STEPS):
        raise ConfigError(f'SOLVER.STAGE2.STEPS must rise, got {cfg.SOLVER.STAGE2.STEPS}')
    for key, usual in KEPT.items():
        if flat[key] not in usual:
            logging.getLogger('transreid').warning('%s is %r: this key is only kept so that old ymls load, it has no effect',
                                                   key, flat[key])


_POSITIVE = ('IMS_PER_BATCH', 'NUM_INSTANCE', 'CHECKPOINT_PERIOD', 'RESUME_PERIOD', 'LOG_PERIOD', 'EVAL_PERIOD', 'RERANK_K1',
             'RERANK_K2', 'SIZE_TRAIN', 'SIZE_TEST', 'STRIDE_SIZE', 'BASE_LR', 'PIXEL_STD')
_NOT_NEGATIVE = ('NUM_WORKERS', 'CHECKPOINT_MINUTES', 'CACHE_GB', 'MAX_EPOCHS', 'WEIGHT', 'DECAY', 'MARGIN', 'PADDING', 'LR_MIN',
                 'WARMUP', 'SEED', 'CENTER_LR', 'BIAS_LR_FACTOR', 'MOMENTUM', 'GAMMA')
_SHARE = ('INPUT.PROB', 'INPUT.RE_PROB', 'TEST.RERANK_LAMBDA')
_LENGTH = {'INPUT.SIZE_TRAIN': 2, 'INPUT.SIZE_TEST': 2, 'MODEL.STRIDE_SIZE': 2, 'INPUT.PIXEL_MEAN': 3,
           'INPUT.PIXEL_STD': 3}


def _check_range(key, value):
    numbers = [x for x in (value if isinstance(value, list | tuple) else [value])
               if isinstance(x, int | float) and not isinstance(x, bool)]
    last = key.rsplit('.', 1)[-1]
    if any(x != x or abs(x) == float('inf') for x in numbers):
        raise ConfigError(f'{key} must be finite, got {value}')
    if key in _LENGTH and len(value) != _LENGTH[key]:
        raise ConfigError(f'{key} must have {_LENGTH[key]} numbers, got {value}')
    if last in _POSITIVE and any(x <= 0 for x in numbers):
        raise ConfigError(f'{key} must be greater than 0, got {value}')
    if any(word in last for word in _NOT_NEGATIVE) and any(x < 0 for x in numbers):
        raise ConfigError(f'{key} must not be negative, got {value}')
    if last == 'SEED' and value >= 2 ** 32:
        raise ConfigError(f'{key} must be below 2**32, got {value}')
    if key in _SHARE and not 0 <= value <= 1:
        raise ConfigError(f'{key} must lie between 0 and 1, got {value}')
