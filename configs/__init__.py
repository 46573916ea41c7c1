"""The configuration: defaults, overridden by ymls, and these by ``KEY VALUE`` pairs.

``defaults.py`` lists every key with its default and the rule for its values.
"""

from configs.loading import changes, flatten, ignored_keys, load_cfg, with_value
from configs.rules import ConfigError

__all__ = ['ConfigError', 'changes', 'flatten', 'ignored_keys', 'load_cfg', 'with_value']
