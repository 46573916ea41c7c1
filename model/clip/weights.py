"""Where CLIP's weights come from, and which architecture they are."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F

from model.clip.archive import archive_state
from model.clip.download import download
from model.clip.open_clip import Activation, activation_of, find_weights
from model.clip.tokenizer import CONTEXT_LENGTH
from model.clip.towers import ModifiedResNet, TextEncoder, VisionTransformer
from utils.checkpoint import load_checkpoint
from utils.errors import InputError
from utils.files import sha256_file
from utils.weights_files import is_torchscript

KEY = 'MODEL.PRETRAIN_PATH'
URL = 'https://openaipublic.azureedge.net/clip/models/{sha256}/{file}'
NOT_WEIGHTS = (
    'input_resolution',
    'context_length',
    'vocab_size',
)  # numbers that OpenAI's archives carry along
OTHER_HEADS = {
    1280: 'H',
    1408: 'g',
    1664: 'bigG',
    1792: 'e',
}  # widths of ViTs whose heads are not 64 wide: no shape tells


@dataclass(frozen=True)
class Architecture:
    """Shapes of a CLIP: ``layers`` is a number (ViT) or four (ResNet); ``grid`` is the side of the
    square map of positions the weights were made for (0: unknown). Without a text tower
    ``text_layers`` is 0.
    """

    layers: int | tuple
    width: int
    patch: int  # pixels; ResNet: 16, its total stride
    embed_dim: int  # of the space shared by photos and text
    grid: int
    text_width: int
    text_layers: int
    context_length: int = 77
    vocab_size: int = 49408

    @property
    def family(self):
        return 'ViT' if isinstance(self.layers, int) else 'RN'

    @property
    def feature_dim(self):
        """Length of f, the feature before the projection."""
        return self.width if self.family == 'ViT' else self.width * 32

    def without_text(self):
        return replace(self, text_width=0, text_layers=0)

    def positions(self, size, stride):
        """(rows, columns) of the map of positions for photos of ``size`` (height, width)."""
        if self.family == 'RN':
            return tuple(-(-s // 2) // 8 for s in size)
        return tuple((s - self.patch) // t + 1 for s, t in zip(size, stride, strict=True))

    def build(self, size, stride, activation='quickgelu'):
        """Image and text tower (None: without) with random weights, for photos of ``size``."""
        grid = self.positions(size, stride)
        if self.family == 'RN':
            image = ModifiedResNet(
                self.layers, self.width, self.embed_dim, max(1, self.width * 32 // 64), grid
            )
        else:
            image = VisionTransformer(
                self.patch,
                tuple(stride),
                self.width,
                self.layers,
                max(1, self.width // 64),
                self.embed_dim,
                grid,
                activation,
            )
        if not self.text_layers:
            return image, None
        text = TextEncoder(
            self.context_length,
            self.text_width,
            self.text_layers,
            max(1, self.text_width // 64),
            self.embed_dim,
            activation,
        )
        return image, text


def _resnet(layers, width, embed_dim, size, text_width):
    return Architecture(layers, width, 16, embed_dim, size // 32, text_width, 12)


def _vit(layers, width, patch, embed_dim, size, text_width):
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

# OpenAI's files: name in their address, SHA-256 (which is part of the address).
OFFICIAL = {
    'RN50': ('RN50.pt', 'afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762'),
    'RN101': ('RN101.pt', '8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599'),
    'RN50x4': ('RN50x4.pt', '7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd'),
    'RN50x16': ('RN50x16.pt', '52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa'),
    'RN50x64': ('RN50x64.pt', 'be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c'),
    'ViT-B-32': ('ViT-B-32.pt', '40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af'),
    'ViT-B-16': ('ViT-B-16.pt', '5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f'),
    'ViT-L-14': ('ViT-L-14.pt', 'b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836'),
    'ViT-L-14-336px': (
        'ViT-L-14-336px.pt',
        '3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02',
    ),
}


def known(name):
    """(name, architecture) of an OpenAI CLIP name (``ViT-B/16`` is ``ViT-B-16``)."""
    name = name.replace('/', '-').replace('@', '-')
    return name, ARCHITECTURES[name]


# ------------------------------------------------------------------------------------------- files


class Clip(NamedTuple):
    """A CLIP as it was read."""

    state: dict  # float32, OpenAI's names
    activation: Activation


def load_clip(name, path='', text=True):
    """The :class:`Clip` ``name``.

    From ``path`` if given, see :func:`model.clip.open_clip.find_weights`; else from the cache
    (``$CLIP_CACHE``, default ~/.cache/clip), where OpenAI's file is downloaded to first if it is
    not there. TorchScript archives, whose code is not run, and state dicts are read. ``text``
    False: its text tower will not be used, and may be any.
    """
    file = find_weights(path) if path else cached_file(*OFFICIAL[name])
    if not Path(file).is_file():
        raise InputError(f"{KEY}: there is no file {path}; leave it empty for OpenAI's own weights")
    if is_torchscript(file):
        state = archive_state(file, KEY)
        activation = Activation('quickgelu', f'{file} is an archive as OpenAI publishes them', True)
    else:
        state, about, inside = load_checkpoint(file, KEY)
        activation = activation_of(file, about, inside, text)
    return Clip(
        {
            n: t.float() if t.is_floating_point() else t
            for n, t in state.items()
            if n not in NOT_WEIGHTS
        },
        activation,
    )


def cached_file(file, sha256):
    """Path of OpenAI's ``file`` in the cache, downloaded and checked if it is not there yet."""
    folder = Path(os.environ.get('CLIP_CACHE', '~/.cache/clip')).expanduser()
    path, url = folder / file, URL.format(sha256=sha256, file=file)
    if path.is_file():
        if sha256_file(path) != sha256:
            raise InputError(
                f"{path} is not OpenAI's file (its SHA-256 differs); delete it to have it "
                'downloaded again, '
                f'or name your own weights in {KEY}'
            )
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f'the cache {folder} cannot be made ({error.strerror}); set CLIP_CACHE to a folder'
        ) from None
    download(
        url,
        path,
        sha256,
        f'download it elsewhere and put it at {path}, or name your own weights in {KEY}',
    )
    return path


# ------------------------------------------------------------------------------------ architecture


def architecture_of(state, path, text=True):
    """Read the architecture off a state dict with OpenAI's names. The vocabulary may be missing (a
    trained model).

    ``text`` False: of the image tower alone.
    """

    def shape(name, dimensions):
        if name not in state or state[name].dim() != dimensions:
            raise InputError(
                f'{KEY}: {path} has no tensor {name} of {dimensions} dimensions; it holds no '
                'CLIP (neither '
                f"OpenAI's nor a trained one)"
            )
        return tuple(state[name].shape)

    def count(prefix):
        blocks = {n.removeprefix(prefix).split('.')[0] for n in state if n.startswith(prefix)}
        if not blocks:
            raise InputError(
                f'{KEY}: {path} has no tensor {prefix}…: a part of the CLIP is missing'
            )
        return len(blocks)

    if 'visual.proj' in state:
        width, _, patch, _ = shape('visual.conv1.weight', 4)
        layers = count('visual.transformer.resblocks.')
        positions, embed_dim = (
            shape('visual.positional_embedding', 2)[0],
            shape('visual.proj', 2)[1],
        )
        if width in OTHER_HEADS:
            raise InputError(
                f'{KEY}: {path} is a ViT-{OTHER_HEADS[width]}, whose attention has heads of '
                'another width than '
                f'64; ViT-B and ViT-L can be used'
            )
    else:
        width, patch = shape('visual.layer1.0.conv1.weight', 4)[0], 16
        layers = tuple(count(f'visual.layer{n}.') for n in (1, 2, 3, 4))
        positions = shape('visual.attnpool.positional_embedding', 2)[0]
        embed_dim = shape('visual.attnpool.c_proj.weight', 2)[0]
    grid = round(max(0, positions - 1) ** 0.5)
    if not text:
        return Architecture(layers, width, patch, embed_dim, grid, 0, 0)
    context_length, text_width = shape('positional_embedding', 2)
    if context_length != CONTEXT_LENGTH:
        raise InputError(
            f"{KEY}: {path}: positional_embedding has {context_length} rows; CLIP's sentences have "
            f'{CONTEXT_LENGTH} tokens'
        )
    if 'token_embedding.weight' in state and shape('token_embedding.weight', 2)[1] != text_width:
        raise InputError(
            f'{KEY}: {path}: token_embedding.weight and positional_embedding differ in width'
        )
    return Architecture(
        layers,
        width,
        patch,
        embed_dim,
        grid,
        text_width=text_width,
        text_layers=count('transformer.resblocks.'),
        context_length=context_length,
        vocab_size=len(state.get('token_embedding.weight', ())),
    )


def resize_positions(embedding, grid):
    """Positional embedding (1 + n², C) -> (1 + rows·columns, C): the first row is kept, the square
    grid of the others is interpolated bilinearly to ``grid`` (rows, columns).
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
