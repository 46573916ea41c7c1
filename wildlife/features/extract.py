"""Extracts features into a file; an interrupted extraction continues where it stopped."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from datasets.photo_loader import make_photo_loader
from processor.encoder import (
    Encoder,
    check_finite,
    feature_facts,
    load_model,
    make_encoder,
    whitening_facts,
)
from processor.inference import encode_batches
from utils import __version__
from utils.checkpoint import sha256_state
from utils.errors import InputError
from utils.files import atomic_write, keep_earlier, write_json, writing
from utils.logger import logger
from utils.run.session import Session
from wildlife.features.files import FeatureTable, write_features
from wildlife.features.onnx_files import OnnxEncoder, about_onnx
from wildlife.features.photos import PhotoTable

FORMAT = 1  # version of the metadata
PHOTOS = 256  # per part


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
    folder, count = path.with_name(f'{path.name}.parts'), len(photos.records)
    parts = [range(start, min(start + PHOTOS, count)) for start in range(0, count, PHOTOS)]
    if run.main:
        _prepare(folder, about)
    own = _own_parts(run, folder, parts)
    if own:
        _write_parts(run, encoder, photos, folder, own)
    run.runtime.processes.barrier()
    return _join(folder, parts, photos, about, path) if run.main else None


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


def _own_parts(run: Session, folder: Path, parts: Sequence[range]) -> list[range]:
    """Return the missing parts that this process has to write."""
    processes = run.runtime.processes
    # one process looks, since others may already write
    done = processes.broadcast([_part_file(folder, part).exists() for part in parts])
    if any(done):
        logger.info('%s: %d of %d parts are already done', folder, sum(done), len(parts))
    missing = [part for part, is_done in zip(parts, done, strict=True) if not is_done]
    return missing[processes.rank :: processes.world_size]


def _prepare(folder: Path, about: Mapping[str, Any]) -> None:
    """Make the folder of the parts, or check that the existing one belongs to this extraction."""
    note = folder / 'about.json'
    try:
        earlier = json.loads(note.read_text(encoding='utf-8')) if note.exists() else None
    except (OSError, ValueError):
        earlier = {}
    if earlier is None:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_json(note, dict(about))
    elif earlier != json.loads(json.dumps(dict(about))):
        names = [name for name in about if earlier.get(name) != about[name]]
        raise InputError(
            f'{folder} holds an interrupted extraction of other features ({", ".join(names)} '
            'differ); delete this folder, or choose another --out'
        )


def _part_file(folder: Path, part: range) -> Path:
    return folder / f'{part.start:09d}-{part.stop:09d}.npy'


def _write_parts(
    run: Session, encoder: nn.Module, photos: PhotoTable, folder: Path, parts: Sequence[range]
) -> None:
    """Write the features of each of the parts, whose photos share no batch."""
    size, left, rows = run.cfg.TEST.IMS_PER_BATCH, list(parts), list[torch.Tensor]()
    batches = [part[start : start + size] for part in parts for start in range(0, len(part), size)]
    loader = make_photo_loader(run.cfg, photos.records, run.runtime, photos.upright, batches)
    run.cleanup.callback(loader.close)
    encoder.eval()

    def encode(images: torch.Tensor, cameras: torch.Tensor, views: torch.Tensor) -> torch.Tensor:
        return encoder(images, cam_label=cameras, view_label=views)

    with torch.inference_mode():
        for batch in encode_batches(encode, loader, run.runtime, 'features'):
            rows.append(batch.cpu())
            part = left[0]
            if sum(map(len, rows)) == len(part):
                features = torch.cat(rows)
                check_finite(features, photos.records[part.start : part.stop])
                with atomic_write(_part_file(folder, part), 'wb') as file:
                    np.save(file, features.numpy())
                rows = []
                left.pop(0)


def _join(
    folder: Path, parts: Sequence[range], photos: PhotoTable, about: Mapping[str, Any], path: Path
) -> FeatureTable:
    """Write the file and remove the parts."""
    try:
        rows = [np.load(_part_file(folder, part), allow_pickle=False) for part in parts]
        if [len(each) for each in rows] != [len(part) for part in parts]:
            raise ValueError('a part has another number of photos')
        features = np.concatenate(rows)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f'{folder} is damaged ({error}); delete this folder') from error
    table = FeatureTable(features, photos.paths, photos.columns(), about)
    kept = keep_earlier(path)
    if kept:
        logger.info('an earlier %s is kept as %s', path.name, kept.name)
    write_features(table, path)
    shutil.rmtree(folder, ignore_errors=True)
    return table
