"""Exports the model of a test as an ONNX file: photos -> the features that tests compare."""

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from datasets.photo_loader import make_photo_loader
from datasets.records import Record
from model.reid_model import ReIDModel
from processor.encoder import (
    Encoder,
    check_finite,
    feature_facts,
    load_model,
    make_encoder,
    whitening_facts,
)
from processor.inference import distance_settings
from utils import __version__
from utils.errors import InputError, first_line
from utils.files import atomic_write, keep_earlier
from utils.logger import logger
from utils.run.session import Session
from wildlife.features.onnx_files import (
    FEATURE,
    FORMAT,
    PACKAGES,
    PHOTOS,
    PREPROCESSING,
    OnnxEncoder,
    open_onnx,
    to_metadata,
)
from wildlife.features.photos import photos_of_lists

LIMIT = 1e-4  # largest difference to torch, for features of length 1
BATCHES = (1, 5, 10)  # numbers of photos at a time when the graph is compared with torch
LARGEST = 2_000_000_000  # bytes of weights; a file of Protocol Buffers ends at 2 GiB


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        length: Numbers of a feature.
        normalised: Whether features have length 1.
        size: Bytes of the file.
        difference: The largest difference to torch, see :func:`largest_difference`.
        photos: The number of photos in this comparison.
    """

    length: int
    normalised: bool
    size: int
    difference: float
    photos: int


class FeatureGraph(nn.Module):
    """What is exported: photos (B, 3, H, W) -> features (B, K) as tests compare them.

    Args:
        encoder: The encoder of a test, in fp32.
        normalise: Whether tests L2-normalise its features.
    """

    def __init__(self, encoder: Encoder, normalise: bool):
        super().__init__()
        self.encoder, self.normalise = encoder, normalise

    def forward(self, photos: Tensor) -> Tensor:
        features = self.encoder(photos)
        return F.normalize(features) if self.normalise else features


def check_target(path: str | Path) -> Path:
    """Return the path of the file to write; check it, and the packages that exporting needs.

    Raises:
        InputError: It is a folder, its folder does not exist, it has another suffix, or a package
            is missing.
    """
    path = Path(path)
    if path.suffix != '.onnx' or path.is_dir():
        what = 'is a folder' if path.is_dir() else 'does not end in .onnx'
        raise InputError(f'--out {path} {what}; name a file to write, such as tiger.onnx')
    if not path.parent.is_dir():
        raise InputError(f'--out {path}: there is no folder {path.parent}; make it first')
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError:
            raise InputError(
                f'exporting needs the package {package}: pip install {" ".join(PACKAGES)}'
            ) from None
    return path


def export_config(cfg: CfgNode) -> CfgNode:
    """Return the config for exporting: on the CPU, not compiled, in one process.

    Raises:
        InputError: The features of TEST.PRECISION are not those of the graph.
    """
    if cfg.TEST.PRECISION != 'fp32':
        raise InputError(
            f'TEST.PRECISION {cfg.TEST.PRECISION}: exported graphs compute in fp32; set it to fp32'
        )
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.DEVICE, cfg.MODEL.COMPILE, cfg.MODEL.DIST_TRAIN = 'cpu', False, False
    cfg.freeze()
    return cfg


def export_model(run: Session, path: Path) -> Exported:
    """Write the model of TEST.WEIGHT as ONNX; an earlier file is kept and numbered.

    Before that, the graph is compared with torch on photos of the query list.

    Args:
        run: The run; its config is one of :func:`export_config`.
        path: The file to write.

    Raises:
        InputError: Photos or model cannot be read, the model cannot be exported, or the graph gives
            other features than torch; nothing is written.
    """
    cfg = run.cfg
    records = some(photos_of_lists(cfg, ['query']).records, sum(BATCHES))
    model, weights = load_model(cfg, records)
    check_model(model, cfg.MODEL.NAME)
    graph = FeatureGraph(make_encoder(cfg, model, run.runtime.device), distance_settings(cfg)[0])
    graph.eval()
    logger.info('exporting %s; this takes seconds to minutes', cfg.MODEL.NAME)
    facts = export_facts(cfg, model, graph, weights)
    content = graph_content(graph, cfg.INPUT.SIZE_TEST, facts)
    encoder = open_onnx(content)
    length, difference = largest_difference(graph, encoder, run, records)
    if not difference <= LIMIT:
        raise InputError(
            f'the graph of {cfg.MODEL.NAME} gives other features than torch: on photos of the '
            f'query list they differ by {difference:.1e}, more than {LIMIT:.0e}; {path} is not '
            f'written: try other versions of {", ".join(PACKAGES)}, and report it'
        )
    kept = keep_earlier(path)
    if kept:
        logger.info('an earlier %s is kept as %s', path.name, kept.name)
    with atomic_write(path, 'wb') as file:
        file.write(content)
    return Exported(length, graph.normalise, len(content), difference, len(records))


def some(records: Sequence[Record], count: int) -> list[Record]:
    """Return ``count`` records, evenly spread; all if there are fewer."""
    count = min(count, len(records))
    return [records[number * len(records) // count] for number in range(count)]


def check_model(model: ReIDModel, name: str) -> None:
    """Check that a graph can hold the model.

    Raises:
        InputError: It needs the camera or view of a photo, or is too large for one file.
    """
    if any(model.side):
        raise InputError(
            f'{name} was trained with MODEL.SIE_CAMERA or SIE_VIEW: its features also depend on '
            'the camera or view, which other programs do not know; export a model without them'
        )
    size = sum(tensor.nbytes for tensor in model.image_encoder.state_dict().values())
    if size > LARGEST:
        raise InputError(
            f'the encoder of {name} has {size / 1e9:.1f} GB of weights, but an ONNX file holds at '
            f'most {LARGEST / 1e9:.0f} GB; export a smaller one'
        )


def export_facts(
    cfg: CfgNode, model: ReIDModel, graph: FeatureGraph, weights: Mapping[str, str]
) -> dict[str, Any]:
    """Return the metadata of the file: what a program must know to use the graph.

    Args:
        cfg: The config.
        model: The model of TEST.WEIGHT.
        graph: The graph.
        weights: The facts of ``load_model``.
    """
    source = weights.get('starting_weights', weights['checkpoint'])
    whitening = whitening_facts(cfg)
    if whitening:  # names of files say enough; where they are is the user's affair
        whitening['file'] = Path(whitening['file']).name
    return {
        'format': FORMAT,
        'version': __version__,
        'network': cfg.MODEL.NAME,
        'weights': Path(source).name,
        **feature_facts(cfg, model, weights['checkpoint_sha256']),
        **PREPROCESSING,
        'normalised': graph.normalise,
        'similarity': 'cosine' if graph.normalise else 'euclidean distance',
        'whitening': whitening,
    }


def graph_content(graph: FeatureGraph, size: Sequence[int], facts: Mapping[str, Any]) -> bytes:
    """Return the content of the ONNX file, for batches of any size.

    Args:
        graph: The graph, in evaluation mode.
        size: (height, width) of photos in pixels.
        facts: The metadata; 'feature_length' is added.

    Raises:
        InputError: torch cannot export the network, or only for one size of batch.
    """
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter('ignore')  # about torch's own deprecations
            proto = _onnx_of(graph, size)
    except Exception as error:  # networks of timm may do anything
        raise InputError(
            f'{facts["network"]} cannot be exported for any number of photos '
            f'({first_line(error)}); nothing is written: choose another network, or another '
            'version of torch'
        ) from error
    nodes = proto.graph
    for part in (nodes, *nodes.node, *nodes.input, *nodes.output, *nodes.value_info):
        part.ClearField('metadata_props')  # from which line of which module each node came
    length = nodes.output[0].type.tensor_type.shape.dim[1].dim_value
    for name, text in to_metadata({**facts, 'feature_length': length}).items():
        proto.metadata_props.add(key=name, value=text)
    return proto.SerializeToString()


def _onnx_of(graph: FeatureGraph, size: Sequence[int]) -> Any:
    """Return the ONNX model of a graph."""
    example = torch.zeros(2, 3, *size)  # with one photo, the batch would become a constant
    shapes = ({0: torch.export.Dim('batch', min=1)},)
    # torch.onnx.export alone would try other ways after an error, and fix the batch at two photos
    program = torch.export.export(graph, (example,), dynamic_shapes=shapes)
    exported: Any = torch.onnx.export(
        program,
        dynamo=True,
        dynamic_shapes=shapes,
        input_names=[PHOTOS],
        output_names=[FEATURE],
        verbose=False,
    )
    return exported.model_proto


def largest_difference(
    graph: FeatureGraph, encoder: OnnxEncoder, run: Session, records: Sequence[Record]
) -> tuple[int, float]:
    """Compare the features of onnxruntime with those of torch, in batches of different size.

    Args:
        graph: The graph in torch.
        encoder: The same, exported.
        run: The run.
        records: Photos.

    Returns:
        The length of a feature, and the largest difference of a number, divided by the L2 norm of
        the feature.

    Raises:
        InputError: A photo cannot be read, or a feature is not finite.
    """
    batches, start = [], 0
    for size in BATCHES:
        batches.append(range(start, min(start + size, len(records))))
        start += size
    loader = make_photo_loader(run.cfg, records, run.runtime, batches=[b for b in batches if b])
    run.cleanup.callback(loader.close)
    expected, found = [], []
    with torch.inference_mode():
        for images, *_ in loader:
            expected.append(graph(images))
            found.append(encoder(images))
    features, others = torch.cat(expected), torch.cat(found)
    check_finite(features, records)
    norms = features.norm(dim=1, keepdim=True)
    return features.shape[1], float(((others - features) / norms).abs().max())
