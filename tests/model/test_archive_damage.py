"""TorchScript archives: absurd and damaged ones are rejected."""

import io
import pickle
import random
import struct
import zipfile

import pytest
import torch

from model.clip.archive import archive_state, read_pickle
from tests.model.archives import KEY, by_torch, rewrite
from tests.model.weight_files import refused, same

CLASS = 'class M(Module):\n  __parameters__ = ["w", ]\n  __buffers__ = []\n  w : Tensor\n'


class PickledName:
    def __init__(self, name):
        self.name = name


def pickled(value):
    """Instructions that put ``value`` on the stack of an unpickler."""
    if isinstance(value, tuple):
        return b'(' + b''.join(map(pickled, value)) + b't'
    if isinstance(value, PickledName):
        return f'c{value.name}\n'.encode()
    if isinstance(value, str):
        return b'X' + struct.pack('<I', len(value)) + value.encode()
    if isinstance(value, int):
        return b'\x8a\x08' + value.to_bytes(8, 'little', signed=True)
    return b'N'


def one_tensor(
    path,
    storage=('storage', 'F', '0', 'cpu', 4),
    offset=0,
    size=(4,),
    stride=(1,),
    code=None,
    tree=None,
):
    """Write an archive by hand: a module with one parameter w, with the given numbers."""
    storage = tuple(PickledName('torch\nFloatStorage') if part == 'F' else part for part in storage)
    numbers = pickled(offset) + pickled(size) + pickled(stride) + b'\x89N'
    tensor = b'ctorch._utils\n_rebuild_tensor_v2\n(' + pickled(storage) + b'Q' + numbers + b'tR'
    data = (
        tree
        if tree is not None
        else b'\x80\x02c__torch__\nM\n)\x81}(X\x01\0\0\0w' + tensor + b'ub.'
    )
    with zipfile.ZipFile(path, 'w') as new:
        new.writestr('a/data.pkl', data)
        new.writestr('a/data/0', struct.pack('<4f', 1, 2, 3, 4))
        new.writestr('a/code/__torch__.py', code or CLASS)
        new.writestr('a/constants.pkl', b'\x80\x02).')
        new.writestr('a/version', '3\n')
    return path


def test_archive_by_hand(tmp_path):
    state = archive_state(one_tensor(tmp_path / 'a.pt', size=(2, 2), stride=(1, 2)), KEY)
    assert state.keys() == {'w'} and state['w'].tolist() == [[1, 3], [2, 4]]
    assert same(state, by_torch(tmp_path / 'a.pt'))


@pytest.mark.parametrize(
    'numbers',
    [
        {'size': (5,)},
        {'offset': 1},
        {'offset': -1},
        {'size': (2, 2), 'stride': (3, 1)},
        {'size': (2**40,)},
        {'size': (2**40,), 'stride': (0,)},
        {'size': (2**31, 2**31), 'stride': (0, 0)},
        {'size': (-4,)},
        {'stride': (-1,)},
        {'size': (4,), 'stride': (1, 1)},
        {'size': 4},
        {'size': ('4',)},
        {'size': (2**62, 2**62), 'stride': (2**62, 1)},
        {'storage': ('storage', 'F', '0', 'cpu', 2**40)},
        {'storage': ('storage', 'F', '0', 'cpu', 3)},
        {'storage': ('storage', 'F', '1', 'cpu', 4)},
        {'storage': ('storage', 'F', '../0', 'cpu', 4)},
        {'storage': ('storage', 'F', 0, 'cpu', 4, 5)},
        {'storage': ('storage', 'FloatStorage', '0', 'cpu', 4)},
        {'code': 'class N(Module):\n  pass\n'},
        {'code': 'class M(Module):\n  __parameters__ = ["w", "x".upper(), ]\n'},
    ],
)
def test_numbers_that_do_not_match_the_bytes(numbers, tmp_path):
    refused(
        lambda: archive_state(one_tensor(tmp_path / 'a.pt', **numbers), KEY), KEY, tmp_path / 'a.pt'
    )


MODULE = b'c__torch__\nM\n)\x81'
DOUBLED = b'(X\x01\0\0\0xh%cX\x01\0\0\0yh%cu'  # a module within under two names


@pytest.mark.parametrize(
    'tree',
    [
        b'\x80\x02' + MODULE + b'q\x00}(X\x01\0\0\0xh\x00ub.',  # a module within itself
        b'\x80\x02'
        + MODULE
        + b'q\x00'
        + b''.join(MODULE + b'q%c}' % n + DOUBLED % (n - 1, n - 1) + b'b' for n in range(1, 60))
        + b'.',  # 2^60 modules in 60
        b'\x80\x02]r\xff\xff\xff\x7f.',  # place 2^31 of the memo
        b'\x80\x02X\xff\xff\xff\xffx.',
        b'\x80\x02\x8b\xff\xff\xff\x7f1.',  # a text, a number of 2 GB
        b'\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.',
        b'\x80\x02}.',
        b'\x80\x02N.',
        b'',
        b'.',
        b'\x80\x02h\x05.',
        b'\x80\x02R.',
        b'\x80\x02t.',
        b'\x80\x02\x85.',
        b'\x80\x02K\x01K\x02a.',
        b'\x80\x02K\x01Q.',
        b'\x80\x02}(K\x01u.',
        b'\x80\x02)(b.',
        MODULE,
    ],
)
def test_pickles_that_are_no_module_tree(tree, tmp_path):
    refused(lambda: archive_state(one_tensor(tmp_path / 'a.pt', tree=tree), KEY), KEY)


def test_bomb(whole, tmp_path):
    path = rewrite(
        whole, tmp_path / 'bomb.pt', {'data.pkl': bytes(100_000_000)}, zipfile.ZIP_DEFLATED
    )
    assert path.stat().st_size < 1_000_000
    refused(lambda: archive_state(path, KEY), 'unpacks to far more than its size')


def test_all_damage_is_reported(tmp_path):
    """Truncated or changed anywhere, a file gives a state or a one-line error."""
    rng = random.Random(0)
    path = one_tensor(tmp_path / 'whole.pt')
    data, told = path.read_bytes(), 0
    damaged = [data[:size] for size in range(0, len(data), 5)]
    for _ in range(400):
        copy = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            copy[rng.randrange(len(copy))] = rng.randrange(256)
        damaged.append(bytes(copy))
    for copy in damaged:
        (tmp_path / 'a.pt').write_bytes(copy)
        try:
            archive_state(tmp_path / 'a.pt', KEY)
        except Exception as error:
            refused(lambda error=error: (_ for _ in ()).throw(error), KEY)
            told += 1
    assert told > 200


def test_instructions_of_pickles_of_data():
    data = {
        'a': [1, 2.5, None, True, (1, 2, 3, 4), (), (5,)],
        'b': {},
        'c': [[]],
        'd': 2**40,
        'e': -1,
        'f': 'Größe',
    }
    assert read_pickle(pickle.dumps(data, 2)) == data
    file = io.BytesIO()
    torch.save({'n': 1}, file)
    with zipfile.ZipFile(file) as archive:
        assert read_pickle(archive.read('archive/data.pkl')) == {'n': 1}
