"""Batch norm of convolutions over the photos of all processes, also on the CPU, which torch's
SyncBatchNorm cannot use.
"""

import torch
from torch import nn


def sync_batch_norms(module, processes):
    """Let every BatchNorm2d below ``module`` (or itself) see the batches of all ``processes``;
    returns the module.

    In place: parameters and buffers stay the same objects under the same names. The batches must
    have equal shapes. On an accelerator torch.nn.SyncBatchNorm does this. Of one process nothing
    changes.
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
    """``norm``, whose statistics in training are those of the photos (B, C, H, W) of all
    ``processes`` (Ioffe & Szegedy, 2015).

    Gradients are those of the sum of all processes' losses. The processes must have equal shapes; a
    batch norm without momentum, weight or running statistics is not provided for. In evaluation a
    plain batch norm.
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
        numbers = x.to(
            torch.promote_types(x.dtype, self.weight.dtype)
        )  # half precision is too coarse for sums
        out, mean, variance = _Normalize.apply(
            numbers, self.weight, self.bias, self.eps, self.processes.mean
        )
        count = self.processes.world_size * x.numel() / x.shape[1]
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(
            variance * (count / (count - 1)), self.momentum
        )  # without bias, as torch keeps it
        return out.to(x.dtype)


class _Normalize(torch.autograd.Function):
    """(x (B, C, H, W), weight, bias, eps, average) -> (normalised x, mean (C,), variance (C,)).

    average: function of a tensor to its mean over the processes.
    The mean of all is taken off before squaring: no digits are lost. By hand and with few tensors
    of this size, which are what
    takes time: from differentiable pieces it takes seven times as long.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, eps, average):
        mean = average(x.mean(_ROWS))
        normal = x - _over(mean)
        variance = average(normal.square().mean(_ROWS))
        slope = (variance + eps).rsqrt()
        normal.mul_(_over(slope))
        ctx.save_for_backward(normal, weight, slope)
        ctx.average = average
        ctx.mark_non_differentiable(mean, variance)
        return torch.addcmul(_over(bias), normal, _over(weight)), mean, variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient, *_):
        normal, weight, slope = ctx.saved_tensors
        product = gradient * normal
        of_bias, of_weight = gradient.sum(_ROWS), product.sum(_ROWS)
        # What the mean and the variance of all photos pass on.
        shift, tilt = ctx.average(torch.stack([of_bias, of_weight])) * (
            len(weight) / normal.numel()
        )
        of_x = (
            torch.mul(normal, _over(tilt), out=product)
            .add_(_over(shift))
            .neg_()
            .add_(gradient)
            .mul_(_over(weight * slope))
        )
        return of_x, of_weight, of_bias, None, None


_ROWS = (0, 2, 3)  # all dimensions but the channels


def _over(numbers):
    """(C,) -> (C, 1, 1)"""
    return numbers[:, None, None]
