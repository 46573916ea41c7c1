"""Batch norm of convolutions over the photos of all processes, also on the CPU, which torch's SyncBatchNorm cannot use."""
import torch
from torch import nn


def sync_batch_norms(module, processes):
    """Let every BatchNorm2d below ``module`` (or itself) see the batches of all ``processes``; returns the module.

    In place: parameters and buffers stay the same objects under the same names. The batches must have equal shapes. On an
    accelerator torch.nn.SyncBatchNorm does this. Of one process nothing changes.
    """
    if processes.world_size == 1:
        return module
    if next(module.parameters()).device.type != 'cpu':
        return _replace(module, nn.SyncBatchNorm.convert_sync_batchnorm)
    return _replace(module, lambda norm: BatchNorm2dOfAll(norm, processes))


def _replace(module, make):
    if isinstance(module, nn.BatchNorm2d):
        return make(module)
    for name, child in module.named_children():
        setattr(module, name, _replace(child, make))
    return module


class BatchNorm2dOfAll(nn.BatchNorm2d):
    """``norm``, whose statistics in training are those of the photos (B, C, H, W) of all ``processes`` (Ioffe & Szegedy, 2015).

    Gradients are those of the sum of all processes' losses. The processes must have equal shapes; a batch norm without
    momentum, weight or running statistics is not provided for. In evaluation a plain batch norm.
    """

    def __init__(self, norm, processes):
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            setattr(self, name, buffer)
        self.train(norm.training)
        self.processes = processes

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        numbers = x.to(torch.promote_types(x.dtype, self.weight.dtype))  # half precision is too coarse for sums
        mean = _Mean.apply(numbers.mean((0, 2, 3)), self.processes)
        centred = numbers - mean[:, None, None]
        variance = _Mean.apply(centred.square().mean((0, 2, 3)), self.processes)
        self._keep(mean.detach(), variance.detach(), self.processes.world_size * x.numel() // x.shape[1])
        scale = self.weight * (variance + self.eps).rsqrt()
        return torch.addcmul(self.bias[:, None, None], centred, scale[:, None, None]).to(x.dtype)

    def _keep(self, mean, variance, count):
        """Running statistics, the variance without the bias of ``count`` numbers, as torch keeps them."""
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)


class _Mean(torch.autograd.Function):
    """Mean over the processes; so is its gradient."""

    @staticmethod
    def forward(ctx, tensor, processes):
        ctx.processes = processes
        return processes.mean(tensor)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return ctx.processes.mean(gradient), None
