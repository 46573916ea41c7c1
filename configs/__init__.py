"""The configuration: defaults, overridden by ymls, and these by ``KEY VALUE`` pairs.

``defaults.py`` lists every key with its default and the rule for its values.
"""

from configs.loading import (
    changes,
    check_together,
    flatten,
    ignored_keys,
    load_cfg,
    read_file,
    read_pairs,
    read_values,
    read_yml,
    with_defaults,
    with_value,
)
from configs.rules import ConfigError

__all__ = [
    'ConfigError',
    'changes',
    'check_together',
    'flatten',
    'ignored_keys',
    'load_cfg',
    'read_file',
    'read_pairs',
    'read_values',
    'read_yml',
    'with_defaults',
    'with_value',
]
