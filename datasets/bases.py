"""Records as samples of a DataLoader."""
import torch
from torch.utils.data import DataLoader, Dataset

from datasets.transforms import read_image
from utils.errors import InputError


class ImageDataset(Dataset):
    """Photos, read and transformed when they are asked for.

    ``dataset[index]`` or ``dataset[index, sample_seed]`` gives (image, pid, camid, viewid, index): the image is a
    float32 tensor (3, H, W), the rest are ints. The random steps of the transform depend on ``sample_seed`` alone
    (default: ``seed + index``), so neither the number of workers nor the order of reading changes a batch, and the
    process's own generator is left as it was.
    """

    def __init__(self, records, transform, seed=0):
        self.records = records
        self.transform = transform
        self.seed = seed

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        index, sample_seed = index if isinstance(index, tuple) else (index, self.seed + index)
        record = self.records[index]
        image = read_image(record.path)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(sample_seed)  # torch.manual_seed would seed the accelerator as well
            image = self.transform(image)
        return image, record.pid, record.camid, record.viewid, index


class ImageLoader(DataLoader):
    """A DataLoader whose workers hand on an ``InputError`` as it is: torch would wrap it in a traceback's text."""

    def __iter__(self):
        try:
            yield from super().__iter__()
        except InputError as error:
            last_line = str(error).strip().splitlines()[-1]
            raise InputError(last_line.removeprefix(f'{InputError.__module__}.{InputError.__name__}: ')) from None
