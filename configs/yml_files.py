"""Read a yml and the ymls it is based on: plain values only, each key once."""

import os
from pathlib import Path

import yaml

from configs.command_line import expand_home
from configs.values import ConfigError, short, shown

BASE_KEY = '_BASE_'  # a yml names the yml it builds on, relative to itself
MAX_BYTES = 100_000  # of a yml; all keys with their values are 4,000
MAX_BASES = 10


def base_chain(path: Path, seen: tuple[str, ...] = ()) -> list[tuple[Path, dict]]:
    """Return (path, tree) of each yml from the lowest base to ``path`` itself.

    Args:
        path: The yml.
        seen: Real paths of the ymls that are based on it.

    Raises:
        ConfigError: A yml cannot be read, or the bases go round in a circle.
    """
    real = os.path.realpath(path)
    if real in seen:
        raise ConfigError(f'{path}: {BASE_KEY} goes round in a circle')
    if len(seen) > MAX_BASES:
        raise ConfigError(f'{path}: more than {MAX_BASES} ymls, each the {BASE_KEY} of the next')
    tree = _read_tree(path)
    base = tree.pop(BASE_KEY, '')
    if not isinstance(base, str) or '\0' in base:
        raise ConfigError(f'{path}: {BASE_KEY} must be the path of a yml, got {shown(base)}')
    try:
        base = expand_home(base)
    except ValueError as error:
        raise ConfigError(f'{path}: {BASE_KEY}: {short(str(error), 300)}') from None
    below = base_chain(path.parent / base, (*seen, real)) if base else []
    return [*below, (path, tree)]


def _read_tree(path: Path) -> dict:
    """The sections of a yml."""
    if not os.path.isfile(path):  # a pipe or device would be waited for
        what = 'is a folder, pipe or device' if os.path.exists(path) else 'does not exist'
        raise ConfigError(f'config file {short(str(path), 300)} {what}')
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
        reason = ' '.join(str(error).split()).replace('in "<unicode string>", ', 'in ')
        reason = short(reason or type(error).__name__, 300)
        raise ConfigError(f'{path}: not a readable YAML file: {reason}') from None
    if tree is not None and not isinstance(tree, dict):
        raise ConfigError(f'{path}: expected sections of KEY: VALUE, got {type(tree).__name__}')
    return tree or {}


class _Loader(yaml.SafeLoader):
    """Plain values only, each key once. No aliases: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Reject an alias."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            problem = f'alias *{event.anchor} is not allowed, write the value out'
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Reject a key that is given twice."""
        keys = set()
        for key, _ in node.value:
            name = key.tag, str(key.value)
            if name in keys:
                problem = f'{key.value} is given twice'
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            keys.add(name)
        return super().construct_mapping(node, deep)
