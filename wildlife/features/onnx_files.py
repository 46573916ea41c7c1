"""ONNX files of tools.export: what they say about photos and features, and how to run them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from processor.encoder import FEATURE_FACTS
from utils.errors import InputError, first_line
from utils.files import sha256_file

FORMAT = 'clip-reid-animals features 1'  # marks our files; the number is the metadata's version
PHOTOS, FEATURE = 'photos', 'feature'  # names of the graph's input and output
JSON = (  # facts that are no text
    *('value_range', 'size', 'pixel_mean', 'pixel_std', 'normalised', 'whitening'),
    *('untrained', 'notes'),
)
PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')
PREPROCESSING = {  # what our transform of tests does to every photo, besides its numbers
    'layout': 'NCHW float32',
    'channel_order': 'RGB',
    'value_range': [0, 1],  # before mean and standard deviation
    'resize': 'stretch',  # to the whole size, whatever the photo's aspect ratio
    'interpolation': 'bilinear',  # Pillow's, which averages when it shrinks
}


class OnnxEncoder(nn.Module):
    """The graph of an ONNX file, called like the model in evaluation mode; runs on the CPU.

    Args:
        session: An ``onnxruntime.InferenceSession``.
        facts: The metadata of the file.
    """

    def __init__(self, session: Any, facts: Mapping[str, Any]):
        super().__init__()
        self.session, self.facts = session, facts

    def forward(
        self, images: Tensor, cam_label: Tensor | None = None, view_label: Tensor | None = None
    ) -> Tensor:
        """Return the features (B, K) float32 of photos (B, 3, H, W); labels are not used."""
        [features] = self.session.run([FEATURE], {PHOTOS: images.numpy(force=True)})
        return torch.from_numpy(features)


def to_metadata(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return facts as the texts of ``metadata_props``: text as it is, all else as JSON."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in facts.items()
    }


def from_metadata(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the facts of :func:`to_metadata`.

    Raises:
        ValueError: They are not those of an export.
    """
    if texts.get('format') != FORMAT:
        raise ValueError(f'its metadata lacks format = {FORMAT}')
    missing = [name for name in ('weights', *FEATURE_FACTS, *JSON) if name not in texts]
    if missing:
        raise ValueError(f'its metadata lacks {", ".join(missing)}')
    facts = dict(texts) | {name: json.loads(texts[name]) for name in JSON}
    if any(torch.tensor(facts[name]).shape != (3,) for name in ('pixel_mean', 'pixel_std')):
        raise ValueError('mean and standard deviation must have three numbers')
    other = [name for name, value in PREPROCESSING.items() if facts.get(name) != value]
    if other:
        raise ValueError(f'photos need another preprocessing ({", ".join(other)})')
    return facts


def open_onnx(source: str | Path | bytes) -> OnnxEncoder:
    """Open an ONNX file of tools.export, or its content.

    Raises:
        InputError: It cannot be read, or was not written by tools.export; or onnxruntime is
            missing.
    """
    name = 'the exported graph' if isinstance(source, bytes) else str(source)
    if not isinstance(source, bytes) and not Path(source).is_file():
        raise InputError(f'{name}: no such ONNX file; write one with python -m tools.export')
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        content = source if isinstance(source, bytes) else str(source)
        session = onnxruntime.InferenceSession(content, options, ['CPUExecutionProvider'])
        facts = from_metadata(session.get_modelmeta().custom_metadata_map)
        [photos], [feature] = session.get_inputs(), session.get_outputs()
        shape = [photos.name, *photos.shape[1:], feature.name]
        if shape != [PHOTOS, 3, *facts['size'], FEATURE]:
            raise ValueError(f'its graph computes {feature.name} of {photos.name} {photos.shape}')
    except Exception as error:  # onnxruntime raises its own; metadata of strangers may be anything
        raise InputError(
            f'{name} is not a model of tools.export, or is damaged ({first_line(error)}); write it '
            'with python -m tools.export'
        ) from None
    return OnnxEncoder(session, facts)


def import_onnxruntime() -> Any:
    """Return the package.

    Raises:
        InputError: It is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise InputError(
            'ONNX files need the package onnxruntime: pip install onnxruntime'
        ) from None
    return onnxruntime


def config_of_file(cfg: CfgNode, encoder: OnnxEncoder) -> CfgNode:
    """Return the config with the preprocessing of the file; its model has no effect.

    Raises:
        InputError: TEST.WHITENING is set.
    """
    if cfg.TEST.WHITENING:
        raise InputError(
            "TEST.WHITENING does not apply to an ONNX file: set it to '', and export the file with "
            'TEST.WHITENING to have it inside'
        )
    cfg = cfg.clone()
    cfg.defrost()
    facts = encoder.facts
    cfg.INPUT.SIZE_TEST = facts['size']
    cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD = facts['pixel_mean'], facts['pixel_std']
    cfg.MODEL.DEVICE, cfg.TEST.PRECISION = 'cpu', 'fp32'
    cfg.freeze()
    return cfg


def about_onnx(encoder: OnnxEncoder, path: str) -> dict[str, Any]:
    """Return what a file of features says about features of an ONNX file."""
    facts = encoder.facts
    about = {'model': facts['weights']} | {name: facts[name] for name in FEATURE_FACTS}
    about |= {'precision': 'fp32', 'whitening': facts['whitening']}
    return about | {'onnx': {'file': path, 'sha256': sha256_file(path)}}
