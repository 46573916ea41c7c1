"""Checkpoints of open_clip and its kin: their weights, and the activation they were trained with.

Names of files and settings: https://github.com/mlfoundations/open_clip (open_clip/factory.py,
open_clip/model.py).
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from utils.errors import InputError, first_line

KEY = 'MODEL.PRETRAIN_PATH'
HUB = 'hf-hub:'
CONFIG = 'open_clip_config.json'
WEIGHTS = ('open_clip_model.safetensors', 'open_clip_pytorch_model.bin')  # the first that is there
MAX_BYTES = 1_000_000  # of a config; the published ones have about a thousand

# What may stand in a config. Shapes tell these, or they matter in training alone:
TOLD = (
    'layers',
    'width',
    'patch_size',
    'image_size',
    'context_length',
    'vocab_size',
    'patch_dropout',
)
# Of these our towers have one value; what is false, null or empty asks for nothing; all else is not
# known here.
TOWERS = {
    'vision_cfg': {
        'head_width': 64,
        'mlp_ratio': 4,
        'pool_type': 'tok',
        'pos_embed_type': 'learnable',
    },
    'text_cfg': {'mlp_ratio': 4, 'pool_type': 'argmax', 'proj_type': 'linear'},
}
BOTH = {
    'act_kwargs': {'approximate': 'none'},
    'norm_kwargs': {'eps': 1e-5},
    'block_type': 'default',
}


class Activation(NamedTuple):
    """The activation that weights were trained with."""

    name: str  # one of towers.ACTIVATIONS
    why: str  # where that is known from
    sure: bool  # False: a guess


def find_weights(path: str | Path) -> str:
    """Return the file of weights that MODEL.PRETRAIN_PATH means.

    Args:
        path: a file, which is returned as it is; a folder as downloaded from the hub; or
            'hf-hub:owner/name', which huggingface_hub fetches, or finds in its cache.

    Raises:
        InputError: none of them exists, or that library is missing.
    """
    path = str(path)
    if path.startswith(HUB):
        return _from_hub(path)
    if not Path(path).is_dir():
        return path
    found = [str(Path(path) / name) for name in WEIGHTS if (Path(path) / name).is_file()]
    if not found:
        raise InputError(
            f'{KEY}: the folder {path} holds neither {" nor ".join(WEIGHTS)}; name the file itself'
        )
    return found[0]


def activation_of(
    path: str | Path, about: Mapping[str, str], inside: str | None, text: bool = True
) -> Activation:
    """Return the activation of the weights in a file that is no TorchScript archive.

    It is what was noted in the file, else what open_clip's config beside it says, else a guess
    from its name. The config is about files of the hub's own names; for others it is a guess too.

    Args:
        path: of the weights.
        about: what was noted in the file.
        inside: the name under which the weights stood beside other things: 'state_dict' in a
            training checkpoint of open_clip.
        text: whether the config must fit our text tower too.

    Raises:
        InputError: the config is damaged, or of a CLIP that our towers are not.
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
            f'guessed, as {found.why}, but {path.name} is none of the files that it is about '
            f'({", ".join(WEIGHTS)}); set MODEL.ACTIVATION if it is not so'
        )
        return Activation(found.name, why, False)
    guess = f'guessed from its name, set MODEL.ACTIVATION if it is not so: {path}'
    if 'quickgelu' in name:
        return Activation('quickgelu', guess, False)
    of_open_clip = inside == 'state_dict' or path.suffix in ('.bin', '.safetensors')
    if of_open_clip or re.search(r'open_?clip|laion|datacomp', name):
        return Activation('gelu', f"open_clip's, {guess}", False)
    return Activation('quickgelu', f"OpenAI's, {guess}", False)


def _of_config(path: Path, towers: Iterable[str]) -> Activation:
    """Return the activation in open_clip's config, whose ``towers`` must be as ours are."""
    try:
        with open(path, 'rb') as file:
            model = json.loads(file.read(MAX_BYTES))['model_cfg']
        quick = model.get('quick_gelu')
        if quick not in (None, True, False):
            raise ValueError('quick_gelu must be true or false')
        others = [line for name in towers for line in _others(name, model.get(name, {}))]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f'{KEY}: {path} is no config of open_clip ({first_line(error)}); bring the published '
            'one, or take the weights to another folder and set MODEL.ACTIVATION'
        ) from None
    if others:
        raise InputError(
            f'{KEY}: {path} describes a CLIP that cannot be built here: {", ".join(others)}; if '
            'the weights '
            f"are another one's, take them to another folder"
        )
    said = 'has no quick_gelu, which means false'
    if quick is not None:
        said = f'says quick_gelu {str(quick).lower()}'
    return Activation('quickgelu' if quick else 'gelu', f'{path} {said}', True)


def _others(section: str, said: dict[str, Any]) -> Iterator[str]:
    """Yield what a section of the config asks for and our towers are not, in words."""
    ours: dict[str, Any] = TOWERS[section] | BOTH
    if section == 'text_cfg':  # heads and width by open_clip's defaults
        said = {'heads': 8} | said
        ours['heads'] = max(1, said.get('width', 512) // 64)
    for name, value in said.items():
        if value and name not in TOLD and value != ours.get(name):
            only = f'only {ours[name]!r}' if name in ours else 'not known here'
            yield f'{section} {ascii(name)[1:-1]:.40} {value!r:.40} ({only})'


def _from_hub(path: str) -> str:
    """Return the file in the hub's cache, with the config, which must exist, beside it."""
    repository = path.removeprefix(HUB)
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import EntryNotFoundError

        hf_hub_download(repo_id=repository, filename=CONFIG)
        try:
            return str(hf_hub_download(repo_id=repository, filename=WEIGHTS[0]))
        except EntryNotFoundError:  # some have the other one only
            return str(hf_hub_download(repo_id=repository, filename=WEIGHTS[1]))
    except Exception as error:  # of the library, of HTTP, of the file system
        raise InputError(
            f'{KEY}: {path} was not got ({type(error).__name__}: {first_line(error)}); it '
            'needs an existing name, the network and huggingface_hub (pip install -r '
            f'requirements-extras.txt); or download {CONFIG} and {WEIGHTS[0]} (or {WEIGHTS[1]}) '
            'into a folder and give that folder instead'
        ) from None
