"""Checkpoints of open_clip and its kin: where their weights lie, and which activation they were trained with.

Names of files and settings: https://github.com/mlfoundations/open_clip (open_clip/factory.py, open_clip/model.py).
"""
import contextlib
import json
import re
from pathlib import Path
from typing import NamedTuple

from utils.checkpoint import first_line
from utils.errors import InputError

KEY = 'MODEL.PRETRAIN_PATH'
HUB = 'hf-hub:'
CONFIG = 'open_clip_config.json'
WEIGHTS = ('open_clip_model.safetensors', 'open_clip_pytorch_model.bin')  # the first that is there
MAX_BYTES = 1_000_000  # of a config; the published ones have about a thousand

# What names and shapes of weights do not tell, and the value that our towers have.
TOWERS = {'vision_cfg': {'head_width': 64, 'pool_type': 'tok', 'attentional_pool': False, 'global_average_pool': False},
          'text_cfg': {'pool_type': 'argmax', 'no_causal_mask': False}}


class Activation(NamedTuple):
    """The activation that weights were trained with."""

    name: str  # one of towers.ACTIVATIONS
    why: str  # where that is known from
    sure: bool  # False: a guess


def find_weights(path):
    """The file of weights that MODEL.PRETRAIN_PATH means.

    ``path``: a file, which is returned as it is; a folder as downloaded from the hub; 'hf-hub:owner/name', which the library
    huggingface_hub fetches, or finds in its cache. InputError: none of them is there, or there is no such library.
    """
    path = str(path)
    if path.startswith(HUB):
        return _from_hub(path)
    if not Path(path).is_dir():
        return path
    found = [str(Path(path) / name) for name in WEIGHTS if (Path(path) / name).is_file()]
    if not found:
        raise InputError(f'{KEY}: the folder {path} holds neither {" nor ".join(WEIGHTS)}; name the file itself')
    return found[0]


def activation_of(path, about, nested, text=True):
    """The :class:`Activation` of the weights in the file ``path``, which is no TorchScript archive.

    By what was noted in it (``about``), else by open_clip's config beside it, else by its name: a guess. ``nested``: the
    weights stood beside other things, as in a training checkpoint of open_clip. InputError: a config that is damaged, or of a
    CLIP that our towers are not; ``text``: the text's too.
    """
    path = Path(path)
    name = path.name.lower()
    if 'activation' in about:
        return Activation(about['activation'], f'{path} says so', True)
    if (path.parent / CONFIG).is_file():
        return _of_config(path.parent / CONFIG, ('vision_cfg', 'text_cfg') if text else ('vision_cfg',))
    guess = f'guessed from its name, set MODEL.ACTIVATION if it is not so: {path}'
    if 'quickgelu' in name:
        return Activation('quickgelu', guess, False)
    if nested or path.suffix in ('.bin', '.safetensors') or re.search(r'open_?clip|laion|datacomp', name):
        return Activation('gelu', f'open_clip\'s, {guess}', False)
    return Activation('quickgelu', f'OpenAI\'s, {guess}', False)


def _of_config(path, towers):
    """The activation that open_clip's config names, once all else in it about ``towers`` is as ours are."""
    try:
        with open(path, 'rb') as file:
            model = json.loads(file.read(MAX_BYTES))['model_cfg']
        sections = {name: model.get(name, {}) for name in towers}
        quick = model.get('quick_gelu', False)
        others = [f'{section} {name} {sections[section][name]!r:.40} (only {ours!r})' for section in towers
                  for name, ours in TOWERS[section].items() if sections[section].get(name, ours) != ours]
    except OSError as error:
        raise InputError(f'{KEY}: {path} cannot be read ({error.strerror})') from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f'{KEY}: {path} is no config of open_clip ({first_line(error)}); bring the published one, or take '
                         f'the weights to another folder and set MODEL.ACTIVATION') from None
    if not isinstance(quick, bool):
        raise InputError(f'{KEY}: {path}: quick_gelu must be true or false, got a {type(quick).__name__}')
    if others:
        raise InputError(f'{KEY}: {path} describes a CLIP that cannot be built here: {", ".join(others)}')
    said = f'says quick_gelu {str(quick).lower()}' if 'quick_gelu' in model else 'has no quick_gelu, which means false'
    return Activation('quickgelu' if quick else 'gelu', f'{path} {said}', True)


def _from_hub(path):
    """The file in the hub's cache; the config, without which a repository is none of open_clip's, comes to lie beside it."""
    repository = path.removeprefix(HUB)
    if not re.fullmatch(r'[\w.-]+/[\w.-]+', repository):
        raise InputError(f'{KEY}: {path} is no name of a repository; write it like {HUB}imageomics/bioclip')
    instead = f'download {CONFIG} and {WEIGHTS[0]} (or {WEIGHTS[1]}) into a folder and give that folder instead'
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise InputError(f'{KEY}: {path} needs the library huggingface_hub ({first_line(error)}): pip install '
                         f'huggingface_hub; or {instead}') from None
    try:
        hf_hub_download(repo_id=repository, filename=CONFIG)
        with contextlib.suppress(Exception):  # some have the other one only
            return str(hf_hub_download(repo_id=repository, filename=WEIGHTS[0]))
        return str(hf_hub_download(repo_id=repository, filename=WEIGHTS[1]))
    except Exception as error:  # of the library, of HTTP, of the file system
        raise InputError(f'{KEY}: {path} was not got ({type(error).__name__}: {first_line(error)}); look at the name and the '
                         f'network, or {instead}') from None
