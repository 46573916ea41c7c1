"""What the doors of ``datasets.make_dataloader_clipreid`` return."""

from typing import NamedTuple

import torch

from datasets.protocols import Protocol
from datasets.records import Record
from datasets.workers import ImageLoader

Fingerprints = dict[str, dict[str, int | str]]


class Trial(NamedTuple):
    """A ranking of the gallery for every query.

    With the features (N, D) of all photos of the ``TestSet``'s loader, ``features[query_index]``
    are those of the queries.

    Args:
        query: records.
        gallery: records.
        query_index: (Q,) int64, where the loader has the queries' photos.
        gallery_index: (G,) int64, likewise.
    """

    query: list[Record]
    gallery: list[Record]
    query_index: torch.Tensor
    gallery_index: torch.Tensor


class TestSet(NamedTuple):
    """What a test needs, and validation too.

    Args:
        loader: each photo once, also those in both lists. ``loader.dataset.records`` are its
            records.
        query: of the first trial; the next ones likewise.
        gallery: see ``Trial``.
        protocol: how rankings are judged.
        fingerprints: of the splits, see ``datasets.folders.fingerprint``.
        trials: one; of VehicleID ten, whose mean is the result.
    """

    loader: ImageLoader
    query: list[Record]
    gallery: list[Record]
    protocol: Protocol
    fingerprints: Fingerprints
    trials: list[Trial]


class Loaders(NamedTuple):
    """What training needs, in the original's order.

    Batches are (images (B, 3, H, W), pid, camid, viewid, index). The records behind a loader are
    ``loader.dataset.records``. Of several processes each has its part of every batch of stage 2,
    and its shard of the photos of the other loaders.

    Args:
        train_loader_stage2: random transform and sampler; ``.batch_sampler.set_epoch(epoch)``
            before each epoch.
        train_loader_stage1: every train photo once, in the list's order, test transform.
        val_loader: None where there is no validation list.
        num_query: of the validation, 0 without one.
        num_classes: individuals of the train list.
        camera_num: >= 1, largest number of all splits + 1.
        view_num: likewise.
        validation: Market-style, of animals without the camera filter; None without a list.
        fingerprints: of the splits 'train' and 'val', see ``datasets.folders.fingerprint``.
        cache_bytes: that decoded photos of this process will take on the disk of OUTPUT_DIR.
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
