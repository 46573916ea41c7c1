"""Config files and overrides."""

import yaml
from hypothesis import strategies as st

from configs import flatten, load_cfg
from tests.faults.made_up.basics import (
    dicts,
    encoded,
    integers,
    lists,
    one_of,
    pieces,
    sampled,
    text,
)

DEFAULTS = flatten(load_cfg())
_SCALARS = one_of(
    st.none(),
    st.booleans(),
    integers(-5, 300),
    integers(),
    st.floats(),
    text(max_size=8),
    st.dates(),
    st.binary(max_size=4),
    sampled(
        [
            'RN50',
            'yes',
            'no',
            'on',
            'off',
            'cpu',
            'True',
            'None',
            '1e999',
            'nan',
            '[1, 2]',
            '(8, 8)',
            "'a'",
            '..',
            '{}',
            '\0',
            '0x' + 'f' * 6000,
            '(' * 300,
            '-' * 2000 + '1',
            10**400,
        ]
    ),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: one_of(lists(inner, max_size=3), dicts(text(max_size=3), inner, max_size=2)),
    max_leaves=5,
)
_NAMES = one_of(
    sampled([*DEFAULTS]),
    sampled(['MODEL', 'SOLVER.STAGE1', '_BASE_', 'MODEL.NANE', 'base_lr', '', '.']),
    text('ABMODEL._\0\n', max_size=8),
)
_PAIRS = one_of(
    sampled([*DEFAULTS.items()]),
    st.tuples(sampled([*DEFAULTS]), _SCALARS),
    st.tuples(_NAMES, _VALUES),
)


def _yml(pairs):
    """{'A.B': 1} as A: {B: 1}, without YAML's aliases."""
    tree = {}
    for key, value in pairs:
        *above, last = key.split('.')
        node = tree
        for part in above:
            node[part] = node = node[part] if isinstance(node.get(part), dict) else {}
        node[last] = list(value) if isinstance(value, tuple) else value
    dumper = type('Dumper', (yaml.SafeDumper,), {'ignore_aliases': lambda self, data: True})
    return yaml.dump(tree, Dumper=dumper, allow_unicode=True)


def _word(value):
    return hex(value) if isinstance(value, int) and abs(value) > 10**300 else str(value)


YMLS = encoded(lists(_PAIRS, max_size=4).map(_yml))
YML_PIECES = encoded(
    pieces(
        'MODEL',
        'NAME',
        'SOLVER',
        'SEED',
        'OUTPUT_DIR',
        '_BASE_',
        'input.yml',
        'other.yml',
        'gone.yml',
        '/dev/zero',
        '.',
        ': ',
        ':',
        ': ',
        '\n',
        '\n',
        '\n  ',
        '- ',
        '? ',
        '[',
        ']',
        '{',
        '}',
        ', ',
        '|',
        '>',
        '"',
        "'",
        '\\',
        '#',
        '&a ',
        '*a',
        '<<',
        '!!python/object/apply:os.system ',
        '!!binary ',
        '!!set ',
        '!!timestamp ',
        '!!int ',
        '!!float ',
        '!!bool ',
        '!!null ',
        '!!omap ',
        '!!pairs ',
        '!!map ',
        '!!seq ',
        '!!str ',
        '!x ',
        '%YAML 9.9',
        '---',
        '...',
        '\t',
        '1',
        '0x',
        '0b',
        '1:1',
        '1_0',
        '_',
        '-',
        '.',
        '.nan',
        '.inf',
        '2001-13-45',
        '=',
        '~',
        '@',
        '`',
        '\0',
        '\ufeff',
        '\ud800',
        'é',
        '\x1b',
        '\u2028',
        most=25,
    )
)
# of the short ones, a few are read: comments, blanks
RAW_YMLS = one_of(st.binary(max_size=100), st.binary(max_size=2))
_WORDS = one_of(_SCALARS.map(_word), text(max_size=10))
OVERRIDES = one_of(
    lists(
        one_of(_PAIRS.map(lambda pair: (pair[0], _word(pair[1]))), st.tuples(_NAMES, _WORDS)),
        max_size=3,
    ).map(lambda pairs: [word for pair in pairs for word in pair]),
    lists(one_of(_NAMES, _WORDS), max_size=5),
)
