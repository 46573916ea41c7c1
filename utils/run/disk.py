"""Whether the disk has room for a run, before it starts."""

import logging
from collections.abc import Mapping
from pathlib import Path

from yacs.config import CfgNode

from utils.errors import InputError
from utils.files import free_bytes
from utils.run.journal import STATE, Journal

logger = logging.getLogger('transreid')


def planned_files(journal: Journal, solver: CfgNode, validates: bool) -> dict[str, int]:
    """File name -> bytes of what a run still writes.

    Args:
        journal: Where the run is.
        solver: SOLVER of the config, with the epochs and periods of both stages.
        validates: Whether a best checkpoint is kept.
    """
    tensors = journal.model.state_dict()
    name, suffix = journal.policy.name, journal.policy.suffix
    checkpoint = sum(tensor.nbytes for tensor in tensors.values())
    trained = sum(tensors[changed].nbytes for changed in journal.model.changed_names(2))
    files = {STATE: 3 * trained}  # and Adam's two moments of each
    for number, stage, stem in ((1, solver.STAGE1, 'stage1_'), (2, solver.STAGE2, '')):
        period, last = stage.CHECKPOINT_PERIOD, stage.MAX_EPOCHS
        for epoch in {*range(period, last + 1, period), last} - {0}:
            if (number, epoch) >= (journal.stage, journal.epoch):
                files[f'{name}_{stem}{epoch}.{suffix}'] = checkpoint
    if validates:
        files[f'{name}_best.{suffix}'] = checkpoint
    return files


def check_disk(
    folder: str | Path, files: Mapping[str, int], cache: int = 0, new: bool = False
) -> None:
    """Log how much disk the run needs.

    Args:
        folder: OUTPUT_DIR.
        files: File name -> bytes of what will be written; what exists already will be replaced.
        cache: Bytes of decoded photos.
        new: Whether the run is new: then the state and the best checkpoint of another run stay.

    Raises:
        InputError: That much is not free.
    """
    largest = max(files.values())
    # one file is written beside itself
    need = largest + cache
    for name, size in files.items():
        need += max(0, size - _replaced_bytes(Path(folder) / name, new))
    try:
        free = free_bytes(folder)
    except OSError as error:
        logger.warning(
            'OUTPUT_DIR %s: how much is free is not known (%s); %.2f GB are needed',
            folder,
            error,
            need / 1e9,
        )
        return
    text = (
        f'{len(files)} files of up to {largest / 1e9:.2f} GB and {cache / 1e9:.2f} GB of decoded '
        f'photos, {need / 1e9:.2f} GB more than is there'
    )
    if need > free:
        raise InputError(
            f'OUTPUT_DIR {folder}: the run writes {text}, {free / 1e9:.2f} GB are free; make '
            'space, raise SOLVER.STAGE2.CHECKPOINT_PERIOD, lower DATALOADER.CACHE_GB or choose '
            'another OUTPUT_DIR'
        )
    logger.info('Disk: the run writes %s; %.2f GB are free', text, free / 1e9)


def _replaced_bytes(path: Path, new: bool) -> int:
    """Size of the file that the run will replace at ``path``."""
    kept = new and (path.name == STATE or '_best.' in path.name)
    return path.stat().st_size if path.exists() and not kept else 0
