"""Checkpoints: mutated, of pickle opcodes, of safetensors headers."""

import io
import json
import pickle

import torch
from hypothesis import strategies as st
from safetensors.torch import save as safetensors_bytes

from tests.faults.made_up.basics import (
    JSON,
    dicts,
    encoded,
    integers,
    lists,
    mutated,
    mutated_within,
    one_of,
    pieces,
    sampled,
)


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
    """Mutated checkpoints and states of all formats; some would make the file ``victim``."""
    torch.manual_seed(0)
    state = {
        'module.a.weight': torch.randn(3, 2),
        'b': torch.arange(4),
        'half': torch.ones(3, dtype=torch.bfloat16),
        'c': torch.ones(2, 2, 1, 3).to(memory_format=torch.channels_last),
        'one': torch.tensor(1.5),
        'none': torch.zeros(0, 3),
    }
    evil = {'a': torch.ones(2), 'evil': Evil(victim)}
    legacy = {'_use_new_zipfile_serialization': False}
    whole = mutated(
        [
            torch_bytes(state),
            torch_bytes(state, **legacy),
            torch_bytes(training_state(state)),
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


def training_state(tensors):
    """What resume.pth holds, with an optimizer after a step."""
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return {
        'stage': 2,
        'tensors': tensors,
        'optimizers': [optimizer.state_dict()],
        'best': None,
        'random': (1, 2.5, True),
    }


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
    sizes = [size for size, _ in sides]
    strides = [stride for _, stride in sides]
    return b''.join(
        [
            b'\x80\x02}X\1\0\0\0actorch._utils\n_rebuild_tensor_v2\n',
            b'((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpu',
            _ints(elements),
            b'tQ',
            _ints(offset),
            b'(',
            _ints(*sizes),
            b't(',
            _ints(*strides),
            b't\x89ccollections\nOrderedDict\n)RtRs.',
        ]
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
