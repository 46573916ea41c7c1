"""Reads weights from TorchScript archives, the format of OpenAI's CLIP, without running their code.

Such an archive is a zip file: data.pkl is a pickle of the module tree, data/* are the tensors'
bytes, code/**.py are the modules' classes. ``torch.jit.load`` compiles that code. Here nothing
that the pickle names is imported, and only a few lines of each class are read, as text. Layout:
torch 2.14, torch/csrc/jit/serialization (pickler.cpp, python_print.cpp).
"""

import io
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from utils.errors import InputError, first_line
from utils.weights_files import SLACK, check_tensors

DTYPES = {
    'torch.DoubleStorage': torch.float64,
    'torch.FloatStorage': torch.float32,
    'torch.HalfStorage': torch.float16,
    'torch.BFloat16Storage': torch.bfloat16,
    'torch.LongStorage': torch.int64,
    'torch.IntStorage': torch.int32,
    'torch.ShortStorage': torch.int16,
    'torch.CharStorage': torch.int8,
    'torch.ByteStorage': torch.uint8,
    'torch.BoolStorage': torch.bool,
}
MAX_MODULES = 100_000  # the largest CLIP has about a thousand
# the pickle instructions that torch writes
INSTRUCTIONS = (
    pickle.PROTO,
    pickle.STOP,
    pickle.MARK,
    pickle.NONE,
    pickle.NEWTRUE,
    pickle.NEWFALSE,
    pickle.BININT,
    pickle.BININT1,
    pickle.BININT2,
    pickle.LONG1,
    pickle.BINFLOAT,
    pickle.BINUNICODE,
    pickle.EMPTY_LIST,
    pickle.EMPTY_DICT,
    pickle.EMPTY_TUPLE,
    pickle.TUPLE,
    pickle.TUPLE1,
    pickle.TUPLE2,
    pickle.TUPLE3,
    pickle.APPEND,
    pickle.APPENDS,
    pickle.SETITEM,
    pickle.SETITEMS,
    pickle.BINPUT,
    pickle.LONG_BINPUT,
    pickle.BINGET,
    pickle.LONG_BINGET,
    pickle.GLOBAL,
    pickle.BINPERSID,
    pickle.REDUCE,
    pickle.NEWOBJ,
    pickle.BUILD,
)


def archive_state(path: str | Path, key: str) -> dict[str, torch.Tensor]:
    """Return the state dict of a TorchScript archive, on the CPU.

    The result equals ``torch.jit.load(path).state_dict()``.

    Args:
        path: The archive.
        key: The config key that the path came from, for error messages.

    Raises:
        InputError: The file is not a TorchScript archive, is damaged or truncated, or claims to
            be larger than it is.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > 4 * Path(path).stat().st_size + SLACK:
                raise ValueError('it unpacks to far more than its size')
            reader = _Reader(archive)
            reader.collect(read_pickle(reader.bytes('data.pkl')))
    except Exception as error:  # zipfile and pickle may raise any error on damaged bytes
        raise InputError(
            f'{key}: {path} is damaged or is not a TorchScript archive '
            f'({type(error).__name__}: {first_line(error)}); no code in it was run; copy or '
            'download it again'
        ) from None
    check_tensors(reader.state.values(), path, key)
    return reader.state


class _Reader:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.root = archive.namelist()[0].split('/')[0]
        self.storages: dict[str, bytearray] = {}
        self.classes: dict[str, str] = {}
        self.state: dict[str, torch.Tensor] = {}
        self.modules = 0

    def bytes(self, name: str) -> bytearray:
        member = self.archive.getinfo(f'{self.root}/{name}')
        with self.archive.open(member) as file:
            return bytearray(file.read(member.file_size))

    def collect(self, module: Any, prefix: str = '') -> None:
        """Add parameters, buffers, then submodules: the order of nn.Module.state_dict."""
        self.modules += 1
        if self.modules > MAX_MODULES:
            raise ValueError('too many modules, or modules that contain each other')
        source = self.source(module.name)
        if not source.startswith('(Module)'):
            return
        for name in _tensor_names(source):
            value = module.attributes.get(name)
            if value is not None:
                self.state[prefix + name] = self.tensor(value)
        for name, value in module.attributes.items():
            if hasattr(value, 'attributes'):
                if len(name) > 100 or not name.isprintable():
                    raise ValueError('a module has an impossible name')
                self.collect(value, f'{prefix}{name}.')

    def source(self, class_name: str) -> str:
        """Return the text after ``class Name`` in the archive's code."""
        if class_name not in self.classes:
            folder = class_name.rpartition('.')[0]
            text = self.bytes(f'code/{folder.replace(".", "/")}.py').decode() + '\n'
            for name, source in re.findall(r'^class (\w+)(.*\n(?:(?: .*)?\n)*)', text, re.M):
                self.classes[f'{folder}.{name}'] = source
        return self.classes[class_name]

    def tensor(self, value: Any) -> torch.Tensor:
        """Return the tensor that ``_rebuild_tensor_v2(storage, offset, size, stride, …)`` makes."""
        if value.name != 'torch._utils._rebuild_tensor_v2':
            raise ValueError(f'{value.name} is not a dense tensor')
        (_, kind, number, _, count), offset, size, stride = value.arguments[:4]
        if number not in self.storages:
            self.storages[number] = self.bytes(f'data/{number}')
        memory, dtype = self.storages[number], DTYPES[kind.name]
        flat = torch.empty(0, dtype=dtype)
        if memory:
            flat = torch.frombuffer(memory, dtype=dtype, count=count)
        return flat.as_strided(size, stride, offset)


def _tensor_names(source: str) -> list[str]:
    """Return the attributes of a class that belong to its state dict."""
    names = {}
    for kind in ('parameters', 'buffers'):
        line = re.search(rf'^  __{kind}__ = (.*)$', source, re.M)
        if line and not re.fullmatch(r'\[("\w+", )*\]', line[1]):
            raise ValueError(f'__{kind}__ is not a list of names')
        names[kind] = re.findall(r'\w+', line[1]) if line else []
    # torch omits these
    optional = re.findall(r'^  (\w+) : Optional\[Tensor\]$', source, re.M)
    return names['parameters'] + [name for name in names['buffers'] if name not in optional]


class _Object:
    """A stand-in for an object of any class: stores its arguments and attributes, runs nothing."""

    name = ''  # of the class, such as '__torch__.torch.nn.modules.linear.Linear'

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, attributes: Any) -> None:
        self.attributes = attributes


class _Unpickler(pickle._Unpickler):
    """Accepts only the instructions that torch writes, and imports nothing."""

    dispatch = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in INSTRUCTIONS}

    def find_class(self, module: str, name: str) -> type[_Object]:
        return type(name, (_Object,), {'name': f'{module}.{name}'})

    def persistent_load(self, pid: Any) -> Any:
        return pid


def read_pickle(data: bytes | bytearray) -> Any:
    """Unpickle data that torch wrote; nothing is imported or called.

    Anything but plain data becomes an :class:`_Object`. Damaged bytes may raise any exception.
    """
    return _Unpickler(io.BytesIO(data)).load()
