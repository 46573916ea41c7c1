"""The weights in a TorchScript archive, as OpenAI publishes CLIP, read without running the code
that comes with them.

Such an archive is a zip: data.pkl, a pickle of the tree of modules; data/*, the tensors' bytes;
code/**.py, the modules' classes. ``torch.jit.load`` compiles that code. Here the pickle's
instructions are read one by one, and those that call something only note what they would have
called; of the code a few lines a class are read, as text. Layout: torch 2.14,
torch/csrc/jit/serialization (pickler.cpp, python_print.cpp).
"""

import math
import pickletools
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from utils.errors import InputError, first_line
from utils.weights_files import SLACK, check_tensors

STORAGES = {
    'DoubleStorage': torch.float64,
    'FloatStorage': torch.float32,
    'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16,
    'LongStorage': torch.int64,
    'IntStorage': torch.int32,
    'ShortStorage': torch.int16,
    'CharStorage': torch.int8,
    'ByteStorage': torch.uint8,
    'BoolStorage': torch.bool,
}
MAX_MODULES = 100_000  # the largest CLIP has about a thousand
MAX_DEPTH = 100


class _Damaged(Exception):
    """The archive is not what torch writes."""


@dataclass
class _Global:
    """A name that the pickle would have imported."""

    name: str  # 'torch._utils _rebuild_tensor_v2'


@dataclass
class _Module:
    """An object of a class of the archive; it has no methods."""

    name: str  # '__torch__.torch.nn.modules.linear.Linear'
    attributes: dict[Any, Any] = field(default_factory=dict)


@dataclass
class _Call:
    """A call that the pickle asks for and that was not made."""

    name: str
    arguments: tuple[Any, ...]


def archive_state(path: str | Path, key: str) -> dict[str, torch.Tensor]:
    """Return the state dict of a TorchScript archive, on the CPU.

    It is what ``torch.jit.load(path).state_dict()`` would give.

    Args:
        path: of the archive.
        key: the config key that the path came from, for messages.

    Raises:
        InputError: the file is no such archive, is damaged or cut short, or claims to be larger
            than it is.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            state = _Reader(archive).state()
    except Exception as error:  # zipfile and pickletools raise anything on damaged bytes
        raise InputError(
            f'{key}: {path} is a damaged TorchScript archive, or none that torch writes '
            f'({first_line(error)}); it was not run; copy or download it again'
        ) from None
    check_tensors(state.values(), path, key)
    return state


class _Reader:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.members = {member.filename: member for member in archive.infolist()}
        self.root = next(
            (
                name.split('/')[0]
                for name in self.members
                if re.fullmatch(r'[^/]+/constants\.pkl', name)
            ),
            '',
        )
        size = archive.fp.seek(0, 2) if archive.fp else 0
        if sum(member.file_size for member in self.members.values()) > 4 * size + SLACK:
            raise _Damaged('it unpacks to far more than it holds')
        self.storages: dict[str, bytearray] = {}
        self.sources: dict[str, dict[str, str]] = {}
        self.modules = 0

    def state(self) -> dict[str, torch.Tensor]:
        tree = run_nothing(self.bytes('data.pkl'))
        if not isinstance(tree, _Module):
            raise _Damaged('data.pkl holds no module')
        state: dict[str, torch.Tensor] = {}
        self.collect(tree, '', state, 0)
        return state

    def bytes(self, name: str) -> bytearray:
        member = self.members.get(f'{self.root}/{name}')
        if member is None:
            raise _Damaged(f'{name} is missing')
        with self.archive.open(member) as file:
            buffer = bytearray(file.read(member.file_size))
        if len(buffer) != member.file_size:
            raise _Damaged(f'{name} is cut short')
        return buffer

    def collect(
        self, module: _Module, prefix: str, state: dict[str, torch.Tensor], depth: int
    ) -> None:
        """Add parameters, then buffers, then the modules within, as nn.Module.state_dict does."""
        self.modules += 1
        if depth > MAX_DEPTH or self.modules > MAX_MODULES:
            raise _Damaged('its modules hold each other')
        names = self.tensor_names(module.name)
        if names is None:
            return
        for name in names:
            value = module.attributes.get(name)
            if value is not None:
                state[prefix + name] = self.tensor(value, prefix + name)
        for name, value in module.attributes.items():
            if isinstance(value, _Module):
                if not isinstance(name, str) or not name.isprintable() or len(name) > 100:
                    raise _Damaged('a module has no name')
                self.collect(value, f'{prefix}{name}.', state, depth + 1)

    def tensor_names(self, class_name: str) -> list[str] | None:
        """Return which attributes of a class are in a state dict; None: it is no nn.Module."""
        folder, _, name = class_name.rpartition('.')
        if folder not in self.sources:
            text = self.bytes(f'code/{folder.replace(".", "/")}.py').decode()
            self.sources[folder] = dict(
                re.findall(r'^class (\w+)(.*\n(?:(?: .*)?\n)*)', text + '\n', re.M)
            )
        source = self.sources[folder].get(name)
        if source is None:
            raise _Damaged(f'class {class_name} is missing')
        if not source.startswith('(Module)'):
            return None
        parameters, buffers = self.listed(source, 'parameters'), self.listed(source, 'buffers')
        # torch takes no such buffer for one
        optional = re.findall(r'^  (\w+) : Optional\[Tensor\]$', source, re.M)
        return [*parameters, *(name for name in buffers if name not in optional)]

    @staticmethod
    def listed(source: str, kind: str) -> list[str]:
        line = re.search(rf'^  __{kind}__ = (.*)$', source, re.M)
        if line and not re.fullmatch(r'\[("\w+", )*\]', line[1]):
            raise _Damaged(f'__{kind}__ is no list of names')
        return re.findall(r'\w+', line[1]) if line else []

    def tensor(self, value: object, name: str) -> torch.Tensor:
        """Return what ``_rebuild_tensor_v2(storage, offset, size, stride, …)`` would have made."""
        if not isinstance(value, _Call) or value.name != 'torch._utils _rebuild_tensor_v2':
            raise _Damaged(f'{name} is no dense tensor')
        storage, offset, size, stride = value.arguments[:4]
        if not isinstance(storage, _Call) or storage.name != 'storage':
            raise _Damaged(f'{name} has no storage')
        kind, number, _, count = storage.arguments
        dtype = (
            STORAGES.get(kind.name.removeprefix('torch ')) if isinstance(kind, _Global) else None
        )
        numbers = [offset, count, *size, *stride]
        if (
            dtype is None
            or len(size) != len(stride)
            or any(type(n) is not int or not 0 <= n < 2**48 for n in numbers)
        ):
            raise _Damaged(f'{name} is of no kind that weights have')
        end = (
            offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1
            if math.prod(size)
            else offset
        )
        memory = self.storage(number)
        if end > count or count * dtype.itemsize != len(memory):
            raise _Damaged(f'{name} reaches beyond its bytes')
        flat = torch.frombuffer(memory, dtype=dtype) if memory else torch.empty(0, dtype=dtype)
        return flat.as_strided(size, stride, offset)

    def storage(self, number: str) -> bytearray:
        """Bytes data/<number>; tensors that share them here share them there."""
        if number not in self.storages:
            self.storages[number] = self.bytes(f'data/{number}')
        return self.storages[number]


def run_nothing(data: bytes | bytearray) -> object:
    """Return the value of a pickle of torch, importing and calling nothing.

    Where the pickle asks for more than data there is a _Global, _Module or _Call.

    Raises:
        _Damaged: instructions that torch's pickler does not write. Damaged bytes raise any error
            of pickletools.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}

    def above_mark() -> list[Any]:
        start = marks.pop()
        taken = stack[start:]
        del stack[start:]
        return taken

    def fill(target: object, values: list[Any]) -> None:
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, dict):
            target.update(zip(values[::2], values[1::2], strict=True))
        else:
            raise _Damaged(f'something is put into a {type(target).__name__}')

    for instruction, argument, _ in pickletools.genops(bytes(data)):
        match instruction.name:
            case 'PROTO':
                pass
            case 'STOP':
                return stack.pop()
            case 'MARK':
                marks.append(len(stack))
            case 'NONE':
                stack.append(None)
            case 'NEWTRUE' | 'NEWFALSE':
                stack.append(instruction.name == 'NEWTRUE')
            case 'BININT' | 'BININT1' | 'BININT2' | 'LONG1' | 'BINFLOAT' | 'BINUNICODE':
                stack.append(argument)
            case 'EMPTY_LIST':
                stack.append([])
            case 'EMPTY_DICT':
                stack.append({})
            case 'EMPTY_TUPLE':
                stack.append(())
            case 'TUPLE1' | 'TUPLE2' | 'TUPLE3':
                count = int(instruction.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case 'TUPLE':
                stack.append(tuple(above_mark()))
            case 'APPEND':
                value = stack.pop()
                fill(stack[-1], [value])
            case 'SETITEM':
                value, name = stack.pop(), stack.pop()
                fill(stack[-1], [name, value])
            case 'APPENDS' | 'SETITEMS':
                values = above_mark()
                fill(stack[-1], values)
            case 'BINPUT' | 'LONG_BINPUT':
                memo[argument] = stack[-1]
            case 'BINGET' | 'LONG_BINGET':
                stack.append(memo[argument])
            case 'GLOBAL':
                stack.append(_Global(str(argument)))
            case 'BINPERSID':
                what, *rest = stack.pop()
                stack.append(_Call(what, tuple(rest)))
            case 'REDUCE':
                arguments, function = stack.pop(), stack.pop()
                stack.append(_Call(_name(function), arguments))
            case 'NEWOBJ':
                stack.pop()
                stack.append(_Module(_name(stack.pop()).replace(' ', '.')))
            case 'BUILD':
                attributes = stack.pop()
                if not isinstance(stack[-1], _Module):
                    raise _Damaged('attributes of something that is no module')
                stack[-1].attributes = attributes if isinstance(attributes, dict) else {}
            case name:
                raise _Damaged(f'data.pkl has the instruction {name}, which torch does not write')
    raise _Damaged('data.pkl has no end')


def _name(value: object) -> str:
    if not isinstance(value, _Global):
        raise _Damaged('data.pkl calls something that has no name')
    return value.name
