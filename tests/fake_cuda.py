"""A CUDA device without a GPU: tensors that say 'cuda' while their numbers lie in main memory.

torch's own FakeTensorMode has no numbers, so it stops at the first ``item`` or ``nonzero``, and
without a driver it has no backward pass. Here whole trainings and tests run. As on a GPU, tensors
of two devices do not mix, and every operation that makes the program wait for the device is noted.
Autocast has no effect: everything is computed as it is on the CPU.
"""

import contextlib
import sys
from pathlib import Path
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).resolve().parents[1]
CUDA, CPU, META = torch.device('cuda', 0), torch.device('cpu'), torch.device('meta')
aten = torch.ops.aten
READS = {  # by the program: a number, or how large the result is
    aten._local_scalar_dense,
    aten.nonzero,
    aten._unique2,
    aten.unique_consecutive,
    aten.masked_select,
    aten.bincount,
    aten.repeat_interleave,
    aten.equal,
}
COPIES = {aten._to_copy, aten.copy_}
INDEXING = {
    aten.index,
    aten.index_put_,
    aten._index_put_impl_,
}  # an index on the CPU is copied to the device first


@contextlib.contextmanager
def fake_cuda():
    """Within it 'cuda' can be asked for wherever torch takes a device. Yields the list of what has
    waited for it so far.
    """
    waits = []
    no_inference_mode = mock.patch.object(
        torch, 'inference_mode', torch.no_grad
    )  # its tensors cannot be made here
    with no_inference_mode, _Dispatch(waits), _Names():
        yield waits


class FakeCudaTensor(torch.Tensor):
    """``value`` holds the numbers; the tensor itself is an empty shell on the device 'meta', for
    torch's bookkeeping.
    """

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, value):
        tensor = torch.Tensor._make_subclass(cls, _shell(value))
        tensor.value = value
        return tensor

    def __repr__(self):
        return f'FakeCudaTensor({self.value})'

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f'{func}: a tensor of fake_cuda() is used outside of it')


class _Names(TorchFunctionMode):
    """Says 'meta' to torch where the program says 'cuda'."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.Tensor.is_pinned:  # of the loader's batches
            return True
        if func is torch.Tensor.pin_memory:
            return args[0]
        if func is torch.Tensor.tolist:  # torch has none for subclasses
            return func(args[0].cpu())
        if func in (torch.device, torch._C._nn._parse_to) or not any(
            map(_is_cuda, _leaves((args, kwargs)))
        ):
            return func(*args, **kwargs)

        plain_data = func in (torch.tensor, torch.as_tensor) and not isinstance(
            args[0], torch.Tensor
        )
        device = CPU if plain_data else META  # torch copies numbers past all modes

        def rename(leaf):
            return device if _is_cuda(leaf) else leaf

        result = func(*_map(rename, args), **_map(rename, kwargs))
        return result.to(META) if plain_data else result


class _Dispatch(TorchDispatchMode):
    """Computes on the values, and makes of every result on 'meta' a tensor with a value."""

    def __init__(self, waits):
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [leaf for leaf in _leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        fakes = [tensor for tensor in tensors if isinstance(tensor, FakeCudaTensor)]
        device = kwargs.get('device')
        if not fakes and device != META:
            return func(*args, **kwargs)
        on_host = device == CPU or (
            func.overloadpacket is aten.copy_ and not isinstance(args[0], FakeCudaTensor)
        )
        _check_devices(func, args, tensors)
        if _waits(func, args, kwargs, on_host, len(fakes) < len(tensors)):
            self.waits.append(f'{_line_of_ours()} {func.overloadpacket.__name__}')
        with_values = {**kwargs, 'device': CPU} if device else kwargs
        result = func(*_map(_value, args), **_map(_value, with_values))
        known = {id(fake.value): fake for fake in fakes}  # what an operation in place gives back

        def wrap(part):
            if on_host or not isinstance(part, torch.Tensor):
                return part
            return known[id(part)] if id(part) in known else FakeCudaTensor(part)

        return _map(wrap, result)


def _map(function, part):
    """``function`` of everything in nested lists, tuples and dicts. Torch's own is slower: it knows
    all kinds of containers.
    """
    if type(part) in (list, tuple):
        return type(part)([_map(function, each) for each in part])
    if type(part) is dict:
        return {name: _map(function, each) for name, each in part.items()}
    return function(part)


def _leaves(part):
    leaves = []
    _map(leaves.append, part)
    return leaves


def _shell(value):
    if value.is_sparse:
        nothing = (
            torch.empty(value.sparse_dim(), 0, dtype=torch.long, device=META),
            torch.empty(0, device=META),
        )
        return torch.sparse_coo_tensor(*nothing, value.shape, check_invariants=False)
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=META)


def _value(leaf):
    return leaf.value if isinstance(leaf, FakeCudaTensor) else leaf


def _is_cuda(leaf):
    return isinstance(leaf, (str, torch.device)) and str(leaf).partition(':')[0] == 'cuda'


def _check_devices(func, args, tensors):
    """RuntimeError for what a GPU would not do: mixing devices. Numbers of the CPU may meet tensors
    element by element.
    """
    packet = func.overloadpacket
    if packet in COPIES or (packet in INDEXING and isinstance(args[0], FakeCudaTensor)):
        return
    for tensor in tensors:
        number = tensor.dim() == 0 and tensor.device == CPU and torch.Tag.pointwise in func.tags
        if not isinstance(tensor, FakeCudaTensor) and not number:
            raise RuntimeError(
                f'{func}: tensors on cuda and on {tensor.device}, {tuple(tensor.shape)}'
            )


def _waits(func, args, kwargs, on_host, mixed):
    packet = func.overloadpacket
    if packet in COPIES:
        asynchronous = kwargs.get('non_blocking', False) or (
            packet is aten.copy_ and args[2:] == (True,)
        )
        return (on_host or mixed) and not asynchronous
    if (
        packet in INDEXING
    ):  # by an index on the CPU, or by a mask, of which the program must know how much it takes
        return any(
            index is not None and (index.device == CPU or index.dtype == torch.bool)
            for index in args[1]
        )
    return packet in READS and kwargs.get('output_size') is None


def _line_of_ours():
    """'processor/inference.py:40', the line of the program that is at work."""
    frame = sys._getframe(1)
    while frame and not _is_ours(Path(frame.f_code.co_filename)):
        frame = frame.f_back
    return f'{Path(frame.f_code.co_filename).relative_to(ROOT)}:{frame.f_lineno}' if frame else '?'


def _is_ours(path):
    return path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] not in ('.venv', 'tests')
