"""Configuration: the defaults, then the yml and the ymls it is based on, then ``KEY VALUE`` pairs.

``defaults.py`` lists every key with its default and the rule of its values.
"""

from configs.loading import flatten, ignored_keys, load_cfg, with_value
from configs.rules import ConfigError

__all__ = ['ConfigError', 'flatten', 'ignored_keys', 'load_cfg', 'with_value']
