"""Records as samples of a DataLoader."""
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

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

    def __getitems__(self, indices):
        """The samples of a batch, for ``ImageLoader``, or the ``InputError`` of one of them: see there."""
        try:
            return [self[index] for index in indices]
        except InputError as error:
            return error


class ImageLoader(DataLoader):
    """A DataLoader over an ``ImageDataset``; an ``InputError`` of a worker reaches the loop as it is.

    Raised in a worker, torch would put a traceback into its message, and hold the workers for seconds at the end. So it
    is handed on in the batch's place and raised here.
    """

    def __init__(self, dataset, **options):
        super().__init__(dataset, collate_fn=_collate, **options)

    def __iter__(self):
        for batch in super().__iter__():
            if isinstance(batch, InputError):
                raise batch
            yield batch


def _collate(samples):
    return samples if isinstance(samples, InputError) else default_collate(samples)
