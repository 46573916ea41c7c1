"""Finds weights for networks of the library timm, and the config that the hub keeps beside them."""

import json
from pathlib import Path
from typing import Any

from model.hub import KEY, fetch_from_hub, is_on_hub
from utils.errors import InputError, Mismatch, first_line

CONFIG = 'config.json'
WEIGHTS = ('model.safetensors', 'pytorch_model.bin')  # in order of preference
MAX_BYTES = 1_000_000  # largest size of a config; published ones have about 1,000
# Arguments of a network that the config of its weights may have: they change no feature, or follow
# from INPUT.SIZE_TRAIN.
HARMLESS = {'img_size', 'num_classes', 'in_chans', 'drop_rate', 'drop_path_rate', 'pretrained'}


def find_timm_weights(path: str) -> Path:
    """Return the file of weights that MODEL.PRETRAIN_PATH refers to.

    Args:
        path: A file, which is returned unchanged; a folder downloaded from the hub; or
            'hf-hub:owner/name', which huggingface_hub downloads or finds in its cache.

    Raises:
        InputError: The folder or the hub has no weights, or huggingface_hub is missing.
    """
    if is_on_hub(path):
        return Path(fetch_from_hub(path, CONFIG, WEIGHTS))
    if not Path(path).is_dir():
        return Path(path)
    found = [Path(path) / name for name in WEIGHTS if (Path(path) / name).is_file()]
    if not found:
        raise InputError(
            f'{KEY}: the folder {path} contains neither {" nor ".join(WEIGHTS)}; give the path of '
            'the file itself'
        )
    return found[0]


def published_weights(name: str, repository: str, url: str) -> Path:
    """Return timm's own weights of a network, downloaded or from the cache of huggingface_hub.

    Args:
        name: timm's name of the network.
        repository: Where timm keeps them on the hub; '' = not there.
        url: Their address elsewhere, for the error; '' = none.

    Raises:
        InputError: They are not on the hub, or cannot be downloaded.
    """
    if not repository:
        where = f'; download {url} and set {KEY} to the file' if url else ''
        raise InputError(
            f'{KEY} is empty, and timm has no weights of {name} on the Hugging Face hub{where}'
        )
    try:
        return Path(fetch_from_hub(f'hf-hub:{repository}', CONFIG, WEIGHTS))
    except InputError as error:
        raise InputError(f'{KEY} is empty, and {str(error).removeprefix(KEY + ": ")}') from None


def read_config(weights: Path, name: str) -> dict[str, Any]:
    """Return 'input_size', 'mean' and 'std' of the config.json beside ``weights``, as far as given.

    A file with a name other than those on the hub has no config: {}.

    Args:
        weights: The file of weights.
        name: timm's name of the network, with or without a tag.

    Raises:
        InputError: The config is damaged.
        Mismatch: It describes another network, or one that ``name`` alone does not describe.
    """
    path = weights.with_name(CONFIG)
    if weights.name not in WEIGHTS or not path.is_file():
        return {}
    try:
        with open(path, 'rb') as file:
            content = json.loads(file.read(MAX_BYTES))
        network = content.get('architecture', name)
        arguments = dict(content.get('model_args') or {})
        about = content.get('pretrained_cfg') or content
        numbers = {key: about[key] for key in ('input_size', 'mean', 'std') if about.get(key)}
        found = {key: tuple(map(float, three)) for key, three in numbers.items()}
        if any(len(three) != 3 for three in found.values()):
            raise ValueError('input_size, mean and std must have three numbers')
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f'{KEY}: {path} is not a valid config of timm ({first_line(error)}); download it '
            'again, or move the weights to another folder'
        ) from None
    _check_network(path, name, str(network), arguments)
    if 'input_size' in found:
        found['input_size'] = tuple(map(int, numbers['input_size']))
    return found


def _check_network(path: Path, name: str, network: str, arguments: dict[str, Any]) -> None:
    if network.partition('.')[0] != name.partition('.')[0]:
        raise Mismatch(
            f'MODEL.NAME is timm:{name}, but {path} describes weights of '
            f'timm:{first_line(network)}; change MODEL.NAME or {KEY}'
        )
    unknown = sorted(map(str, arguments.keys() - HARMLESS))
    if unknown:
        raise Mismatch(
            f'{KEY}: {path} describes a {name} made with {first_line(", ".join(unknown))}, which '
            'MODEL.NAME cannot express; use other weights'
        )
