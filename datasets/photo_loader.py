"""A loader of any photos with the test transform, for features outside of training and tests."""

from collections.abc import Sequence

from yacs.config import CfgNode

from datasets.dataset import ImageDataset
from datasets.images import read_image
from datasets.make_dataloader_clipreid import loader_options
from datasets.records import Record
from datasets.transforms import Reader, make_test_transform
from datasets.workers import ImageLoader
from utils.device import Runtime, wants_pinned_memory


def make_photo_loader(
    cfg: CfgNode,
    records: Sequence[Record],
    runtime: Runtime,
    upright: bool = False,
    batches: Sequence[range] | None = None,
    read: Reader = read_image,
) -> ImageLoader:
    """Return the loader of photos; close it after use.

    Args:
        cfg: The config; TEST.IMS_PER_BATCH is the size of a batch.
        records: N located photos.
        runtime: The device and processes.
        upright: Whether to apply the EXIF orientation; training and tests do not.
        batches: The indices of this process's batches; default: its shard of all photos.
        read: Reads the photo of a record's path, for example a crop of it.
    """
    inputs = (cfg.INPUT.SIZE_TEST, cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD)
    transform = make_test_transform(*inputs, upright=upright, read=read)
    size, processes, device = cfg.TEST.IMS_PER_BATCH, runtime.processes, runtime.device
    sizes = [(size, cfg.INPUT.SIZE_TEST)]
    options = loader_options(cfg, wants_pinned_memory(device), device, sizes, processes)
    dataset = ImageDataset(records, transform)
    if batches is not None:
        return ImageLoader(dataset, batch_sampler=batches, **options)
    shard = processes.shard(len(records), size)
    return ImageLoader(dataset, batch_size=size, sampler=shard, **options)
