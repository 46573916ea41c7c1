"""Batch norms over several processes: rejected on the CPU, torch's own on CUDA."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from model.clip.resnet import ModifiedResNet
from model.make_model_clipreid import sync_batch_norms
from utils.errors import InputError


def toy_model():
    encoder = ModifiedResNet((1, 1, 1, 1), width=4, output_dim=8, grid=(2, 2))
    return SimpleNamespace(image_encoder=encoder.to(memory_format=torch.channels_last))


def test_several_processes_on_the_cpu_are_rejected():
    with pytest.raises(InputError) as rejected:
        sync_batch_norms(toy_model(), 2, torch.device('cpu'))
    assert str(rejected.value) == (
        'MODEL.SYNC_BN is True with 2 processes on the CPU; it works on CUDA only: '
        'set MODEL.SYNC_BN False, or train in one process'
    )


def test_on_several_gpus_every_batch_norm_is_torchs_synchronised_one():
    model = toy_model()
    encoder = model.image_encoder
    tensors = encoder.state_dict(keep_vars=True)
    before = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]

    sync_batch_norms(model, 2, torch.device('cuda:1'))

    assert model.image_encoder is encoder
    after = [module for module in encoder.modules() if isinstance(module, nn.SyncBatchNorm)]
    assert len(after) == len(before) > 10
    assert not any(isinstance(module, nn.BatchNorm2d) for module in encoder.modules())
    assert list(encoder.state_dict()) == list(tensors)
    for name, tensor in encoder.state_dict(keep_vars=True).items():
        assert tensor is tensors[name], name
    norms = list(zip(before, after, strict=True))
    assert all((new.eps, new.momentum) == (old.eps, old.momentum) for old, new in norms)


def test_one_process_trains_as_without():
    photos = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = toy_model()
    torch.manual_seed(0)
    synced = toy_model()
    sync_batch_norms(synced, 1, torch.device('cpu'))
    for expected, found in zip(
        model.image_encoder(photos), synced.image_encoder(photos), strict=True
    ):
        assert torch.equal(found, expected)
    assert all(
        torch.equal(tensor, synced.image_encoder.state_dict()[name])
        for name, tensor in model.image_encoder.state_dict().items()
    )
