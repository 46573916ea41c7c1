"""Runs of the toy world with tiny networks of timm, which timm has for its own tests."""

import timm
import torch

from configs import load_cfg

BYOB, VIT = 'test_byobnet', 'test_vit'  # convolutions for any size; a transformer of fixed size
NO_TEXT = ('SOLVER.STAGE1.MAX_EPOCHS', 0, 'MODEL.I2T_LOSS_WEIGHT', 0)


def save_network(path, name=BYOB, seed=0, **options):
    """Save the state dict of a random network with its classifier; return the network."""
    torch.manual_seed(seed)
    network = timm.create_model(name, **options).eval()
    for module in network.modules():  # norms that do something
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
    torch.save(network.state_dict(), path)
    return network


def pairs(name, weights, *others):
    """KEY VALUE pairs for the toy world: sizes stay its 32 x 32; mean and std are timm's."""
    values = ('MODEL.NAME', f'timm:{name}', 'MODEL.PRETRAIN_PATH', weights, *NO_TEXT, *others)
    return list(map(str, values))


def config(name, weights='', *others):
    """A config without data."""
    return load_cfg('', pairs(name, weights, *others))
