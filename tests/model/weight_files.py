"""Weights in files of every kind, and errors about them."""

import warnings

import pytest
import torch
from torch import nn

from utils.errors import InputError


def refused(call, *words):
    with pytest.raises(InputError) as caught:
        call()
    line = str(caught.value)
    assert '\n' not in line
    for word in words:
        assert str(word) in line, line
    return line


def same(a, b):
    return a.keys() == b.keys() and all(
        a[n].dtype == b[n].dtype and torch.equal(a[n], b[n]) for n in a
    )


class Holder(nn.Module):
    def forward(self, x):
        return x


def torchscript(state, path):
    """An archive as OpenAI publishes them: the tensors in a tree of modules, the numbers as
    buffers.
    """
    root = Holder()
    for name, tensor in state.items():
        *folders, last = name.split('.')
        module = root
        for folder in folders:
            if folder not in module._modules:
                module.add_module(folder, Holder())
            module = module._modules[folder]
        if tensor.is_floating_point():
            module.register_parameter(last, nn.Parameter(tensor))
        else:
            module.register_buffer(last, tensor)
    for name, number in (('input_resolution', 224), ('context_length', 77), ('vocab_size', 49408)):
        root.register_buffer(name, torch.tensor(number))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.jit.script(root).save(path)
