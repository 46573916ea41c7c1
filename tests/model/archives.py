"""TorchScript archives, written by torch or by hand, and pickles that would run code."""

import contextlib
import os
import pickle
import struct
import warnings
import zipfile

import torch
from torch import nn

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
