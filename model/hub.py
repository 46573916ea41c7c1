"""Files of weights from the Hugging Face Hub, with the library huggingface_hub."""

from collections.abc import Sequence

from utils.errors import InputError, first_line

KEY = 'MODEL.PRETRAIN_PATH'
HUB = 'hf-hub:'


def is_on_hub(path: str) -> bool:
    """Return whether MODEL.PRETRAIN_PATH names a repository of the hub: 'hf-hub:owner/name'."""
    return path.startswith(HUB)


def fetch_from_hub(path: str, config: str, weights: Sequence[str]) -> str:
    """Download a repository's weights, and the config beside them, which must exist.

    The library keeps files in its own cache; what is there is found without a network.

    Args:
        path: 'hf-hub:owner/name'.
        config: The file name of the config.
        weights: The file names of the weights, in order of preference.

    Returns:
        The path of the weights; the config is in the same folder.

    Raises:
        InputError: The library is missing, there is no network, or no such repository or file.
    """
    repository = path.removeprefix(HUB)
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import EntryNotFoundError

        hf_hub_download(repo_id=repository, filename=config)
        for name in weights[:-1]:
            try:
                return str(hf_hub_download(repo_id=repository, filename=name))
            except EntryNotFoundError:  # some repositories have only another one
                continue
        return str(hf_hub_download(repo_id=repository, filename=weights[-1]))
    except Exception as error:  # from the library, HTTP or the file system
        others = ''.join(f' (or {name})' for name in weights[1:])
        raise InputError(
            f'{KEY}: {path} cannot be downloaded ({type(error).__name__}: {first_line(error)}); '
            'check the name, the network, and that huggingface_hub is installed (pip install -r '
            f'requirements-extras.txt); or download {config} and {weights[0]}{others} into a '
            'folder and give that folder instead'
        ) from None
