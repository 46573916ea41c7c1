"""Read a yml and the ymls it is based on: plain values only, each key once."""

import os
from pathlib import Path

import yaml

from configs import rules
from configs.values import ConfigError, short

BASE_KEY = '_BASE_'  # a yml names the yml it builds on, relative to itself
MAX_BYTES = 100_000  # of a yml; all keys with their values are 4,000


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
    tree = _read_tree(path)
    try:
        base = rules.Path('').read(tree.pop(BASE_KEY, ''))
    except ValueError as error:
        raise ConfigError(f'{path}: {BASE_KEY} {error}') from None
    below = base_chain(path.parent / base, (*seen, real)) if base else []
    return [*below, (path, tree)]


def _read_tree(path: Path) -> dict:
    """The sections of a yml."""
    if not os.path.isfile(path):  # a pipe or device would be waited for
        name = short(str(path), 300)
        raise ConfigError(f'config file {name} does not exist, or is no regular file')
    if path.stat().st_size > MAX_BYTES:
        raise ConfigError(f'{path}: larger than {MAX_BYTES} bytes; is it a config file?')
    try:
        tree = yaml.load(path.read_bytes().decode(), _Loader)
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
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Reject a key that is given twice."""
        names = set()
        for key, _ in node.value:
            if str(key.value) in names:
                problem = f'{key.value} is given twice'
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            names.add(str(key.value))
        return super().construct_mapping(node, deep)
