"""Configuration: defaults, then the yml (and the ymls it is based on), then ``KEY VALUE`` pairs,
then frozen.
"""

import ast
import datetime
import difflib
import logging
import os
import warnings
from pathlib import Path

import yaml
from yacs.config import CfgNode

from configs.command_line import expand_home
from configs.defaults import CHOICES, KEPT, PATHS, get_defaults

BASE_KEY = '_BASE_'  # a yml names the yml it builds on, relative to itself
MAX_BYTES = 100_000  # of a yml; all keys with their values are 4,000
MAX_BASES = 10
MAX_LITERAL = 10_000  # characters; Python's parser does not bear any depth


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
        Missing or broken file, unknown key (the nearest one is named), key given twice, wrong type,
        key without a value, value that is not among the choices.
    """
    cfg = get_defaults()
    if config_file:
        for path, tree in _base_chain(Path(config_file)):
            _merge(cfg, tree, '', str(path))
    opts = list(opts)
    if len(opts) % 2:
        raise ConfigError(
            'command line: overrides come in pairs KEY VALUE (a value with spaces needs '
            'quotes), but the '
            f'number of words is odd, {len(opts)}: {_short(" ".join(map(str, opts)))}'
        )
    for key, value in zip(opts[::2], opts[1::2], strict=True):
        tree = value
        for part in reversed(str(key).split('.')):
            tree = {part: tree}
        _merge(cfg, tree, '', 'command line')
    check_cfg(cfg)
    cfg.freeze()
    return cfg


def with_value(cfg, key, value):
    """A copy of ``cfg``, not frozen, with another value of one key, say 'DATASETS.SKIP_MISSING'."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.merge_from_list([key, value])
    return cfg


def flatten(cfg, prefix=''):
    """{'MODEL.NAME': 'RN50', …} of a CfgNode."""
    flat = {}
    for key, value in cfg.items():
        flat |= (
            flatten(value, f'{prefix}{key}.')
            if isinstance(value, CfgNode)
            else {prefix + key: value}
        )
    return flat


def _base_chain(path, seen=()):
    """[(path, tree)] from the lowest base to ``path`` itself."""
    real = os.path.realpath(path)
    if real in seen:
        raise ConfigError(f'{path}: {BASE_KEY} goes round in a circle')
    if len(seen) > MAX_BASES:
        raise ConfigError(f'{path}: more than {MAX_BASES} ymls, each the {BASE_KEY} of the next')
    tree = _read_tree(path)
    base = tree.pop(BASE_KEY, '')
    if not isinstance(base, str) or '\0' in base:
        raise ConfigError(f'{path}: {BASE_KEY} must be the path of a yml, got {_shown(base)}')
    base = _home(base, BASE_KEY, path)
    below = _base_chain(path.parent / base, (*seen, real)) if base else []
    return [*below, (path, tree)]


def _read_tree(path):
    """The dict of sections in a yml."""
    if not os.path.isfile(path):  # a pipe or device would be waited for
        what = 'is a folder, pipe or device' if os.path.exists(path) else 'does not exist'
        raise ConfigError(f'config file {_short(str(path), 300)} {what}')
    try:
        with open(path, 'rb') as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f'config file {path} cannot be read ({error.strerror})') from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f'{path}: larger than {MAX_BYTES} bytes; is it a config file?')
    try:
        tree = yaml.load(content.decode(), _Loader)
    except RecursionError:
        raise ConfigError(f'{path}: nested too deep; expected sections of KEY: VALUE') from None
    # YAMLError, and where a tag is put to what it does not fit anything: ValueError, IndexError …
    except Exception as error:
        reason = (
            ' '.join(str(error).split()).replace('in "<unicode string>", ', 'in ')
            or type(error).__name__
        )
        raise ConfigError(f'{path}: not a readable YAML file: {_short(reason, 300)}') from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f'{path}: expected sections of KEY: VALUE, got {type(tree).__name__}')
    return tree


class _Loader(yaml.SafeLoader):
    """Plain values only, each key once. No aliases: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                None,
                None,
                f'alias *{event.anchor} is not allowed, write the value out',
                event.start_mark,
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        keys = set()
        for key, _ in node.value:
            name = key.tag, str(key.value)
            if name in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f'{key.value} is given twice', key.start_mark
                )
            keys.add(name)
        return super().construct_mapping(node, deep)


def _merge(cfg, tree, prefix, where):
    flat = [key for key in tree if prefix == 'SOLVER.' and key not in cfg and key in cfg.STAGE2]
    if len(flat) > 1:
        raise ConfigError(
            f'{where}: unknown keys: a flat SOLVER {_FLAT}; here its keys are '
            f'{", ".join(f"SOLVER.STAGE2.{key}" for key in flat)}, {_BASE_VARIANT}'
        )
    for key, value in sorted(
        tree.items(), key=lambda item: item[1] is None
    ):  # empty sections last: others tell more
        name = f'{prefix}{key}'
        if key not in cfg:
            while isinstance(value, dict) and value:  # to the end of the first path below it
                part, value = next(iter(value.items()))
                name += f'.{part}'
            raise ConfigError(f'{where}: unknown key {_short(name)}{_nearest(name)}')
        if isinstance(cfg[key], CfgNode):
            if value is None:
                raise ConfigError(
                    f'{where}: {name} is an empty section: fill in its keys '
                    f'({", ".join(cfg[key])}), or take '
                    f'the line out'
                )
            if not isinstance(value, dict):
                raise ConfigError(
                    f'{where}: {name} is a section and has no value of its own; its keys are '
                    f'{", ".join(cfg[key])}'
                )
            _merge(cfg[key], value, f'{name}.', where)
        else:
            if isinstance(value, dict):
                below = _short(str(next(iter(value), '')))
                raise ConfigError(
                    f'{where}: unknown key {name}.{below}: {name} is a value, not a section'
                )
            cfg[key] = _coerce(value, cfg[key], name, where)


_FLAT = "is that of the original's base variants"
_BASE_VARIANT = 'with SOLVER.STAGE1.MAX_EPOCHS 0 and MODEL.I2T_LOSS_WEIGHT 0'


def _short(text, length=100):
    """On one line, not too long."""
    text = text if len(text) <= length else f'{text[:length]}…'
    return ''.join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _shown(value):
    """``repr``, on one line, not too long."""
    try:
        return _short(repr(value))
    except (
        ValueError,
        RecursionError,
    ):  # an integer of thousands of digits; lists in lists in lists
        return f'a huge {type(value).__name__}'


def _nearest(name):
    known = list(flatten(get_defaults()))
    name = name[:100].upper()  # as all keys are
    tail = name.rsplit('.', 1)[-1]
    # an old flat key (SOLVER.BASE_LR) or a forgotten section: the same last part wins over spelling
    close = (
        difflib.get_close_matches(name, known, 1, 0.9)
        or [k for k in known if k.rsplit('.', 1)[-1] == tail]
        or difflib.get_close_matches(name, known, 3, 0.6)
    )
    if not close:
        tails = {k.rsplit('.', 1)[-1]: k for k in known}
        close = [tails[t] for t in difflib.get_close_matches(tail, tails, 1, 0.6)]
    hint = f'; did you mean {" or ".join(close[:3])}?' if close else ''
    stage2 = name.replace('SOLVER.', 'SOLVER.STAGE2.', 1)
    if name.startswith('SOLVER.') and stage2 in known:
        hint += f' A flat SOLVER {_FLAT}: here it is {stage2}, {_BASE_VARIANT}'
    return hint


def _coerce(value, default, name, where):
    """``value`` in the type of ``default``; text is read as a Python literal first, as YACS
    does.
    """
    if value is None:
        home = '; a bare ~ is YAML for none, the home is ~/' if name in PATHS else ''
        raise ConfigError(f'{where}: {name} has no value; its default is {default!r}{home}')
    literal = value
    if isinstance(value, str):
        literal = _literal(value)
    if isinstance(default, str):
        text = _text(value, literal, name, where)
        return _home(text, name, where) if name in PATHS else text
    if isinstance(default, bool):
        if isinstance(literal, bool):
            return literal
    elif isinstance(default, int):
        if _is_number(literal) and isinstance(literal, int):
            return literal
    elif isinstance(default, float):
        if _is_number(literal):
            return float(literal)
    elif isinstance(literal, list | tuple):
        if all(
            _is_number(x) and (isinstance(x, int) or isinstance(default[0], float)) for x in literal
        ):
            return type(default)(literal)
    raise ConfigError(
        f'{where}: {name} must be {_type_text(default)} like {default!r}, got {_shown(value)}'
    )


def _home(path, name, where):
    try:
        return expand_home(path)
    except ValueError as error:
        raise ConfigError(f'{where}: {name}: {_short(str(error), 300)}') from None


def _literal(text):
    """The Python literal that ``text`` is, else ``text``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                'ignore'
            )  # 'invalid escape sequence' and the like, in what is only text
            return ast.literal_eval(text) if len(text) <= MAX_LITERAL else text
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _is_number(value):
    """Of a size that float64 and int64 can hold."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and not (isinstance(value, int) and abs(value) >= 2**63)
    )


def _text(value, literal, name, where):
    if isinstance(literal, str):
        return literal
    if isinstance(literal, bool) and isinstance(
        value, bool
    ):  # YAML reads a bare yes, no, on, off as a boolean
        words = [
            w for w in CHOICES.get(name, []) if w in (('yes', 'on') if literal else ('no', 'off'))
        ]
        return words[0] if words else str(value)
    if not isinstance(value, str | int | float | datetime.date):  # a date as a folder's name, say
        raise ConfigError(f'{where}: {name} must be a text, got {_shown(value)}')
    if isinstance(value, int) and not _is_number(value) and not isinstance(value, bool):
        raise ConfigError(f'{where}: {name} must be a text, got a huge number; put it in quotes')
    return str(value)


def _type_text(default):
    if isinstance(default, list | tuple):
        return f'a list of {"whole numbers" if isinstance(default[0], int) else "numbers"}'
    return {bool: 'True or False', int: 'a whole number', float: 'a number'}[type(default)]


# ------------------------------------------------------------------------------------------ values


def check_cfg(cfg):
    """Values that no part of the system can use, refused before anything starts. ConfigError names
    key and remedy.
    """
    flat = flatten(cfg)
    for key, choices in CHOICES.items():
        if flat[key] not in choices:
            raise ConfigError(
                f'{key} is {_shown(flat[key])}; choose from {", ".join(map(repr, choices))}'
            )
    for key, value in flat.items():
        if isinstance(value, str) and ('\0' in value or not _is_unicode(value)):
            raise ConfigError(f'{key} must be UTF-8 text without NUL, got {_shown(value)}')
        _check_range(key, value)
    if (
        cfg.DATALOADER.SAMPLER == 'softmax_triplet'
        and cfg.SOLVER.STAGE2.IMS_PER_BATCH % cfg.DATALOADER.NUM_INSTANCE
    ):
        raise ConfigError(
            f'SOLVER.STAGE2.IMS_PER_BATCH {cfg.SOLVER.STAGE2.IMS_PER_BATCH} is no multiple of '
            f'DATALOADER.NUM_INSTANCE {cfg.DATALOADER.NUM_INSTANCE}; a batch is P individuals x '
            f'NUM_INSTANCE photos'
        )
    if cfg.MODEL.PRETRAIN_CHOICE in ('self', 'finetune') and not cfg.MODEL.PRETRAIN_PATH:
        raise ConfigError(
            f'MODEL.PRETRAIN_CHOICE {cfg.MODEL.PRETRAIN_CHOICE!r} needs MODEL.PRETRAIN_PATH, the '
            f'checkpoint to start from'
        )
    if list(cfg.SOLVER.STAGE2.STEPS) != sorted(cfg.SOLVER.STAGE2.STEPS):
        raise ConfigError(f'SOLVER.STAGE2.STEPS must rise, got {_shown(cfg.SOLVER.STAGE2.STEPS)}')
    for key, usual in KEPT.items():
        if flat[key] not in usual:
            logging.getLogger('transreid').warning(
                '%s is %r: this key is only kept so that old ymls load, it has no effect',
                key,
                flat[key],
            )


_POSITIVE = (
    'IMS_PER_BATCH',
    'NUM_INSTANCE',
    'CHECKPOINT_PERIOD',
    'RESUME_PERIOD',
    'LOG_PERIOD',
    'EVAL_PERIOD',
    'RERANK_K1',
    'RERANK_K2',
    'SIZE_TRAIN',
    'SIZE_TEST',
    'STRIDE_SIZE',
    'BASE_LR',
    'PIXEL_STD',
)
_NOT_NEGATIVE = (
    'NUM_WORKERS',
    'CHECKPOINT_MINUTES',
    'CACHE_GB',
    'MAX_EPOCHS',
    'WEIGHT',
    'DECAY',
    'MARGIN',
    'PADDING',
    'LR_MIN',
    'WARMUP',
    'SEED',
    'CENTER_LR',
    'BIAS_LR_FACTOR',
    'MOMENTUM',
    'GAMMA',
)
_SHARE = ('INPUT.PROB', 'INPUT.RE_PROB', 'TEST.RERANK_LAMBDA')
_LENGTH = {
    'INPUT.SIZE_TRAIN': 2,
    'INPUT.SIZE_TEST': 2,
    'MODEL.STRIDE_SIZE': 2,
    'INPUT.PIXEL_MEAN': 3,
    'INPUT.PIXEL_STD': 3,
}


def _is_unicode(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_range(key, value):
    numbers = [
        x
        for x in (value if isinstance(value, list | tuple) else [value])
        if isinstance(x, int | float) and not isinstance(x, bool)
    ]
    last = key.rsplit('.', 1)[-1]
    if any(x != x or abs(x) == float('inf') for x in numbers):
        raise ConfigError(f'{key} must be finite, got {_shown(value)}')
    if key in _LENGTH and len(value) != _LENGTH[key]:
        raise ConfigError(f'{key} must have {_LENGTH[key]} numbers, got {_shown(value)}')
    if last in _POSITIVE and any(x <= 0 for x in numbers):
        raise ConfigError(f'{key} must be greater than 0, got {_shown(value)}')
    if any(word in last for word in _NOT_NEGATIVE) and any(x < 0 for x in numbers):
        raise ConfigError(f'{key} must not be negative, got {_shown(value)}')
    if last == 'SEED' and value >= 2**32:
        raise ConfigError(f'{key} must be below 2**32, got {_shown(value)}')
    if key in _SHARE and not 0 <= value <= 1:
        raise ConfigError(f'{key} must lie between 0 and 1, got {_shown(value)}')
