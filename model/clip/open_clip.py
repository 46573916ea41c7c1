"""Checkpoints of open_clip and similar projects: their files, and the activation they need.

Names of files and settings follow https://github.com/mlfoundations/open_clip (open_clip/factory.py,
open_clip/model.py).
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from model.hub import KEY, fetch_from_hub, is_on_hub
from utils.errors import InputError, first_line

CONFIG = 'open_clip_config.json'
WEIGHTS = ('open_clip_model.safetensors', 'open_clip_pytorch_model.bin')  # in order of preference
MAX_BYTES = 1_000_000  # largest size of a config; published ones have about 1,000

# Settings that the weights' shapes show, or that matter in training only.
IGNORED = (
    'layers',
    'width',
    'patch_size',
    'image_size',
    'context_length',
    'vocab_size',
    'patch_dropout',
)
# The only supported values of other settings. False, null or empty values are accepted; all
# settings that are not listed are rejected.
SUPPORTED = {
    'vision_cfg': {
        'head_width': 64,
        'mlp_ratio': 4,
        'pool_type': 'tok',
        'pos_embed_type': 'learnable',
    },
    'text_cfg': {'mlp_ratio': 4, 'pool_type': 'argmax', 'proj_type': 'linear'},
}
SUPPORTED_IN_BOTH = {
    'act_kwargs': {'approximate': 'none'},
    'norm_kwargs': {'eps': 1e-5},
    'block_type': 'default',
}


class Activation(NamedTuple):
    """The activation that weights were trained with."""

    name: str  # one of towers.ACTIVATIONS
    why: str  # how it is known, for the log
    sure: bool  # False = a guess


def find_weights(path: str | Path) -> str:
    """Return the file of weights that MODEL.PRETRAIN_PATH refers to.

    Args:
        path: A file, which is returned unchanged; a folder downloaded from the hub; or
            'hf-hub:owner/name', which huggingface_hub downloads or finds in its cache.

    Raises:
        InputError: The folder or the hub has no weights, or huggingface_hub is missing.
    """
    path = str(path)
    if is_on_hub(path):
        return fetch_from_hub(path, CONFIG, WEIGHTS)
    if not Path(path).is_dir():
        return path
    found = [str(Path(path) / name) for name in WEIGHTS if (Path(path) / name).is_file()]
    if not found:
        raise InputError(
            f'{KEY}: the folder {path} contains neither {" nor ".join(WEIGHTS)}; give the path of '
            'the file itself'
        )
    return found[0]


def activation_of(
    path: str | Path, about: Mapping[str, str], inside: str | None, text: bool = True
) -> Activation:
    """Return the activation of a checkpoint that is not a TorchScript archive.

    The file's own notes decide; without notes, open_clip's config in the same folder; without a
    config, the file name, which is a guess. For files that the hub names differently, the config
    is a guess too.

    Args:
        path: The checkpoint.
        about: The notes stored in the file.
        inside: The key of the state dict if the file contains more; 'state_dict' in open_clip's
            training checkpoints.
        text: Whether the config's text tower must be supported too.

    Raises:
        InputError: The config is damaged, or describes a CLIP that is not supported.
    """
    if 'activation' in about:
        return Activation(about['activation'], f'{path} says so', True)
    path = Path(path)
    name, config = path.name.lower(), path.parent / CONFIG
    if config.is_file() and (path.name in WEIGHTS or 'quickgelu' not in name):
        found = _of_config(config, ('vision_cfg', 'text_cfg') if text else ('vision_cfg',))
        if path.name in WEIGHTS:
            return found
        why = (
            f'guessed: {found.why}, but that describes {" or ".join(WEIGHTS)}, not {path.name}; '
            'set MODEL.ACTIVATION if the guess is wrong'
        )
        return Activation(found.name, why, False)
    guess = f'guessed from its name, set MODEL.ACTIVATION if that is wrong: {path}'
    if 'quickgelu' in name:
        return Activation('quickgelu', guess, False)
    open_clips = inside == 'state_dict' or path.suffix in ('.bin', '.safetensors')
    if open_clips or re.search(r'open_?clip|laion|datacomp', name):
        return Activation('gelu', f"open_clip's, {guess}", False)
    return Activation('quickgelu', f"OpenAI's, {guess}", False)


def _of_config(path: Path, towers: Iterable[str]) -> Activation:
    """Return the activation in open_clip's config, whose ``towers`` must be supported."""
    try:
        with open(path, 'rb') as file:
            model = json.loads(file.read(MAX_BYTES))['model_cfg']
        quick = model.get('quick_gelu')
        if quick not in (None, True, False):
            raise ValueError('quick_gelu must be true or false')
        problems = [text for name in towers for text in _unsupported(name, model.get(name, {}))]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f'{KEY}: {path} is not a valid config of open_clip ({first_line(error)}); download it '
            'again, or move the weights to another folder and set MODEL.ACTIVATION'
        ) from None
    if problems:
        raise InputError(
            f'{KEY}: {path} describes a CLIP that is not supported: {", ".join(problems)}; if it '
            'does not belong to these weights, move them to another folder'
        )
    why = 'has no quick_gelu, which means false'
    if quick is not None:
        why = f'says quick_gelu {str(quick).lower()}'
    return Activation('quickgelu' if quick else 'gelu', f'{path} {why}', True)


def _unsupported(section: str, settings: dict[str, Any]) -> Iterator[str]:
    """Yield a description of each setting in a section of the config that is not supported."""
    ours: dict[str, Any] = SUPPORTED[section] | SUPPORTED_IN_BOTH
    if section == 'text_cfg':  # 8 and 512 are open_clip's defaults
        settings = {'heads': 8} | settings
        ours['heads'] = max(1, settings.get('width', 512) // 64)
    for name, value in settings.items():
        if value and name not in IGNORED and value != ours.get(name):
            only = f'only {ours[name]!r}' if name in ours else 'unknown'
            yield f'{section} {ascii(name)[1:-1]:.40} {value!r:.40} ({only})'
