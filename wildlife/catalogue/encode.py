"""Computes the features of photos as a catalogue holds them: upright, cropped, normalised."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from yacs.config import CfgNode

from datasets.photo_loader import make_photo_loader
from datasets.records import Record
from processor.encoder import Encoder, make_encoder
from processor.inference import encode_batches, load_model
from utils.device import Runtime, make_runtime
from utils.errors import InputError
from utils.files import writing
from utils.run.lock import InUse, output_lock
from utils.torch_errors import translated_errors
from wildlife.catalogue.models import ModelFacts, model_facts
from wildlife.catalogue.new_photos import Boxed, CropReader, crop_names
from wildlife.features.parts import Parts, batches_of, write_parts


class PhotoEncoder(Protocol):
    """Turns photos into features, for tests perhaps without a network."""

    @property
    def facts(self) -> ModelFacts:
        """What the features depend on."""

    def __call__(self, photos: Sequence[Boxed], margin: float, folder: Path) -> np.ndarray:
        """Return the features (N, D) float32, L2-normalised, of N > 0 photos.

        Args:
            photos: The photos.
            margin: The margin around boxes on each side, as a share of the box.
            folder: A folder for parts of the result, from which an interrupted call continues.

        Raises:
            InputError: A photo cannot be read, or a feature is not finite.
        """


class ModelEncoder:
    """The model that TEST.WEIGHT of a config names; it is loaded when it is needed.

    Args:
        cfg: The config, with numbers in INPUT (``model.timm_names.resolve_inputs``).
    """

    def __init__(self, cfg: CfgNode):
        self.cfg = cfg
        self.facts = model_facts(cfg)
        self._loaded: tuple[Encoder, Runtime] | None = None

    def __call__(self, photos: Sequence[Boxed], margin: float, folder: Path) -> np.ndarray:
        """Return the features of photos; see :class:`PhotoEncoder`."""
        names = crop_names(photos)
        records = [Record(name, 0) for name in names]
        read = CropReader(dict(zip(names, photos, strict=True)), margin)
        with translated_errors('TEST.IMS_PER_BATCH'), _own_folder(folder) as own:
            parts = Parts(own, len(records))
            parts.prepare({'key': self.facts.key})
            self._write(parts, parts.missing(), records, read)
            features = torch.from_numpy(parts.join())
            parts.remove()
        return F.normalize(features).numpy()

    def _write(
        self, parts: Parts, missing: list[range], records: list[Record], read: CropReader
    ) -> None:
        if not missing:
            return
        encoder, runtime = self._load(records)
        batches = batches_of(missing, self.cfg.TEST.IMS_PER_BATCH)
        loader = make_photo_loader(self.cfg, records, runtime, True, batches, read)

        def encode(images: Tensor, cameras: Tensor, views: Tensor) -> Tensor:
            return encoder(images)

        try:
            with torch.inference_mode():
                found = encode_batches(encode, loader, runtime, 'features')
                write_parts(parts, missing, found, records)
        finally:
            loader.close()

    def _load(self, records: list[Record]) -> tuple[Encoder, Runtime]:
        if self._loaded is None:
            model, solver = self.cfg.MODEL, self.cfg.SOLVER
            runtime = make_runtime(
                model.DEVICE, solver.AMP, solver.DETERMINISTIC, compiles=model.COMPILE
            )
            loaded, about = load_model(self.cfg, records)
            if about['checkpoint_sha256'] != self.facts.sha256:
                raise InputError('TEST.WEIGHT: the file was replaced; start the command again')
            encoder = make_encoder(self.cfg, loaded, runtime.device)
            self._loaded = encoder.eval(), runtime
        return self._loaded


@contextlib.contextmanager
def _own_folder(folder: Path) -> Iterator[Path]:
    """Lock the folder of the parts; while another program uses it, yield one of this process."""
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(output_lock(folder.parent, folder.stem))
        except InUse:
            folder = folder.with_name(f'{folder.stem}-{os.getpid()}.parts')
        yield folder
