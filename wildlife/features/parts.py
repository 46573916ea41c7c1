"""Features in parts: an interrupted computation continues with the parts that are missing.

Here the photos are a fixed list, so parts are numbered and several processes can share them. Where
the photos may change until the next call, see ``wildlife.catalogue.kept_features``.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.records import Record
from processor.encoder import check_finite
from utils.errors import InputError
from utils.files import atomic_write, write_json, writing
from utils.logger import logger

PHOTOS = 256  # per part


class Parts:
    """Features of N photos as files in a folder, one per part.

    Args:
        folder: The folder.
        count: N.
    """

    def __init__(self, folder: Path, count: int):
        self.folder = folder
        self.all = parts_of(count)

    def prepare(self, about: Mapping[str, Any]) -> None:
        """Make the folder, or check that the existing one belongs to the same features.

        Raises:
            InputError: It belongs to others, or cannot be written.
        """
        note = self.folder / 'about.json'
        try:
            earlier = json.loads(note.read_text(encoding='utf-8')) if note.exists() else None
        except (OSError, ValueError):
            earlier = {}
        if earlier is None:
            with writing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
            write_json(note, dict(about))
        elif earlier != json.loads(json.dumps(dict(about))):
            names = [name for name in about if earlier.get(name) != about[name]]
            raise InputError(
                f'{self.folder} holds an interrupted extraction of other features '
                f'({", ".join(names)} differ); delete this folder, or choose another --out'
            )

    def missing(self) -> list[range]:
        """Return the parts that are not there yet; log how many are."""
        missing = [part for part in self.all if not self._file(part).exists()]
        done = len(self.all) - len(missing)
        if done:
            logger.info('%s: %d of %d parts are already done', self.folder, done, len(self.all))
        return missing

    def write(self, part: range, features: torch.Tensor) -> None:
        """Write a part."""
        with atomic_write(self._file(part), 'wb') as file:
            np.save(file, features.numpy())

    def join(self) -> np.ndarray:
        """Return the features (N, D) of all parts.

        Raises:
            InputError: A part is missing or damaged.
        """
        try:
            rows = [np.load(self._file(part), allow_pickle=False) for part in self.all]
            if [len(each) for each in rows] != [len(part) for part in self.all]:
                raise ValueError('a part has another number of photos')
            return np.concatenate(rows)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f'{self.folder} is damaged ({error}); delete this folder') from error

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, part: range) -> Path:
        return self.folder / f'{part.start:09d}-{part.stop:09d}.npy'


def parts_of(count: int) -> list[range]:
    """Return the parts of ``count`` photos."""
    starts = range(0, count, PHOTOS)
    return [range(start, min(start + PHOTOS, count)) for start in starts]


def batches_of(parts: Sequence[range], size: int) -> list[range]:
    """Return the batches of parts; parts share no batch."""
    batches: list[range] = []
    for part in parts:
        batches += [part[start : start + size] for start in range(0, len(part), size)]
    return batches


def whole_parts(
    own: Sequence[range], batches: Iterable[torch.Tensor], records: Sequence[Record]
) -> Iterator[tuple[range, torch.Tensor]]:
    """Yield each part with its features (P, D) on the CPU, as its batches come.

    Args:
        own: The parts.
        batches: Their features (B, D), in the order of :func:`batches_of`.
        records: The photos of all parts.

    Raises:
        InputError: A feature is not finite.
    """
    left, rows = list(own), list[torch.Tensor]()
    for batch in batches:
        rows.append(batch.cpu())
        part = left[0]
        if sum(map(len, rows)) == len(part):
            features = torch.cat(rows)
            check_finite(features, records[part.start : part.stop])
            yield part, features
            rows = []
            left.pop(0)
