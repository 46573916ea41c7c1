"""Float32 products on the CPU: torch's own on Intel processors, oneDNN's on others.

Torch's own come from MKL, which uses AVX-512 on Intel processors but only AVX2 on others. oneDNN,
which torch already uses for convolutions, uses AVX-512 on both; on Intel processors oneDNN is the
slower one (docs/performance.md). The processor alone decides, so a machine gives the same bits
every time. The two differ only in the order of the sums. For small products and other types,
``torch.nn.functional.linear`` is used everywhere.
"""

import functools
import platform
import re
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

SMALL = 2**20  # multiply-adds; for fewer, calling oneDNN costs more than it gains
CPUINFO = Path('/proc/cpuinfo')
INTEL = ('GenuineIntel', 'i386')  # names on Linux and Windows, and on macOS


class Linear(nn.Linear):
    """``torch.nn.Linear`` by :func:`linear`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return linear(x, self.weight, self.bias)


class CosineLinear(Linear):
    """The cosines of inputs to weights, in the range -1 … 1, without bias."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return linear(F.normalize(x, dim=-1), F.normalize(self.weight, dim=-1))


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Return x · weightᵀ + bias; the result can be differentiated once.

    Args:
        x: (…, K).
        weight: (N, K).
        bias: (N,).

    Returns:
        (…, N).
    """
    # Asked first: torch.export would limit a graph to batches with the same answer to `fits` below.
    if torch.compiler.is_compiling():
        return F.linear(x, weight, bias)
    here = (
        x.device.type == 'cpu'
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled('cpu')
    )
    fits = x.ndim > 1 and x.shape[-1] == weight.shape[1] and x.numel() * len(weight) >= SMALL
    if here and fits and torch.backends.mkldnn.enabled and uses_onednn():
        return _OneDNN.apply(x, weight, bias)
    return F.linear(x, weight, bias)


class _OneDNN(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        x = x.contiguous()  # oneDNN is slow if there are gaps between rows
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        gradient = gradient.contiguous()
        rows = gradient.flatten(0, -2)
        return (
            _product(gradient, weight.t()) if for_x else None,
            _product(rows.t(), x.flatten(0, -2).t()) if for_weight else None,
            rows.sum(0) if for_bias else None,
        )


def _product(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, 'none', [], '')


@functools.cache
def uses_onednn() -> bool:
    """Return whether this machine's CPU computes float32 products with oneDNN."""
    mkl_on_intel = torch.backends.mkl.is_available() and any(
        name in processor_maker() for name in INTEL
    )
    return not mkl_on_intel and _has_onednn()


def products_text() -> str:
    """Say, for the log, which library computes float32 products on the CPU, and why."""
    library = "oneDNN's" if uses_onednn() else "torch's own"
    return f'{library} (processor: {processor_maker() or "unknown"})'


def processor_maker() -> str:
    """Return 'GenuineIntel', 'AuthenticAMD', …, on Windows a longer text; '' if unknown."""
    if not CPUINFO.exists():  # not Linux
        return platform.processor()
    cpuinfo = CPUINFO.read_text(encoding='utf-8', errors='replace')
    found = re.search(r'^vendor_id\s*:\s*(\S.*)', cpuinfo, re.MULTILINE)
    return found[1] if found else ''


def _has_onednn() -> bool:
    """Return whether oneDNN's product, a private operator of torch's compiler, exists and works."""
    x, weight = torch.arange(6.0).reshape(2, 3), torch.arange(12.0).reshape(3, 4).t()
    try:
        return torch.equal(_product(x, weight, torch.ones(4)), x @ weight.t() + 1)
    except (AttributeError, RuntimeError, TypeError, NotImplementedError):
        return False
