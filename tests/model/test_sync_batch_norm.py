"""Batch norms over several processes: rejected on the CPU, torch's own on CUDA."""

import pytest
import torch
from torch import nn

from model.clip.resnet import ModifiedResNet
from model.sync_batch_norm import sync_batch_norms
from utils.distributed import SINGLE, Processes
from utils.errors import InputError

TWO = Processes(rank=1, world_size=2)


def test_several_processes_on_the_cpu_are_rejected():
    with pytest.raises(InputError) as rejected:
        sync_batch_norms(toy_resnet(), TWO, torch.device('cpu'))
    assert str(rejected.value) == (
        'MODEL.SYNC_BN is True with 2 processes on the CPU; it works on CUDA only: '
        'set MODEL.SYNC_BN False, or train in one process'
    )


def toy_resnet():
    return ModifiedResNet((1, 1, 1, 1), width=4, output_dim=8, grid=(2, 2))


def test_on_several_gpus_every_batch_norm_is_torchs_synchronised_one():
    encoder = toy_resnet().to(memory_format=torch.channels_last)
    tensors = encoder.state_dict(keep_vars=True)
    before = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]

    synced = sync_batch_norms(encoder, TWO, torch.device('cuda:1'))

    assert synced is encoder
    after = [module for module in encoder.modules() if isinstance(module, nn.SyncBatchNorm)]
    assert len(after) == len(before) > 10
    assert not any(isinstance(module, nn.BatchNorm2d) for module in encoder.modules())
    assert list(encoder.state_dict()) == list(tensors)
    for name, tensor in encoder.state_dict(keep_vars=True).items():
        assert tensor is tensors[name], name
    norms = list(zip(before, after, strict=True))
    assert all((new.eps, new.momentum) == (old.eps, old.momentum) for old, new in norms)


def test_of_one_process_nothing_changes():
    encoder = toy_resnet()
    kinds = [type(module) for module in encoder.modules()]
    assert sync_batch_norms(encoder, SINGLE, torch.device('cpu')) is encoder
    assert [type(module) for module in encoder.modules()] == kinds
