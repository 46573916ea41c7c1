"""The results of ``make_dataloader`` and ``make_test_dataloader``."""

from typing import NamedTuple

import torch

from datasets.protocols import Protocol
from datasets.records import Record
from datasets.workers import ImageLoader

Fingerprints = dict[str, dict[str, int | str]]


class Trial(NamedTuple):
    """Queries, and the gallery that is ranked for each of them.

    If ``features`` (N, D) are those of all photos of the loader, then ``features[query_index]`` are
    those of the queries.

    Args:
        query: The records of the Q queries.
        gallery: The records of the G gallery photos.
        query_index: (Q,) int64, positions of the queries among the loader's photos.
        gallery_index: (G,) int64, positions of the gallery photos.
    """

    query: list[Record]
    gallery: list[Record]
    query_index: torch.Tensor
    gallery_index: torch.Tensor


class TestSet(NamedTuple):
    """The data of a test or of a validation.

    Args:
        loader: Each photo once, even if it is in both lists. Its records are
            ``loader.dataset.records``.
        query: The records of the first trial's queries.
        gallery: The records of the first trial's gallery.
        protocol: The rules by which rankings are evaluated.
        fingerprints: The fingerprints of the splits, see ``datasets.folders.fingerprint``.
        trials: One trial; ten for VehicleID, whose result is their mean.
    """

    loader: ImageLoader
    query: list[Record]
    gallery: list[Record]
    protocol: Protocol
    fingerprints: Fingerprints
    trials: list[Trial]


class Loaders(NamedTuple):
    """The data of a training run. The first seven fields have the original's order.

    Batches are (images (B, 3, H, W), pid, camid, viewid, index). The records of a loader are
    ``loader.dataset.records``. With several processes, each gets its part of every batch of stage 2
    and its shard of the photos of the other loaders.

    Args:
        train_loader_stage2: Random transform and order; call ``.batch_sampler.set_epoch(epoch)``
            before each epoch.
        train_loader_stage1: Every train photo once, in the list's order, with the test transform.
        val_loader: None without a validation list.
        num_query: The number of validation queries, 0 without a list.
        num_classes: The number of individuals in the train list.
        camera_num: Largest camera number of all splits + 1.
        view_num: Largest view number of all splits + 1.
        validation: Market-style, for animals without the camera filter; None without a list.
        fingerprints: The fingerprints of the splits, see ``datasets.folders.fingerprint``.
        cache_bytes: Disk space in OUTPUT_DIR that this process will use for decoded photos, in
            bytes.
    """

    train_loader_stage2: ImageLoader
    train_loader_stage1: ImageLoader
    val_loader: ImageLoader | None
    num_query: int
    num_classes: int
    camera_num: int
    view_num: int
    validation: TestSet | None
    fingerprints: Fingerprints
    cache_bytes: int

    def close(self) -> None:
        """End the workers of all loaders."""
        for loader in (self.train_loader_stage2, self.train_loader_stage1, self.val_loader):
            if loader is not None:
                loader.close()
