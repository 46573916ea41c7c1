"""The plain loader: torchvision's transforms on PIL images, photo by photo, each decoded every time
it is asked for.
"""

import random

import torch
from timm.data.random_erasing import RandomErasing
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T
from torchvision.transforms import InterpolationMode

from datasets.images import read_image


def plain_train_transform(size, flip, padding, erase, mean, std):
    """Stage 2's transform: PIL RGB image -> float32 tensor (3, height, width)."""
    return T.Compose(
        [
            T.Resize(list(size), interpolation=InterpolationMode.BICUBIC),
            T.RandomHorizontalFlip(p=flip),
            T.Pad(padding),
            T.RandomCrop(tuple(size)),
            T.ToTensor(),
            T.Normalize(mean=mean, std=std),
            RandomErasing(erase, mode='pixel', max_count=1, device='cpu'),
        ]
    )


def plain_test_transform(size, mean, std):
    """The transform of tests, validation and stage 1: PIL RGB image -> float32 tensor (3, height,
    width).
    """
    return T.Compose(
        [
            T.Resize(list(size), interpolation=InterpolationMode.BILINEAR),
            T.ToTensor(),
            T.Normalize(mean=mean, std=std),
        ]
    )


class PlainDataset(Dataset):
    """``dataset[index]`` or ``dataset[index, sample_seed]`` -> (image, pid, camid, viewid,
    index).
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
        state = random.getstate()
        random.seed(sample_seed)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(sample_seed)
            image = self.transform(image)
        random.setstate(state)
        return image, record.pid, record.camid, record.viewid, index


def plain_loader(records, transform, **options):
    """Batches (images (B, 3, H, W), pid, camid, viewid, index), as torch collates them."""
    return DataLoader(PlainDataset(records, transform), **options)
