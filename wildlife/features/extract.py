"""Extracts features into a file; an interrupted extraction continues where it stopped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from datasets.photo_loader import make_photo_loader
from processor.encoder import (
    Encoder,
    feature_facts,
    load_model,
    make_encoder,
    whitening_facts,
)
from processor.inference import encode_batches
from utils import __version__
from utils.checkpoint import sha256_state
from utils.files import keep_earlier
from utils.logger import logger
from utils.run.session import Session
from wildlife.features.files import FeatureTable, write_features
from wildlife.features.onnx_files import OnnxEncoder, about_onnx
from wildlife.features.parts import Parts, batches_of, whole_parts
from wildlife.features.photos import PhotoTable

FORMAT = 1  # version of the metadata


def extract_to_file(
    run: Session, photos: PhotoTable, path: Path, onnx: tuple[OnnxEncoder, str] | None = None
) -> FeatureTable | None:
    """Write the features of photos to a file; an earlier file is kept and numbered.

    Parts of the result are kept in the folder <file>.parts until all are there. Several processes
    share the parts.

    Args:
        run: The run; its config names TEST.WEIGHT, TEST.WHITENING and TEST.PRECISION.
        photos: The photos.
        path: The file, .npz or .parquet.
        onnx: A graph and its file instead of that model; the config is its ``config_of_file``.

    Returns:
        What was written; None in all processes but the first.

    Raises:
        InputError: A photo or the model cannot be read, or the parts are those of other features.
    """
    encoder: nn.Module
    if onnx:
        encoder, facts = onnx[0], about_onnx(*onnx)
    else:
        encoder, facts = _encoder_of_test(run, photos)
    about = {'format': FORMAT, 'version': __version__, **facts}
    about |= {'upright': photos.upright, 'photos': photos.fingerprints}
    parts = Parts(path.with_name(f'{path.name}.parts'), len(photos.records))
    if run.main:
        parts.prepare(about)
    own = _own_parts(run, parts)
    if own:
        _write_own(run, encoder, photos, parts, own)
    run.runtime.processes.barrier()
    return _join(parts, photos, about, path) if run.main else None


def _encoder_of_test(run: Session, photos: PhotoTable) -> tuple[Encoder, dict[str, Any]]:
    """Return the encoder of TEST.WEIGHT and what the file says about its features."""
    model, weights = load_model(run.cfg, photos.records)
    encoder = make_encoder(run.cfg, model, run.runtime.device)
    facts: dict[str, Any] = {'model': weights.get('starting_weights', weights['checkpoint'])}
    facts |= feature_facts(run.cfg, model, weights['checkpoint_sha256'])
    if not weights['checkpoint_sha256']:  # parts of two random models must not be mixed
        facts |= {'random_sha256': sha256_state(model.state_dict())}
    facts |= {'precision': run.cfg.TEST.PRECISION, 'whitening': whitening_facts(run.cfg)}
    return encoder, facts


def _own_parts(run: Session, parts: Parts) -> list[range]:
    """Return the missing parts that this process has to write."""
    processes = run.runtime.processes
    # one process looks, since others may already write
    missing = processes.broadcast(parts.missing())
    return missing[processes.rank :: processes.world_size]


def _write_own(
    run: Session, encoder: nn.Module, photos: PhotoTable, parts: Parts, own: Sequence[range]
) -> None:
    """Write the features of each of these parts."""
    batches = batches_of(own, run.cfg.TEST.IMS_PER_BATCH)
    loader = make_photo_loader(run.cfg, photos.records, run.runtime, photos.upright, batches)
    run.cleanup.callback(loader.close)
    encoder.eval()

    def encode(images: torch.Tensor, cameras: torch.Tensor, views: torch.Tensor) -> torch.Tensor:
        return encoder(images, cam_label=cameras, view_label=views)

    with torch.inference_mode():
        rows = encode_batches(encode, loader, run.runtime, 'features')
        for part, features in whole_parts(own, rows, photos.records):
            parts.write(part, features)


def _join(parts: Parts, photos: PhotoTable, about: Mapping[str, Any], path: Path) -> FeatureTable:
    """Write the file and remove the parts."""
    table = FeatureTable(parts.join(), photos.paths, photos.columns(), about)
    kept = keep_earlier(path)
    if kept:
        logger.info('an earlier %s is kept as %s', path.name, kept.name)
    write_features(table, path)
    parts.remove()
    return table
