"""Computes the features of photos for a catalogue: upright, cropped, L2-normalised."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from yacs.config import CfgNode

from datasets.photo_loader import make_photo_loader
from datasets.records import Record
from processor.encoder import make_encoder
from processor.inference import encode_batches
from utils.device import make_runtime
from utils.torch_errors import translated_errors
from wildlife.catalogue.models import (
    ModelFacts,
    check_same_model,
    load_checked_model,
    model_config,
)
from wildlife.catalogue.new_photos import Boxed, CropReader, crop_names
from wildlife.catalogue.store import Catalogue
from wildlife.features.parts import batches_of, parts_of, whole_parts


class PhotoEncoder(Protocol):
    """Turns photos into features; in tests without a network."""

    @property
    def facts(self) -> ModelFacts:
        """What the features depend on."""

    def __call__(self, photos: Sequence[Boxed], margin: float) -> Iterator[np.ndarray]:
        """Yield the features of N > 0 photos in parts: (P, D) float32, L2-normalised, in order.

        Args:
            photos: The photos.
            margin: The margin around boxes on each side, as a share of the box.

        Raises:
            InputError: A photo cannot be read, or a feature is not finite.
        """


class ModelEncoder:
    """The model that TEST.WEIGHT of a config names.

    Args:
        cfg: The config, with numbers in INPUT (``model.timm_names.resolve_inputs``).

    Raises:
        InputError: The weights cannot be read, are random, or need the camera or side of photos.
    """

    def __init__(self, cfg: CfgNode):
        self.cfg = cfg
        with translated_errors('TEST.IMS_PER_BATCH'):
            self.runtime = make_runtime(
                cfg.MODEL.DEVICE,
                cfg.SOLVER.AMP,
                cfg.SOLVER.DETERMINISTIC,
                compiles=cfg.MODEL.COMPILE,
            )
            model, self.facts = load_checked_model(cfg)
            self.encoder = make_encoder(cfg, model, self.runtime.device).eval()

    def __call__(self, photos: Sequence[Boxed], margin: float) -> Iterator[np.ndarray]:
        """Yield the features of photos in parts; see :class:`PhotoEncoder`."""
        names = crop_names(photos)
        records = [Record(name, 0) for name in names]
        read = CropReader(dict(zip(names, photos, strict=True)), margin)
        parts = parts_of(len(records))
        batches = batches_of(parts, self.cfg.TEST.IMS_PER_BATCH)

        @torch.inference_mode()
        def encode(images: Tensor, cameras: Tensor, views: Tensor) -> Tensor:
            return self.encoder(images)

        with (
            translated_errors('TEST.IMS_PER_BATCH'),
            contextlib.closing(
                make_photo_loader(self.cfg, records, self.runtime, True, batches, read)
            ) as loader,
        ):
            found = encode_batches(encode, loader, self.runtime, 'features')
            for _, features in whole_parts(parts, found, records):
                yield F.normalize(features).numpy()


def catalogue_encoder(catalogue: Catalogue, opts: Sequence[str] = ()) -> ModelEncoder:
    """Return the model in use of a catalogue, for features that can be compared with its own.

    Args:
        catalogue: The catalogue.
        opts: KEY, VALUE, … that override its config; see ``models.model_config``.

    Raises:
        InputError: There is no model in use, its weights are missing, or the model is another one.
    """
    encoder = ModelEncoder(model_config(catalogue, opts))
    check_same_model(catalogue.model_in_use(), encoder.facts)
    return encoder
