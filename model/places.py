"""The places of a photo that its feature comes from: the last activations with positions.

Convolutions: the map that the feature is pooled from. Of CLIP's ResNet this is the output of
``layer4``, since both features that tests use are pooled from it: f by a mean, f_proj by attention.
Transformers with tokens: the tokens that enter the last block. Behind it, a class token would be
the only one that reaches the feature.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model.clip.resnet import ModifiedResNet
from model.clip.towers import VisionTransformer
from model.reid_model import ReIDModel
from model.timm_model import TimmEncoder
from utils.errors import InputError

Grid = tuple[int, int]


@dataclass
class Places:
    """Records the activations of a forward pass; gradients end there.

    Attributes:
        is_pooled: Whether the feature is pooled from all places alike; else blocks of attention
            follow.
        to_grid: From a product with the activations' shape to its sums (B, h, w) at the places.
        activations: Of the last forward pass, (B, …).
    """

    is_pooled: bool
    to_grid: Callable[[Tensor], Tensor]
    activations: Tensor | None = None

    def record(self, activations: Tensor) -> Tensor:
        """Keep the activations; return them as the start of a new graph."""
        self.activations = activations.detach().requires_grad_()
        return self.activations

    def contributions(self, scores: Tensor) -> Tensor:
        """Return gradient × activation of the scores' sum, summed at each place: (B, h, w)."""
        assert self.activations is not None, 'a forward pass comes first'
        (gradient,) = torch.autograd.grad(scores.sum(), self.activations)
        return self.to_grid((gradient * self.activations).detach().float())


@contextlib.contextmanager
def recorded_places(model: ReIDModel) -> Iterator[Places]:
    """Record the places of the model's image encoder in each forward pass within the block.

    The model may be compiled: within the block it runs without its compiled code.

    Raises:
        InputError: The encoder's last activations have no positions.
    """
    encoder = model.image_encoder
    with contextlib.ExitStack() as stack:
        # compiled code ignores hooks that are added later
        stack.enter_context(torch.compiler.set_stance('force_eager'))
        if isinstance(encoder, ModifiedResNet):
            places = Places(True, lambda product: product.sum(1))
            hook = encoder.layer4.register_forward_hook(lambda *call: places.record(call[2]))
            stack.callback(hook.remove)
        elif isinstance(encoder, VisionTransformer):
            places = _record_tokens(encoder.transformer.resblocks, 1, model.settings.grid, stack)
        else:
            assert isinstance(encoder, TimmEncoder)
            places = _record_timm(encoder.network, stack)
        yield places


def _record_tokens(blocks: Any, prefix: int, grid: Grid, stack: contextlib.ExitStack) -> Places:
    """Record the tokens before the last block: ``prefix`` others, then one per place."""
    places = Places(False, lambda product: _as_grid(product.sum(2)[:, prefix:], grid))
    hook = blocks[-1].register_forward_pre_hook(
        lambda _, inputs: (places.record(inputs[0]), *inputs[1:])
    )
    stack.callback(hook.remove)
    return places


def _record_timm(network: Any, stack: contextlib.ExitStack) -> Places:
    """Record the tokens of a transformer of timm, or the result of its ``forward_features``."""
    grid = getattr(getattr(network, 'patch_embed', None), 'grid_size', None)
    if grid and hasattr(network, 'blocks') and hasattr(network, 'num_prefix_tokens'):
        return _record_tokens(network.blocks, network.num_prefix_tokens, tuple(grid), stack)
    if not hasattr(network, 'forward_features'):
        raise _without_places(network)
    places = Places(True, lambda product: _sum_channels(product, network, grid))
    compute = network.forward_features

    def recorded(*args: Any, **kwargs: Any) -> Tensor:
        found = compute(*args, **kwargs)
        if not isinstance(found, Tensor):
            raise _without_places(network)
        return places.record(found)

    network.forward_features = recorded
    stack.callback(delattr, network, 'forward_features')
    return places


def _sum_channels(product: Tensor, network: Any, grid: Grid | None) -> Tensor:
    """Sum a map (B, C, h, w) or (B, h, w, C), or tokens (B, h · w, C), over its channels."""
    if product.dim() == 4 and product.shape[1] == network.num_features:
        return product.sum(1)
    if product.dim() == 4:
        return product.sum(3)
    if product.dim() == 3 and grid:
        return _as_grid(product.sum(2), grid)
    raise _without_places(network)


def _as_grid(values: Tensor, grid: Grid) -> Tensor:
    """(B, h · w) -> (B, h, w)."""
    if values.shape[1] != grid[0] * grid[1]:
        raise InputError(
            f'the encoder has {values.shape[1]} tokens, which are not a grid of {grid[0]} x '
            f'{grid[1]} places; where the model looks cannot be shown'
        )
    return values.unflatten(1, grid)


def _without_places(network: nn.Module) -> InputError:
    return InputError(
        f'{type(network).__name__}: its last activations have no positions in the photo (neither a '
        'map nor a grid of tokens), so where the model looks cannot be shown; choose a '
        'convolutional network or a vision transformer'
    )
