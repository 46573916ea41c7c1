"""Finds and reads the weights of a CLIP model."""

import os
from pathlib import Path

from model.clip.archive import archive_state
from model.clip.download import download
from model.clip.open_clip import Activation, activation_of, find_weights
from model.hub import KEY
from utils.checkpoint import State, load_checkpoint
from utils.errors import InputError
from utils.files import sha256_file
from utils.weights_files import is_torchscript

URL = 'https://openaipublic.azureedge.net/clip/models/{sha256}/{file}'
NOT_WEIGHTS = ('input_resolution', 'context_length', 'vocab_size')  # buffers in OpenAI's archives
# The SHA-256 of OpenAI's files; it is part of their URL.
OFFICIAL = {
    'RN50': 'afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762',
    'RN101': '8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599',
    'RN50x4': '7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd',
    'RN50x16': '52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa',
    'RN50x64': 'be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c',
    'ViT-B-32': '40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af',
    'ViT-B-16': '5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f',
    'ViT-L-14': 'b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836',
    'ViT-L-14-336px': '3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02',
}


def load_clip(name: str, path: str = '', text: bool = True) -> tuple[State, Activation]:
    """Read a CLIP model from a state dict, or from a TorchScript archive without running its code.

    Args:
        name: One of ARCHITECTURES.
        path: See :func:`model.clip.open_clip.find_weights`; '' = OpenAI's file in the cache
            (``$CLIP_CACHE``, default ~/.cache/clip), which is downloaded if missing.
        text: Whether the text tower is used; if not, any text tower is accepted.

    Returns:
        The tensors by OpenAI's names, floating-point ones in float32, and the activation.

    Raises:
        InputError: The file is missing or contains no weights.
    """
    file = find_weights(path) if path else cached_file(name)
    if is_torchscript(file):
        state = archive_state(file, KEY)
        activation = Activation('quickgelu', f"{file} has the format of OpenAI's archives", True)
    else:
        state, about, inside, *_ = load_checkpoint(file, KEY)
        activation = activation_of(file, about, inside, text)
    weights = {name: tensor for name, tensor in state.items() if name not in NOT_WEIGHTS}
    for name, tensor in weights.items():
        weights[name] = tensor.float() if tensor.is_floating_point() else tensor
    return weights, activation


def cached_file(name: str) -> Path:
    """Return the path of OpenAI's file in the cache; download it if it is missing.

    Raises:
        InputError: The download failed, the file has another SHA-256, or the cache cannot be
            written.
    """
    folder = Path(os.environ.get('CLIP_CACHE', '~/.cache/clip')).expanduser()
    path, sha256 = folder / f'{name}.pt', OFFICIAL[name]
    if not path.is_file():
        download(
            URL.format(sha256=sha256, file=path.name),
            path,
            sha256,
            f'download it elsewhere and copy it to {path}, or set {KEY} to your own weights',
        )
    elif sha256_file(path) != sha256:
        raise InputError(
            f"{path} is not OpenAI's file (its SHA-256 differs); delete it and it will be "
            f'downloaded again, or set {KEY} to your own weights'
        )
    return path
