"""Re-identification models around an encoder of the library timm: base variants.

They have one feature, one neck and one classifier; ID and triplet loss train them.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from model.hub import KEY
from model.names import TIMM
from model.reid_model import ModelSettings, ReIDModel
from model.timm_files import find_timm_weights, published_weights
from model.timm_names import data_config, is_of_fixed_size, pretrained_config, timm_name
from utils.checkpoint import State, check_state, load_checkpoint
from utils.errors import InputError, Mismatch, first_line

logger = logging.getLogger('transreid')

HEADS = ('head', 'fc', 'classifier', 'head.fc', 'head_dist')  # names of classifiers
COUNTERS = 'num_batches_tracked'  # of batch norms; old files lack them


class TimmEncoder(nn.Module):
    """A network of timm as an image encoder: its pooled feature as a tuple of one.

    Args:
        network: Made with ``num_classes=0``.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    @property
    def stem(self) -> str:
        """A regular expression of the names that the parameters of the first layers have."""
        groups: Any = getattr(self.network, 'group_matcher', dict)()
        stem = groups.get('stem', ()) if isinstance(groups, dict) else ()
        patterns = [stem] if isinstance(stem, str) else [pattern for pattern, _ in stem]
        return '|'.join(rf'network\.(?:{pattern.replace("^", "")})' for pattern in patterns)

    def forward(self, x: Tensor, side: Tensor | None = None) -> tuple[Tensor]:
        """Return (f (B, D),) of photos (B, 3, H, W); there is no side information."""
        return (self.network(x),)


def make_timm_model(cfg: CfgNode, num_class: int, trained: bool = False) -> ReIDModel:
    """Return a model around MODEL.NAME ``timm:<name>``.

    Args:
        cfg: The config, after ``timm_names.resolve_inputs``.
        num_class: The number of individuals.
        trained: Whether the caller loads the weights of a trained model; else the encoder starts
            with those of MODEL.PRETRAIN_CHOICE and MODEL.PRETRAIN_PATH.

    Raises:
        InputError: The network does not exist, gives no feature, or does not suit the config; its
            weights cannot be read or do not match.
    """
    name, size = timm_name(cfg.MODEL.NAME), list(cfg.INPUT.SIZE_TRAIN)
    _check_keys(cfg, name)
    if trained or cfg.MODEL.PRETRAIN_CHOICE == 'random':
        network = make_network(name, size)
    else:
        network = load_network(name, size, starting_file(cfg))
        _log_inputs(cfg, name)
    use_channels_last(network)
    lengths = [feature_length(network, name, each) for each in (size, cfg.INPUT.SIZE_TEST)]
    encoder = TimmEncoder(network)
    if cfg.MODEL.COMPILE:
        encoder.compile()  # in place: names in the state dict stay; utils.device has tested it
    return ReIDModel(
        encoder,
        None,
        ModelSettings(
            num_class=num_class,
            feature_dim=lengths[0],
            projected_dim=0,
            neck_feat=cfg.TEST.NECK_FEAT,
            activation='',
            grid=(0, 0),
            side=(0, 0),
            side_factor=0.0,
            notes=_notes(cfg, name),
            cosine=cfg.MODEL.ID_LOSS_TYPE == 'cosface',
        ),
    )


def starting_file(cfg: CfgNode) -> Path:
    """Return the file of the weights that a new encoder of timm starts with.

    Raises:
        InputError: It is not there, or cannot be downloaded.
    """
    if cfg.MODEL.PRETRAIN_PATH:
        return find_timm_weights(cfg.MODEL.PRETRAIN_PATH)
    name = timm_name(cfg.MODEL.NAME)
    known = pretrained_config(name)
    return published_weights(name, known.get('hf_hub_id', ''), str(known.get('url', '')))


def check_needs_no_prompts(cfg: CfgNode, prompts: bool) -> None:
    """Reject stage 1 and the image-to-text term: timm has no text encoder.

    Raises:
        InputError: ``prompts`` is True.
    """
    if prompts:
        raise InputError(
            f'MODEL.NAME {cfg.MODEL.NAME} has no text encoder for prompts: set '
            'SOLVER.STAGE1.MAX_EPOCHS 0 and MODEL.I2T_LOSS_WEIGHT 0'
        )


# ------------------------------------------------------------------------------------- the network


def make_network(name: str, size: Sequence[int], state: State | None = None) -> nn.Module:
    """Return a network of timm without a classifier.

    Args:
        name: timm's name, with or without a tag.
        size: (height, width) of the photos in pixels.
        state: The weights, which timm converts to its names and to this size where it can; None =
            random ones.

    Raises:
        InputError: timm cannot make it so.
    """
    options: dict[str, Any] = {}
    if is_of_fixed_size(name):
        options['img_size'] = tuple(size)
    if state is not None:
        # without classes there is no classifier, and timm then demands that all names match
        overlay = {'state_dict': state, 'num_classes': 0, 'label_offset': 0, 'custom_load': False}
        options |= {'pretrained': True, 'pretrained_cfg_overlay': overlay}
    try:
        network: Any = timm.create_model(name, num_classes=0, **options)
    except Exception as error:  # each network checks its arguments in its own way
        raise InputError(
            f'MODEL.NAME {TIMM}{name} cannot be made for photos of {_in_pixels(size)} '
            f'({first_line(error)}); set INPUT.SIZE_TRAIN and SIZE_TEST to the size of its weights'
        ) from None
    network.pretrained_cfg.pop('state_dict', None)  # timm would keep a copy
    return network


def use_channels_last(network: nn.Module) -> None:
    """Store the weights of 2d convolutions with the channels last, which is faster.

    Others, such as 3d convolutions, have no such layout.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)


def load_network(name: str, size: Sequence[int], path: Path) -> nn.Module:
    """Return a network of timm with weights from a file; a classifier in it is skipped.

    Positions made for another size are resized as timm does it.

    Raises:
        InputError: The file cannot be read.
        Mismatch: It holds another network; names and shapes that differ are listed.
    """
    state = {
        tensor_name: tensor.float() if tensor.is_floating_point() else tensor
        for tensor_name, tensor in load_checkpoint(path, KEY).state.items()
    }
    network = make_network(name, size)
    expected = {
        tensor_name: tensor
        for tensor_name, tensor in network.state_dict().items()
        if tensor_name in state or not tensor_name.endswith(COUNTERS)
    }
    state = without_classifier(state, expected, name)
    try:
        check_state(state, expected, path, KEY)
    except Mismatch:
        try:
            return make_network(name, size, state)  # of another size, or with its makers' names
        except InputError:
            pass
        raise
    network.load_state_dict(state, strict=False)  # strict but for counters, see above
    return network


def without_classifier(state: State, network: State, name: str) -> State:
    """Return ``state`` without the weights of a classifier, which the features do not use.

    Args:
        state: The weights.
        network: The weights of the network without a classifier.
        name: timm's name of the network.
    """
    known = pretrained_config(name).get('classifier') or ()
    heads = {*HEADS, *([known] if isinstance(known, str) else known)}
    return {
        tensor_name: tensor
        for tensor_name, tensor in state.items()
        if tensor_name in network or tensor_name.rpartition('.')[0] not in heads
    }


def feature_length(network: nn.Module, name: str, size: Sequence[int]) -> int:
    """Return the length of the feature that the network gives for a photo.

    Args:
        network: The network.
        name: timm's name, for errors.
        size: (height, width) of the photo in pixels.

    Raises:
        InputError: It gives no single vector per photo, or does not accept this size.
    """
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            output = network(torch.zeros(1, 3, *size))
    except Exception as error:  # each network checks its input in its own way
        raise InputError(
            f'MODEL.NAME {TIMM}{name} does not accept photos of {_in_pixels(size)} '
            f'({first_line(error)}); change INPUT.SIZE_TRAIN and SIZE_TEST'
        ) from None
    network.train(training)
    if not isinstance(output, Tensor) or output.dim() != 2 or len(output) != 1:
        found = f'shape {tuple(output.shape)}' if isinstance(output, Tensor) else type(output)
        raise InputError(
            f'MODEL.NAME {TIMM}{name} gives no feature vector for a photo (its output has '
            f'{found}); choose a network that timm pools, such as timm:tf_efficientnet_lite0'
        )
    return output.shape[1]


# ---------------------------------------------------------------------------------- config and log


def _check_keys(cfg: CfgNode, name: str) -> None:
    """Reject keys of CLIP's encoders, and sizes that a network of fixed size does not support."""
    clips = {
        'MODEL.SIE_CAMERA': (cfg.MODEL.SIE_CAMERA, False),
        'MODEL.SIE_VIEW': (cfg.MODEL.SIE_VIEW, False),
        'MODEL.STRIDE_SIZE': (list(cfg.MODEL.STRIDE_SIZE), [16, 16]),
        'MODEL.ACTIVATION': (cfg.MODEL.ACTIVATION, 'auto'),
    }
    for key, (value, default) in clips.items():
        if value != default:
            raise Mismatch(
                f"{key} is {value}, which only CLIP's encoders know; set it to {default} for "
                f'{TIMM}{name}'
            )
    sizes = list(cfg.INPUT.SIZE_TRAIN), list(cfg.INPUT.SIZE_TEST)
    if sizes[0] != sizes[1] and is_of_fixed_size(name):
        raise Mismatch(
            f'INPUT.SIZE_TRAIN {sizes[0]} and SIZE_TEST {sizes[1]} differ, but {TIMM}{name} is '
            'made for one size of photos; set them to the same size'
        )


def _notes(cfg: CfgNode, name: str) -> tuple[tuple[str, str], ...]:
    """Return what a checkpoint notes: the network, mean and std, its size of photos if fixed."""
    mean, std = map(_joined, (cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD))
    size = (('size', '{}x{}'.format(*cfg.INPUT.SIZE_TRAIN)),) if is_of_fixed_size(name) else ()
    return (('timm', name), ('mean', mean), ('std', std), *size)


def _joined(values: Sequence[float]) -> str:
    return ','.join(f'{value:g}' for value in values)


def _log_inputs(cfg: CfgNode, name: str) -> None:
    data, used = data_config(cfg), cfg.INPUT
    sizes = _in_pixels(used.SIZE_TRAIN)
    if list(used.SIZE_TEST) != list(used.SIZE_TRAIN):
        sizes = f'{sizes} in training and {_in_pixels(used.SIZE_TEST)} in tests'
    logger.info(
        "%s: photos of %s, mean %s, std %s; timm's data config: %s, mean %s, std %s",
        TIMM + name,
        sizes,
        list(used.PIXEL_MEAN),
        list(used.PIXEL_STD),
        _in_pixels(data['input_size'][1:]),
        list(data['mean']),
        list(data['std']),
    )


def _in_pixels(size: Sequence[int]) -> str:
    return '{} x {} pixels'.format(*size)
