"""TorchScript archives: the same tensors as torch.jit.load, and none of their code is run."""

import contextlib
import io
import os
import pickle
import random
import re
import struct
import warnings
import zipfile

import pytest
import torch
from torch import nn

from model.clip.archive import archive_state, read_pickle
from tests.model.test_weights import refused, same
from utils.checkpoint import load_state, load_tree
from utils.weights_files import is_torchscript

KEY = 'MODEL.PRETRAIN_PATH'


class Block(nn.Module):
    """A module with attributes of every kind."""

    maybe: torch.Tensor | None

    def __init__(self):
        super().__init__()
        self.attn = nn.MultiheadAttention(8, 2)
        self.ln = nn.LayerNorm(8)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.register_buffer('early', torch.arange(3))
        self.scale = nn.Parameter(torch.rand([]))
        self.register_parameter('bias', None)
        self.register_buffer('maybe', torch.ones(2))
        self.register_buffer('mask', torch.rand(8) < 0.5, persistent=False)
        self.attn_mask = torch.full((4, 4), -1.0).triu(1)
        self.number, self.words, self.nothing, self.pair, self.real = (
            3,
            ['a', 'b'],
            None,
            (1, 'x'),
            0.1,
        )
        self.tensors, self.table, self.large = [torch.ones(2)], {'x': torch.ones(1)}, 2**40

    def forward(self, x):
        x = (
            self.mlp(self.ln(x)) * self.scale
            + self.attn_mask.sum()
            + self.number
            + self.tensors[0].sum()
        )
        return torch.where(self.mask, x, x + self.early.sum() * self.real + self.table['x'])


class Clip(nn.Module):
    def __init__(self):
        super().__init__()
        self.visual = nn.Sequential(nn.Conv2d(3, 8, 2), nn.BatchNorm2d(8))
        self.resblocks = nn.ModuleList([Block(), Block()])
        self.tied = self.resblocks[0].mlp[0].weight
        self.same = self.visual
        self.view = nn.Parameter(torch.rand(6, 5).t()[1:3])
        self.empty = nn.Parameter(torch.rand(0, 3))
        self.register_buffer('context_length', torch.tensor(77))

    def forward(self, x):
        x = self.visual(x).flatten(2).mean(2)
        for block in self.resblocks:
            x = block(x)
        return x + self.view.sum() + self.tied.sum()


def archive(path, kind='script', half=False):
    torch.manual_seed(0)
    model = Clip().eval()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        photos = torch.rand(1, 3, 4, 4)
        module = (
            torch.jit.script(model)
            if kind == 'script'
            else torch.jit.trace(model, photos, check_trace=False)
        )
        (module.half() if half else module).save(path)
    return path


def by_torch(path):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return dict(torch.jit.load(path).state_dict())


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    return archive(tmp_path_factory.mktemp('archives') / 'clip.pt')


def rewrite(source, target, members, compression=None):
    """Copy an archive, replacing ``members``: path in it -> new bytes, or a function of the old."""
    members = dict(members)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, 'w') as new:
        for info in old.infolist():
            inner, data = info.filename.split('/', 1)[1], old.read(info)
            change = members.pop(inner, data)
            new.writestr(
                info.filename,
                change(data) if callable(change) else change,
                info.compress_type if compression is None else compression,
            )
    assert not members
    return target


# -------------------------------------------------------------------------------- the same tensors


@pytest.mark.parametrize('half', [False, True], ids=['float', 'half'])
@pytest.mark.parametrize('kind', ['script', 'trace'])
def test_same_tensors_as_torch(kind, half, tmp_path):
    path = archive(tmp_path / 'a.pt', kind, half)
    ours, theirs = archive_state(path, KEY), by_torch(path)
    assert list(ours) == list(theirs) and same(ours, theirs)
    assert all(ours[n].stride() == theirs[n].stride() for n in ours)
    assert {'resblocks.1.mask', 'same.1.running_var', 'context_length', 'view', 'tied'} <= set(ours)
    assert not {'resblocks.0.attn_mask', 'resblocks.0.bias'} & set(ours)
    assert ours['visual.0.weight'].dtype == (torch.float16 if half else torch.float32)
    tied = [ours[n].data_ptr() for n in ('tied', 'resblocks.0.mlp.0.weight')]
    assert tied[0] == tied[1] != ours['resblocks.1.mlp.0.weight'].data_ptr()


@pytest.mark.parametrize('line', ['__buffers__', '__parameters__'])
def test_older_archives_without_one_of_the_lists(line, whole, tmp_path):
    def without(code):
        assert line.encode() in code
        return re.sub(rf'  {line} = .*\n'.encode(), b'', code)

    with zipfile.ZipFile(whole) as old:
        code = [
            n.split('/', 1)[1]
            for n in old.namelist()
            if n.endswith('.py') and line.encode() in old.read(n)
        ]
    path = rewrite(whole, tmp_path / 'old.pt', dict.fromkeys(code, without))
    ours, theirs = archive_state(path, KEY), by_torch(path)
    assert (
        list(ours) == list(theirs)
        and same(ours, theirs)
        and 0 < len(ours) < len(archive_state(whole, KEY))
    )


# ---------------------------------------------------------------------------------- nothing is run


class Evil:
    """When unpickled, it calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def evil_pickles(victim):
    """Name -> a pickle that creates the file ``victim`` when loaded, in every way pickle offers."""
    command = f'touch {victim}'
    text = command.encode()
    by_hand = {
        'inst': b"(S'" + text + b"'\nios\nsystem\n.",
        'obj': b"(cos\nsystem\nS'" + text + b"'\no.",
        'global and reduce': b'cos\nsystem\n(X' + struct.pack('<I', len(text)) + text + b'tR.',
        'stack global': b'\x80\x04\x8c\x02os\x8c\x06system\x93X'
        + struct.pack('<I', len(text))
        + text
        + b'\x85R.',
    }
    dumped = {
        f'protocol {protocol}, {name}': pickle.dumps({'a': evil}, protocol)
        for protocol in (0, 2, 4)
        for name, evil in (
            ('system', Evil(os.system, command)),
            ('eval', Evil(eval, f'open({str(victim)!r}, "w")')),
        )
    }
    return by_hand | dumped


def run(evil):
    value = pickle.loads(evil)
    with contextlib.suppress(TypeError, AttributeError):
        value['a'].close()


EVIL = list(evil_pickles('x'))


@pytest.mark.parametrize('name', EVIL)
def test_evil_pickle_in_an_archive(name, whole, tmp_path):
    victim = tmp_path / 'victim'
    evil = evil_pickles(victim)[name]
    run(evil)
    assert victim.exists()  # it really is evil
    victim.unlink()
    path = rewrite(whole, tmp_path / 'evil.pt', {'data.pkl': evil})
    assert is_torchscript(path)
    refused(lambda: archive_state(path, KEY), KEY, path, 'no code in it was run')
    assert not victim.exists()


def test_evil_call_within_an_intact_module(whole, tmp_path):
    """Calls next to the weights are not made, so the state does not contain their results."""
    victim = tmp_path / 'victim'
    text = f'touch {victim}'.encode()
    call = b'X\x04\0\0\0evilcposix\nsystem\n(X' + struct.pack('<I', len(text)) + text + b'tR'
    rebuild = b'ctorch._utils\n_rebuild_tensor_v2\n'
    path = rewrite(
        whole,
        tmp_path / 'evil.pt',
        {'data.pkl': lambda data: data.replace(b'(X', b'(' + call + b'X', 1)},
    )
    assert same(archive_state(path, KEY), by_torch(whole))
    path = rewrite(
        whole,
        tmp_path / 'evil.pt',
        {'data.pkl': lambda data: data.replace(rebuild, b'cposix\nsystem\n')},
    )
    refused(lambda: archive_state(path, KEY), 'is not a dense tensor')
    assert not victim.exists()


@pytest.mark.parametrize(
    'code',
    ['{text}\nopen({victim!r}, "w")\n', 'import os; os.system("touch {victim}")\n{text}', '{evil}'],
)
def test_evil_code(code, whole, tmp_path):
    victim = tmp_path / 'victim'

    def change(data):
        text = data.decode()
        evil = text.replace(
            '__parameters__ = [', f'__parameters__ = [open({str(victim)!r}, "w"), ', 1
        )
        return code.format(text=text, victim=str(victim), evil=evil).encode()

    with zipfile.ZipFile(whole) as old:
        member = next(
            n.split('/', 1)[1]
            for n in old.namelist()
            if n.endswith('.py') and b'class Clip(' in old.read(n)
        )
    path = rewrite(whole, tmp_path / 'evil.pt', {member: change})
    if 'evil' in code:
        refused(lambda: archive_state(path, KEY), '__parameters__ is not a list of names')
    else:
        assert same(archive_state(path, KEY), by_torch(whole))
    assert not victim.exists()


# -------------------------------------------------------------------- absurd and damaged archives

CLASS = 'class M(Module):\n  __parameters__ = ["w", ]\n  __buffers__ = []\n  w : Tensor\n'


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

    class Name:
        def __init__(self, name):
            self.name = name

    def put(value):
        if isinstance(value, tuple):
            return b'(' + b''.join(map(put, value)) + b't'
        if isinstance(value, Name):
            return f'c{value.name}\n'.encode()
        if isinstance(value, str):
            return b'X' + struct.pack('<I', len(value)) + value.encode()
        return (
            b'\x8a\x08' + value.to_bytes(8, 'little', signed=True)
            if isinstance(value, int)
            else b'N'
        )

    storage = tuple(Name('torch\nFloatStorage') if part == 'F' else part for part in storage)
    numbers = put(offset) + put(size) + put(stride) + b'\x89N'
    tensor = b'ctorch._utils\n_rebuild_tensor_v2\n(' + put(storage) + b'Q' + numbers + b'tR'
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


# ------------------------------------------------------------------------ where they are rejected


@pytest.mark.parametrize('load', [load_state, load_tree])
def test_archives_are_accepted_only_as_pretrained_weights(load, whole):
    refused(
        lambda: load(whole, 'TEST.WEIGHT'),
        'TEST.WEIGHT',
        whole,
        'TorchScript',
        'MODEL.PRETRAIN_PATH',
    )


def test_is_torchscript(whole, tmp_path):
    torch.save({'a': torch.ones(2)}, tmp_path / 'a.pth')
    (tmp_path / 'cut.pt').write_bytes(whole.read_bytes()[:500])
    assert is_torchscript(whole)
    assert not any(is_torchscript(tmp_path / name) for name in ('a.pth', 'cut.pt', 'missing.pt'))
