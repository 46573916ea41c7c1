"""The photos of a training and of a test, each file by one path, copies marked."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain

from datasets.protocols import Protocol
from datasets.records import Record
from utils.logger import logger

HEAD = 16384  # bytes
Trial = tuple[list[Record], list[Record]]  # query, gallery
NamedRecords = tuple[str, Sequence[Record]]  # of a list, located


@dataclass(frozen=True)
class TestPhotos:
    """Photos of a test, or of the validation during training.

    Args:
        trials: (query, gallery), located; one but for VehicleID, whose results are the mean of ten.
        protocol: how rankings are judged.
        root: folder that the photos are in.
    """

    trials: list[Trial]
    protocol: Protocol
    root: str

    @property
    def query(self) -> list[Record]:
        """Of the first trial."""
        return self.trials[0][0]

    @property
    def gallery(self) -> list[Record]:
        """Of the first trial."""
        return self.trials[0][1]


@dataclass(frozen=True)
class TrainPhotos:
    """Photos of a training run.

    Args:
        train: located.
        num_classes: individuals of the train list, also those whose photos were skipped as missing.
        root: folder that the train photos are in.
        validation: None where there is no validation list.
    """

    train: list[Record]
    num_classes: int
    root: str
    validation: TestPhotos | None

    @property
    def query(self) -> list[Record]:
        """The validation's, [] without one."""
        return self.validation.query if self.validation else []

    @property
    def gallery(self) -> list[Record]:
        """The validation's, [] without one."""
        return self.validation.gallery if self.validation else []


def as_photos(*lists: NamedRecords) -> list[list[Record]]:
    """Return the records of lists that are compared with each other.

    In the result a path is a file, and ``Record.photo`` is a photo: ``copy_of`` says whose bytes
    are the same.
    """
    spelled = one_spelling(*lists)
    same = same_photos(record.path for record in chain.from_iterable(spelled))

    def mark(record: Record) -> Record:
        first = same[record.path]
        return record if first == record.path else replace(record, copy_of=first)

    return [list(map(mark, records)) for records in spelled]


def one_spelling(*lists: NamedRecords) -> list[list[Record]]:
    """Return the records of lists, each file by the first of its paths, each line once.

    A file may be listed as ``x.jpg``, ``./x.jpg``, ``a/../x.jpg``, by a link, or in another case on
    a disk that ignores it. A line that then says the same as an earlier one of its list is dropped,
    and how many are is logged.
    """
    path_of: dict[Hashable, str] = {}
    spelled = []
    for name, records in lists:
        paths = [path_of.setdefault(_file(record.path), record.path) for record in records]
        named = [
            record if record.path == path else replace(record, path=path)
            for record, path in zip(records, paths, strict=True)
        ]
        times = Counter(named)
        spelled.append(list(times))
        if len(times) < len(named):
            ((example, _),) = times.most_common(1)
            logger.warning(
                '%s: %d of %d lines repeat another and count once, for example %s',
                name,
                len(named) - len(times),
                len(named),
                example.path,
            )
    return spelled


def _file(path: str) -> Hashable:
    try:
        status = os.stat(path)
    except OSError:  # whoever reads it will say so
        return path
    return (
        (status.st_dev, status.st_ino, status.st_size) if status.st_ino else os.path.realpath(path)
    )


def same_photos(paths: Iterable[str]) -> dict[str, str]:
    """Return {path: the path that stands for all files with the same bytes}.

    Files that are empty or cannot be read stand for themselves. Only files of equal size are
    opened, and read to their end only where they begin alike.
    """
    same = {path: path for path in paths}
    candidates = sorted(same)
    for key in (os.path.getsize, partial(_digest, length=HEAD), _digest):  # the cheap ones first
        groups: dict[int | bytes, list[str]] = defaultdict(list)
        for path in candidates:
            with suppress(OSError):  # the loader will say so
                groups[key(path)].append(path)
        groups.pop(0, None)  # an empty file is no photo
        copies = [group for group in groups.values() if len(group) > 1]
        candidates = list(chain.from_iterable(copies))
    for group in copies:
        same |= dict.fromkeys(group, group[0])
    return same


@cache  # a training compares its own lists, then these together with the test's
def _digest(path: str, length: int = -1) -> bytes:
    with open(path, 'rb') as file:
        return hashlib.sha256(file.read(length)).digest()
