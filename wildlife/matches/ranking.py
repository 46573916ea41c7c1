"""Ranks the known individuals by similarity to the animal in a new photo."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from yacs.config import CfgNode

from datasets.photo_loader import make_photo_loader
from datasets.records import Record
from model.make_model_clipreid import make_test_model
from processor.encoder import make_encoder
from processor.inference import extract_features
from utils.device import Runtime, make_runtime
from utils.errors import InputError
from utils.metrics import distance_text
from utils.torch_errors import translated_errors
from wildlife.matches.photos import KnownPhotos

BLOCK = 1024  # new photos compared at a time, which limits the memory for distances

Row = dict[str, str | int]  # a row of matches.csv


def check_model(cfg: CfgNode) -> None:
    """Check that the model needs only the photo itself.

    Raises:
        InputError: It also needs the camera or side, which is unknown for new photos.
    """
    if cfg.MODEL.SIE_CAMERA or cfg.MODEL.SIE_VIEW:
        raise InputError(
            'MODEL.SIE_CAMERA / SIE_VIEW: the model needs the camera or side of a photo, which '
            'is unknown for new photos; use a model trained without these options'
        )


def find_matches(new: Sequence[str], known: KnownPhotos, cfg: CfgNode, top: int) -> list[Row]:
    """Compare new photos with known ones by a trained model.

    Args:
        new: The paths of N readable photos.
        known: M photos and their individuals.
        cfg: The config of the training run; TEST.WEIGHT names the model.
        top: The number of individuals per photo.

    Returns:
        The rows of matches.csv; see ``rank``.
    """
    with translated_errors('TEST.IMS_PER_BATCH'):
        runtime = make_runtime(
            cfg.MODEL.DEVICE, cfg.SOLVER.AMP, cfg.SOLVER.DETERMINISTIC, compiles=cfg.MODEL.COMPILE
        )
        model = make_encoder(cfg, make_test_model(cfg), runtime.device)
        photos = [*(Record(path, 0) for path in new), *known.records]
        features = F.normalize(_extract(model, photos, cfg, runtime))
    return rank(new, features[: len(new)], known, features[len(new) :], top)


def _extract(
    model: torch.nn.Module, records: Sequence[Record], cfg: CfgNode, runtime: Runtime
) -> Tensor:
    """Return the (N, D) features of photos, all read upright."""
    loader = make_photo_loader(cfg, records, runtime, upright=True)
    try:
        return extract_features(model, loader, runtime)
    finally:
        loader.close()


def rank(
    new: Sequence[str], features: Tensor, known: KnownPhotos, known_features: Tensor, top: int
) -> list[Row]:
    """Rank the known individuals for each new photo, each by its nearest photo.

    Args:
        new: N paths.
        features: (N, D), L2-normalised.
        known: M photos and their individuals.
        known_features: (M, D), L2-normalised.
        top: The number of individuals per photo.

    Returns:
        Rows of matches.csv, at most ``top`` per new photo, nearest first (cosine distance).
    """
    rows = []
    for start in range(0, len(new), BLOCK):
        distances = (1 - features[start : start + BLOCK] @ known_features.T).cpu().numpy()
        for path, distance in zip(new[start : start + BLOCK], distances, strict=True):
            nearest: dict[str, int] = {}  # individual -> index of its nearest photo
            for index in distance.argsort(kind='stable').tolist():
                nearest.setdefault(known.names[index], index)
                if len(nearest) == top:
                    break
            for number, (name, index) in enumerate(nearest.items(), start=1):
                row: Row = {
                    'photo': path,
                    'rank': number,
                    'individual': name,
                    'distance': distance_text(distance[index]),
                    'known_photo': known.records[index].path,
                    'problem': '',
                }
                rows.append(row)
    return rows
