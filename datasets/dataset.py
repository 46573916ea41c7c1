"""Records as images with their labels."""

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
    """Photos, read when they are asked for, or taken from ``cache``.

    ``dataset[index]`` or ``dataset[index, sample_seed]`` gives (image, pid, camid, viewid, index):
    the image is a float32 tensor (3, H, W), the rest are ints. The random steps of the transform
    depend on ``sample_seed`` alone (default: ``index``), so neither the number of workers
    nor the order of reading changes a batch, and the process's own generators are left as they
    were.

    Args:
        records: located.
        transform: from pixels to images.
        cache: of the transform's ``reading``; None reads each time.
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
        """The samples of a batch, or the ``InputError`` of a photo: see ``ImageLoader``."""
        try:
            return [self[index] for index in indices]
        except InputError as error:
            return error
