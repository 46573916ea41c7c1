"""What the tests of the config share."""

import json

import pytest

from configs import ConfigError, flatten, load_cfg
from tests.helpers import GOLDEN

PUBLISHED = json.loads((GOLDEN / 'configs.json').read_text())


def plain(cfg):
    """Flat, tuples as lists, each value with its type, so that 1, 1.0 and True differ."""
    return {
        key: (type(value).__name__, list(value) if isinstance(value, list | tuple) else value)
        for key, value in flatten(cfg).items()
    }


def refused(*words, file='', opts=()):
    with pytest.raises(ConfigError) as caught:
        load_cfg(file, opts)
    line = str(caught.value)
    assert '\n' not in line
    for word in words:
        assert str(word) in line, line
    return line


def write(folder, text, name='my.yml'):
    (folder / name).write_text(text)
    return folder / name
