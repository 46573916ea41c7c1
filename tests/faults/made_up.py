"""Inputs that hypothesis makes up for the readers: near what they expect, and not."""

import io
import json
import os
import pickle
import zipfile

import numpy as np
import torch
import yaml
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save as safetensors_bytes

from configs import flatten, get_defaults

one_of, sampled, text, integers, lists, dicts = (
    st.one_of,
    st.sampled_from,
    st.text,
    st.integers,
    st.lists,
    st.dictionaries,
)


def encoded(strategy):
    return strategy.map(lambda value: value.encode('utf-8', 'surrogatepass'))


def pieces(*values, most=30):
    """Some of the values (text or bytes), one after another."""
    return lists(sampled(values), max_size=most).map(type(values[0])().join)


# --------------------------------------------------------------------------- bytes near valid ones

NUMBERS = sampled(
    [b'\xff' * 8, b'\0' * 8, b'\xff\xff\xff\x7f', b'\x7f\xff\xff\xff', b'\xff' * 4 + b'\0' * 4]
)


def mutated(seeds, most=6):
    """One of the byte strings, with up to ``most`` bits flipped, parts cut, dropped, filled,
    inserted, taken from others.
    """
    change = st.tuples(
        sampled(['flip', 'flip', 'flip', 'cut', 'drop', 'fill', 'fill', 'insert', 'splice']),
        st.floats(0, 1),  # where, as a share of the length
        integers(1, 400),
        integers(0, len(seeds) - 1),
        one_of(st.binary(min_size=1, max_size=8), NUMBERS),
    )

    def apply(drawn):
        content, changes = seeds[drawn[0]], drawn[1]
        for kind, place, length, other, filling in changes:
            content = _changed(
                content, kind, int(place * len(content)), length, seeds[other], filling
            )
        return content

    return st.tuples(integers(0, len(seeds) - 1), lists(change, max_size=most)).map(apply)


def _changed(content, kind, at, length, other, filling):
    before, after = content[:at], content[at:]
    if kind == 'flip':
        return before + bytes(byte ^ filling[0] for byte in after[:1]) + after[1:]
    if kind == 'splice':
        start = length % max(1, len(other))
        return before + other[start : start + length] + after
    return (
        before
        + {
            'cut': b'',
            'drop': after[length:],
            'fill': filling + after[len(filling) :],
            'insert': filling + after,
        }[kind]
    )


def mutated_within(archive, most=3):
    """The zip archive with changes in one of its members and checksums that are right again."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        members = {name: file.read(name) for name in sorted(file.namelist())}

    def rezipped(drawn):
        changed, content = drawn
        file = io.BytesIO()
        with zipfile.ZipFile(file, 'w') as archive:
            for name in members:
                archive.writestr(
                    zipfile.ZipInfo(name), content if name == changed else members[name]
                )
        return file.getvalue()

    changes = (
        st.tuples(st.just(name), mutated([content, *members.values()], most))
        for name, content in members.items()
    )
    return one_of(*changes).map(rezipped)


# ------------------------------------------------------------------------------------------- lists

PHOTOS = [
    'a.jpg',
    'in/b.jpg',
    'é.jpg',
    'my photos/c d.jpg',
    './a.jpg',
    'in//b.jpg',
    'in/../a.jpg',
    'in/to_a.jpg',
    'to_in/b.jpg',
]
OTHERS = [
    'in',
    'pipe.jpg',
    'loop.jpg',
    'out/s.jpg',
    'in/s.jpg',
    '../outside/s.jpg',
    'in/../../outside/s.jpg',
    '{outside}/s.jpg',
    '..',
    '/',
]


def make_photos(root, outside):
    """The folder that these paths mean: photos, links of all kinds, and a secret outside."""
    for folder in (outside, root / 'in', root / 'my photos'):
        folder.mkdir(parents=True)
    for path in ('a.jpg', 'in/b.jpg', 'my photos/c d.jpg', 'é.jpg'):
        (root / path).touch()
    (outside / 's.jpg').touch()
    links = {
        'in/to_a.jpg': '../a.jpg',
        'to_in': 'in',
        'out': outside,
        'in/s.jpg': outside / 's.jpg',
        'loop.jpg': 'loop.jpg',
    }
    for link, target in links.items():
        (root / link).symlink_to(target)
    os.mkfifo(root / 'pipe.jpg')


_PATHS = one_of(
    sampled(PHOTOS),
    sampled(PHOTOS + OTHERS),
    text('ab./\\ \t\0é\u2028\x1b', max_size=30),
    text(max_size=20),
)
_LABELS = one_of(
    integers(0, 3).map(str),
    integers(-3, 5).map(str),
    text(max_size=5),
    sampled(['9' * 18, '9' * 19, '1' * 5000, '1.0', '1e3', '0x1', '٣', '²', '+1', '']),
)
_LINES = one_of(
    st.tuples(_PATHS, _LABELS).map(' '.join),
    text(max_size=40),
    st.tuples(_PATHS, _LABELS, sampled(['0', '1', '2', 'left'])).map(' '.join),
)
_ENDS = sampled(['\n', '\r\n', '\r', '\x0b', '\u2028'])
LISTS = encoded(
    st.tuples(sampled(['', '\ufeff']), _ENDS, lists(_LINES, max_size=6)).map(
        lambda drawn: drawn[0] + drawn[1].join(drawn[2])
    )
)
RAW_LISTS = one_of(
    st.binary(max_size=200),
    pieces(
        b'a.jpg 0\n',
        b'in/b.jpg 1 1\n',
        b'a.jpg',
        b' ',
        b'\t',
        b'0',
        b'1',
        b'\n',
        b'\r',
        b'\0',
        b'\xff\xfe',
        b'\xef\xbb\xbf',
        b'\xe9',
        b'.',
        b'/',
        b'..',
        b'-',
        b'a' * 5000,
    ),
)

ENTRY = {'imgid': 1, 'entityid': 2, 'query': 'sing', 'frame': [1, 2, 3]}
JSON = st.recursive(
    one_of(st.none(), st.booleans(), integers(), st.floats(), text(max_size=5)),
    lambda inner: one_of(
        lists(inner, max_size=4), dicts(sampled([*ENTRY, 'x']), inner, max_size=4)
    ),
    max_leaves=8,
)
_ENTRIES = lists(
    one_of(
        integers().map(lambda imgid: ENTRY | {'imgid': imgid}),
        dicts(sampled([*ENTRY]), JSON).map(lambda changes: ENTRY | changes),
    ),
    max_size=4,
)
GROUND_TRUTHS = one_of(
    encoded(one_of(_ENTRIES, JSON).map(json.dumps)),
    st.binary(max_size=60),
    encoded(text('[]{}:,"0-9ue+. \n\0', max_size=60)),
    sampled([b'[', b'{"a":', b'[{']).map(lambda part: part * 50_000),
)


# ------------------------------------------------------------------------------------------ photos


def photos():
    """Mutated photos of all formats."""

    def photo(kind, mode='RGB', **options):
        noise = np.random.default_rng(0).integers(0, 256, (16, 24), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(noise).convert(mode).save(file, kind, **options)
        return file.getvalue()

    def wide(kind, dtype, **options):
        file = io.BytesIO()
        Image.fromarray(np.arange(0, 65535, 200)[:320].reshape(16, 20).astype(dtype)).save(
            file, kind, **options
        )
        return file.getvalue()

    return mutated(
        [
            photo('JPEG'),
            photo('JPEG', progressive=True, comment=b'x' * 40),
            photo('PNG'),
            photo('PNG', 'P'),
            photo('PNG', 'I;16'),
            wide('PNG', '<u2'),
            wide('TIFF', '<u2', tiffinfo={340: 0, 341: 65535}),
            wide('TIFF', 'f4'),
            wide('TIFF', 'i4'),
            wide('TIFF', '<u2', compression='tiff_lzw'),
            photo('GIF', 'L'),
            photo('TIFF'),
            photo('TIFF', compression='tiff_lzw'),
            photo('WEBP'),
            photo('BMP'),
            photo('PPM'),
            photo('TGA'),
            photo('EPS'),
        ],
        most=3,
    )


# ------------------------------------------------------------------------------------------ config

DEFAULTS = flatten(get_defaults())
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
RAW_YMLS = st.binary(max_size=100)
_WORDS = one_of(_SCALARS.map(_word), text(max_size=10))
OVERRIDES = one_of(
    lists(
        one_of(_PAIRS.map(lambda pair: (pair[0], _word(pair[1]))), st.tuples(_NAMES, _WORDS)),
        max_size=3,
    ).map(lambda pairs: [word for pair in pairs for word in pair]),
    lists(one_of(_NAMES, _WORDS), max_size=5),
)


# ------------------------------------------------------------------------------------- checkpoints


class Evil:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, 'w')


def torch_bytes(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def checkpoints(victim):
    """Mutated checkpoints and states of all formats, good ones, and such that would make the file
    ``victim``.
    """
    torch.manual_seed(0)
    state = {
        'module.a.weight': torch.randn(3, 2),
        'b': torch.arange(4),
        'half': torch.ones(3, dtype=torch.bfloat16),
        'c': torch.ones(2, 2, 1, 3).to(memory_format=torch.channels_last),
        'one': torch.tensor(1.5),
        'none': torch.zeros(0, 3),
    }
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    tree = {
        'stage': 2,
        'tensors': state,
        'optimizers': [optimizer.state_dict()],
        'best': None,
        'random': (1, 2.5, True),
    }
    evil = {'a': torch.ones(2), 'evil': Evil(victim)}
    legacy = {'_use_new_zipfile_serialization': False}
    whole = mutated(
        [
            torch_bytes(state),
            torch_bytes(state, **legacy),
            torch_bytes(tree),
            torch_bytes(evil, pickle_protocol=2),
            torch_bytes(evil, pickle_protocol=2, **legacy),
            pickle.dumps(evil['evil']),
            safetensors_bytes({name: tensor.contiguous() for name, tensor in state.items()}),
        ]
    )
    return one_of(
        whole,
        mutated_within(torch_bytes(state)),
        mutated_within(torch_bytes(evil, pickle_protocol=2)),
    )


def torchscripts():
    """Mutated TorchScript archives."""
    torch.manual_seed(0)
    file = io.BytesIO()
    torch.jit.save(
        torch.jit.script(
            torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)).half()
        ),
        file,
    )
    return one_of(mutated([file.getvalue()]), mutated_within(file.getvalue()))


_PICKLES = pieces(  # of whole opcodes
    b'\x80\x02',
    b'}',
    b']',
    b'(',
    b'.',
    b'R',
    b'o',
    b'b',
    b'0',
    b'2',
    b'q\0',
    b'h\0',
    b'h\1',
    b'r\xff\xff\xff\x7f',
    b'K\1',
    b'K\2',
    b'\x85',
    b'\x86',
    b'\x87',
    b't',
    b'u',
    b's',
    b'a',
    b'e',
    b'Q',
    b'N',
    b'\x88',
    b'\x93',
    b'\x81',
    b'\x94',
    b'\x95',
    b'\x8c\1a',
    b'X\1\0\0\0a',
    b'X\xff\xff\xff\x7f',
    b'U\2ab',
    b'\x8a\1\5',
    b'\x8b\xff\xff\xff\x7f',
    b'cos\nsystem\n',
    b'cbuiltins\nopen\n',
    b'ccollections\nOrderedDict\n',
    b'ctorch._utils\n_rebuild_tensor_v2\n',
    b'ctorch._utils\n_rebuild_parameter\n',
    b'ctorch\nFloatStorage\n',
    b'ctorch.nn.parameter\nParameter\n',
    b'X\7\0\0\0storage',
    b'X\3\0\0\0cpu',
    b'X\1\0\0\0000',
)
# a tensor as torch writes one, of the 64 bytes there are, with anyone's numbers: elements, offset,
# (size, stride) of each side
_NUMBERS = one_of(
    integers(0, 4), integers(0, 4), integers(0, 20), sampled([2**31 - 1, -1, -(2**31)])
)
_SIDES = lists(st.tuples(_NUMBERS, _NUMBERS), max_size=3)
_TENSORS = st.tuples(one_of(st.just(16), st.just(16), _NUMBERS), _NUMBERS, _SIDES).map(
    lambda drawn: _tensor(*drawn)
)


def _tensor(elements, offset, sides):
    sizes, strides = ([side[column] for side in sides] for column in (0, 1))
    return (
        b'\x80\x02}X\1\0\0\0actorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\n'
        b'X\1\0\0\0000X\3\0\0\0cpu'
        + _ints(elements)
        + b'tQ'
        + _ints(offset)
        + b'('
        + _ints(*sizes)
        + b't('
        + _ints(*strides)
        + b't\x89ccollections\nOrderedDict\n)RtRs.'
    )


def _ints(*numbers):
    return b''.join(b'J' + number.to_bytes(4, 'little', signed=True) for number in numbers)


def _archive(pickled):
    """A .pth whose data.pkl is this, with 64 bytes for tensors."""
    file = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(file)
    for name, content in {'data.pkl': pickled, 'byteorder': b'little', 'data/0': bytes(64)}.items():
        writer.write_record(name, content, len(content))
    writer.write_end_of_file()
    return file.getvalue()


PICKLES = one_of(_PICKLES, _PICKLES.map(_archive), _TENSORS.map(_archive), _TENSORS.map(_archive))
_HEADERS = one_of(
    JSON,
    dicts(
        sampled(['a', 'b', '__metadata__']),
        st.fixed_dictionaries(
            {
                'dtype': sampled(['F32', 'F16', 'BOOL', 'F8_E4M3', 'X', 1]),
                'shape': lists(integers(-1, 2**63), max_size=3),
                'data_offsets': lists(integers(0, 70), min_size=1, max_size=3),
            }
        ),
        max_size=3,
    ),
)
SAFETENSORS = st.tuples(
    encoded(_HEADERS.map(json.dumps)), one_of(st.just(0), integers(-9, 2**62)), integers(0, 64)
).map(
    lambda drawn: (
        max(0, len(drawn[0]) + drawn[1]).to_bytes(8, 'little') + drawn[0] + bytes(drawn[2])
    )
)
RAW_CHECKPOINTS = st.binary(max_size=300)
