"""The shapes of a CLIP: OpenAI's, or read off a state dict."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.clip.open_clip import KEY
from model.clip.resnet import ModifiedResNet
from model.clip.tokenizer import CONTEXT_LENGTH
from model.clip.towers import TextEncoder, TransformerSettings, VisionTransformer
from utils.checkpoint import State
from utils.errors import InputError

OTHER_HEADS = {
    1280: 'H',
    1408: 'g',
    1664: 'bigG',
    1792: 'e',
}  # widths of ViTs whose heads are not 64 wide: no shape tells


@dataclass(frozen=True)
class Architecture:
    """Shapes of a CLIP.

    Attributes:
        layers: a number (ViT) or four (ResNet).
        width: length of a position's vector (ViT); channels after the stem (ResNet).
        patch: pixels of a patch's side; ResNet: 16, its total stride.
        embed_dim: size of the space shared by photos and text.
        grid: side of the square map of positions the weights were made for; 0 = unknown.
        text_width: length of a word's vector.
        text_layers: 0 = without a text tower.
        context_length: tokens of a sentence.
        vocab_size: words.
    """

    layers: int | tuple[int, ...]
    width: int
    patch: int
    embed_dim: int
    grid: int
    text_width: int
    text_layers: int
    context_length: int = 77
    vocab_size: int = 49408

    @property
    def family(self) -> str:
        """'ViT' or 'RN'."""
        return 'ViT' if isinstance(self.layers, int) else 'RN'

    @property
    def feature_dim(self) -> int:
        """Length of f, the feature before the projection."""
        return self.width if self.family == 'ViT' else self.width * 32

    def without_text(self) -> 'Architecture':
        """Return the image tower's shapes alone."""
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
        """Return image and text tower (None: without) with random weights.

        Args:
            size: (height, width) of the photos in pixels.
            stride: (rows, columns) in pixels from one patch to the next.
            activation: one of ``towers.ACTIVATIONS``.
        """
        grid = self.positions(size, stride)
        image: nn.Module
        if isinstance(self.layers, int):
            settings = TransformerSettings(self.width, self.layers, self.embed_dim, activation)
            image = VisionTransformer(self.patch, (stride[0], stride[1]), grid, settings)
        else:
            image = ModifiedResNet(self.layers, self.width, self.embed_dim, grid)
        if not self.text_layers:
            return image, None
        settings = TransformerSettings(
            self.text_width, self.text_layers, self.embed_dim, activation
        )
        return image, TextEncoder(self.context_length, settings)


def _resnet(
    layers: tuple[int, ...], width: int, embed_dim: int, size: int, text_width: int
) -> Architecture:
    return Architecture(layers, width, 16, embed_dim, size // 32, text_width, 12)


def _vit(
    layers: int, width: int, patch: int, embed_dim: int, size: int, text_width: int
) -> Architecture:
    return Architecture(layers, width, patch, embed_dim, size // patch, text_width, 12)


ARCHITECTURES = {
    'RN50': _resnet((3, 4, 6, 3), 64, 1024, 224, 512),
    'RN101': _resnet((3, 4, 23, 3), 64, 512, 224, 512),
    'RN50x4': _resnet((4, 6, 10, 6), 80, 640, 288, 640),
    'RN50x16': _resnet((6, 8, 18, 8), 96, 768, 384, 768),
    'RN50x64': _resnet((3, 15, 36, 10), 128, 1024, 448, 1024),
    'ViT-B-32': _vit(12, 768, 32, 512, 224, 512),
    'ViT-B-16': _vit(12, 768, 16, 512, 224, 512),
    'ViT-L-14': _vit(24, 1024, 14, 768, 224, 768),
    'ViT-L-14-336px': _vit(24, 1024, 14, 768, 336, 768),
}


def known(name: str) -> tuple[str, Architecture]:
    """Return (name, architecture) of an OpenAI CLIP's name; ``ViT-B/16`` is ``ViT-B-16``."""
    name = name.replace('/', '-').replace('@', '-')
    return name, ARCHITECTURES[name]


def architecture_of(state: State, path: str | Path, text: bool = True) -> Architecture:
    """Read the architecture off a state dict.

    Args:
        state: OpenAI's names; the vocabulary may be missing (a trained model).
        path: where it came from, for the error.
        text: False = of the image tower alone.

    Raises:
        InputError: a tensor is missing or has other dimensions, or our towers cannot be like it.
    """
    reader = _ShapeReader(state, path)
    image = _vit_of(reader) if 'visual.proj' in state else _resnet_of(reader)
    if not text:
        return image
    context_length, text_width = reader.shape('positional_embedding', 2)
    if context_length != CONTEXT_LENGTH:
        raise InputError(
            f"{KEY}: {path}: positional_embedding has {context_length} rows; CLIP's sentences have "
            f'{CONTEXT_LENGTH} tokens'
        )
    words = 'token_embedding.weight'
    if words in state and reader.shape(words, 2)[1] != text_width:
        raise InputError(f'{KEY}: {path}: {words} and positional_embedding differ in width')
    return replace(
        image,
        text_width=text_width,
        text_layers=reader.count('transformer.resblocks.'),
        context_length=context_length,
        vocab_size=len(state.get(words, ())),
    )


@dataclass(frozen=True)
class _ShapeReader:
    state: State
    path: str | Path

    def shape(self, name: str, dimensions: int) -> tuple[int, ...]:
        if name not in self.state or self.state[name].dim() != dimensions:
            raise InputError(
                f'{KEY}: {self.path} has no tensor {name} of {dimensions} dimensions; it holds no '
                "CLIP (neither OpenAI's nor a trained one)"
            )
        return tuple(self.state[name].shape)

    def count(self, prefix: str) -> int:
        """How many numbered parts there are below ``prefix``."""
        names = [name.removeprefix(prefix) for name in self.state if name.startswith(prefix)]
        if not names:
            raise InputError(
                f'{KEY}: {self.path} has no tensor {prefix}…: a part of the CLIP is missing'
            )
        return len({name.split('.')[0] for name in names})


def _vit_of(reader: _ShapeReader) -> Architecture:
    width, _, patch, _ = reader.shape('visual.conv1.weight', 4)
    layers = reader.count('visual.transformer.resblocks.')
    positions, _ = reader.shape('visual.positional_embedding', 2)
    _, embed_dim = reader.shape('visual.proj', 2)
    if width in OTHER_HEADS:
        raise InputError(
            f'{KEY}: {reader.path} is a ViT-{OTHER_HEADS[width]}, whose attention has heads of '
            'another width than 64; ViT-B and ViT-L can be used'
        )
    return Architecture(layers, width, patch, embed_dim, _side_of_square(positions), 0, 0)


def _resnet_of(reader: _ShapeReader) -> Architecture:
    width = reader.shape('visual.layer1.0.conv1.weight', 4)[0]
    layers = tuple(reader.count(f'visual.layer{n}.') for n in (1, 2, 3, 4))
    positions, _ = reader.shape('visual.attnpool.positional_embedding', 2)
    embed_dim, _ = reader.shape('visual.attnpool.c_proj.weight', 2)
    return Architecture(layers, width, 16, embed_dim, _side_of_square(positions), 0, 0)


def _side_of_square(positions: int) -> int:
    """The side of the square map of all positions but the first."""
    return round(max(0, positions - 1) ** 0.5)


def resize_positions(embedding: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return a positional embedding (1 + rows · columns, C) for another map of positions.

    The first row is kept, the square map of the others is interpolated bilinearly.

    Args:
        embedding: (1 + n², C).
        grid: (rows, columns).

    Raises:
        InputError: the embedding is none of a square map.
    """
    first, square = embedding[:1], embedding[1:]
    side = round(len(square) ** 0.5)
    if side * side != len(square):
        raise InputError(
            f'{KEY}: a positional embedding of {len(embedding)} rows is none of a square map of '
            'positions'
        )
    if (side, side) == tuple(grid):
        return embedding
    square = square.T.reshape(1, -1, side, side)
    square = F.interpolate(square, size=tuple(grid), mode='bilinear', align_corners=False)
    return torch.cat([first, square[0].flatten(1).T])
