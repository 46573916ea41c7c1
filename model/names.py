"""What MODEL.NAME and TEST.WEIGHT mean, for code that needs no model."""

TIMM = 'timm:'  # MODEL.NAME begins so if the encoder is a network of the library timm
START = 'start'  # TEST.WEIGHT: the starting weights as they are, without any training


def is_timm(name: str) -> bool:
    """Return whether MODEL.NAME is an encoder of timm."""
    return name.startswith(TIMM)


def file_stem(name: str) -> str:
    """Return what file names of checkpoints begin with, for MODEL.NAME ``name``.

    Examples: 'RN50', 'ViT-B-16' for 'ViT-B/16', 'tf_efficientnet_lite0' for that network of timm.
    """
    return name.removeprefix(TIMM).replace('/', '-').replace('@', '-')
