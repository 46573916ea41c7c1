"""The data set: photos as images with their labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import Dataset

from datasets.cache import PhotoCache
from datasets.records import Record
from datasets.transforms import Transform
from utils.errors import InputError

Sample = tuple[torch.Tensor, int, int, int, int]


@dataclass(eq=False)
class ImageDataset(Dataset):
    """Photos with their labels, read on demand or taken from ``cache``.

    ``dataset[index]`` or ``dataset[index, sample_seed]`` returns (image, pid, camid, viewid,
    index): a float32 tensor (3, H, W) and four ints. The random steps of the transform depend only
    on ``sample_seed`` (default: ``index``), so neither the number of workers nor the order of
    reading changes a batch.

    Args:
        records: The records with the full paths of the photos.
        transform: From photos to images.
        cache: The cache of ``transform.reading``; None reads each photo each time.
    """

    records: Sequence[Record]
    transform: Transform
    cache: PhotoCache | None = None

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int | tuple[int, int]) -> Sample:
        index, sample_seed = index if isinstance(index, tuple) else (index, index)
        record = self.records[index]
        read = self.cache or self.transform.reading
        image = self.transform(read(record.path), sample_seed)
        return image, record.pid, record.camid, record.viewid, index

    def __getitems__(self, indices: Sequence[int | tuple[int, int]]) -> list[Sample] | InputError:
        """Return the samples of a batch, or the ``InputError`` of a photo; see ``ImageLoader``."""
        try:
            return [self[index] for index in indices]
        except InputError as error:
            return error
