"""The shapes of CLIP models: OpenAI's, or read from a state dict."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.clip.resnet import ModifiedResNet
from model.clip.tokenizer import CONTEXT_LENGTH
from model.clip.towers import TextEncoder, TransformerSettings, VisionTransformer
from model.hub import KEY
from utils.checkpoint import State
from utils.errors import InputError

# Widths of ViTs whose attention heads are not 64 wide, which no shape shows.
OTHER_HEADS = {1280: 'H', 1408: 'g', 1664: 'bigG', 1792: 'e'}


@dataclass(frozen=True)
class Architecture:
    """The shapes of a CLIP model.

    Attributes:
        layers: The number of blocks (ViT), or of each of the four stages (ResNet).
        width: The length of a position's vector (ViT); channels after the stem (ResNet).
        patch: The side of a patch in pixels; for a ResNet its total stride, 16.
        embed_dim: The size of the space shared by photos and text.
        text_width: The length of a word's vector.
        text_layers: The number of text blocks; 0 = no text tower.
    """

    layers: int | tuple[int, ...]
    width: int
    patch: int
    embed_dim: int
    text_width: int
    text_layers: int

    @property
    def family(self) -> str:
        """'ViT' or 'RN'."""
        return 'ViT' if isinstance(self.layers, int) else 'RN'

    @property
    def feature_dim(self) -> int:
        """Length of f, the feature before the projection."""
        return self.width if self.family == 'ViT' else self.width * 32

    def without_text(self) -> 'Architecture':
        """Return the shapes of the image tower only."""
        return replace(self, text_width=0, text_layers=0)

    def positions(self, size: Sequence[int], stride: Sequence[int]) -> tuple[int, int]:
        """Return (rows, columns) of the map of positions for photos of ``size`` (height, width)."""
        (height, width), (down, right) = size, stride
        if self.family == 'RN':
            return -(-height // 2) // 8, -(-width // 2) // 8
        return (height - self.patch) // down + 1, (width - self.patch) // right + 1

    def build(
        self, size: Sequence[int], stride: Sequence[int], activation: str = 'quickgelu'
    ) -> tuple[nn.Module, TextEncoder | None]:
        """Return the image tower and the text tower (or None) with random weights.

        Args:
            size: (height, width) of the photos in pixels.
            stride: (rows, columns) in pixels from one patch to the next.
            activation: One of ``towers.ACTIVATIONS``.
        """
        grid = self.positions(size, stride)
        if isinstance(self.layers, int):
            settings = TransformerSettings(self.width, self.layers, self.embed_dim, activation)
            image: nn.Module = VisionTransformer(self.patch, (stride[0], stride[1]), grid, settings)
        else:
            image = ModifiedResNet(self.layers, self.width, self.embed_dim, grid)
        if not self.text_layers:
            return image, None
        settings = TransformerSettings(
            self.text_width, self.text_layers, self.embed_dim, activation
        )
        return image, TextEncoder(CONTEXT_LENGTH, settings)


ARCHITECTURES = {
    # layers, width, patch, embed_dim, text_width, text_layers
    'RN50': Architecture((3, 4, 6, 3), 64, 16, 1024, 512, 12),
    'RN101': Architecture((3, 4, 23, 3), 64, 16, 512, 512, 12),
    'RN50x4': Architecture((4, 6, 10, 6), 80, 16, 640, 640, 12),
    'RN50x16': Architecture((6, 8, 18, 8), 96, 16, 768, 768, 12),
    'RN50x64': Architecture((3, 15, 36, 10), 128, 16, 1024, 1024, 12),
    'ViT-B-32': Architecture(12, 768, 32, 512, 512, 12),
    'ViT-B-16': Architecture(12, 768, 16, 512, 512, 12),
    'ViT-L-14': Architecture(24, 1024, 14, 768, 768, 12),
    'ViT-L-14-336px': Architecture(24, 1024, 14, 768, 768, 12),
}


def find_architecture(name: str) -> tuple[str, Architecture]:
    """Return OpenAI's CLIP ``name`` and its architecture; ``ViT-B/16`` means ``ViT-B-16``."""
    name = name.replace('/', '-').replace('@', '-')
    return name, ARCHITECTURES[name]


def architecture_of(state: State, path: str | Path, text: bool = True) -> Architecture:
    """Infer the architecture from a state dict.

    Args:
        state: Tensors by OpenAI's names; a trained model has no vocabulary.
        path: The file they came from, for error messages.
        text: Whether the text tower is needed too.

    Raises:
        InputError: A tensor is missing or has the wrong number of dimensions, or this
            architecture is not supported.
    """
    shape = functools.partial(_shape_of, state, path)
    count = functools.partial(_count_parts, state, path)
    if 'visual.proj' in state:
        layers: int | tuple[int, ...] = count('visual.transformer.resblocks.')
        _, width = shape('visual.positional_embedding', 2)
        _, _, patch, _ = shape('visual.conv1.weight', 4)
        _, embed_dim = shape('visual.proj', 2)
        if width in OTHER_HEADS:
            raise InputError(
                f'{KEY}: {path} is a ViT-{OTHER_HEADS[width]}, whose attention heads are not 64 '
                'wide; use a ViT-B or ViT-L'
            )
    else:
        layers = tuple(count(f'visual.layer{n}.') for n in (1, 2, 3, 4))
        width = shape('visual.attnpool.positional_embedding', 2)[1] // 32
        patch = 16
        embed_dim, _ = shape('visual.attnpool.c_proj.weight', 2)
    if not text:
        return Architecture(layers, width, patch, embed_dim, 0, 0)
    words = 'token_embedding.weight'
    _, text_width = shape(words if words in state else 'positional_embedding', 2)
    text_layers = count('transformer.resblocks.')
    return Architecture(layers, width, patch, embed_dim, text_width, text_layers)


def _shape_of(state: State, path: str | Path, name: str, dimensions: int) -> tuple[int, ...]:
    if name not in state or state[name].dim() != dimensions:
        raise InputError(
            f'{KEY}: {path} has no tensor {name} with {dimensions} dimensions; it is neither a '
            'CLIP nor a trained model'
        )
    return tuple(state[name].shape)


def _count_parts(state: State, path: str | Path, prefix: str) -> int:
    """Return the number of parts ``prefix``0, ``prefix``1, …"""
    names = [name.removeprefix(prefix) for name in state if name.startswith(prefix)]
    if not names:
        raise InputError(f'{KEY}: {path} has no tensor {prefix}…; part of the CLIP is missing')
    return len({name.split('.')[0] for name in names})


def resize_positions(embedding: Tensor, grid: tuple[int, int]) -> Tensor:
    """Resize a positional embedding to (1 + rows · columns, C).

    The first row stays; the others, a square map, are interpolated bilinearly.

    Args:
        embedding: (1 + n², C).
        grid: (rows, columns) of the new map.

    Raises:
        InputError: The embedding does not have 1 + n² rows.
    """
    first, square = embedding[:1], embedding[1:]
    side = round(len(square) ** 0.5)
    if side * side != len(square):
        raise InputError(
            f'{KEY}: the positional embedding has {len(embedding)} rows, which is not 1 + n²: its '
            'map of positions is not square'
        )
    square = square.T.reshape(1, -1, side, side)
    square = F.interpolate(square, size=grid, mode='bilinear', align_corners=False)
    return torch.cat([first, square[0].flatten(1).T])
