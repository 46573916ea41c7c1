"""The photos of a training run or a test: one path per file, with copies marked."""

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

HEAD = 16384  # number of bytes at the start of a file that are compared first
Trial = tuple[list[Record], list[Record]]  # (query, gallery)
NamedRecords = tuple[str, Sequence[Record]]  # (name of a list, its located records)


@dataclass(frozen=True)
class TestPhotos:
    """Photos of a test, or of the validation during training.

    Args:
        trials: (query, gallery) of located records; one trial, or ten for VehicleID, whose results
            are averaged.
        protocol: How rankings are evaluated.
        root: The folder of the photos.
    """

    trials: list[Trial]
    protocol: Protocol
    root: str

    @property
    def query(self) -> list[Record]:
        """The queries of the first trial."""
        return self.trials[0][0]

    @property
    def gallery(self) -> list[Record]:
        """The gallery of the first trial."""
        return self.trials[0][1]


@dataclass(frozen=True)
class TrainPhotos:
    """Photos of a training run.

    Args:
        train: The located records.
        num_classes: The number of individuals in the train list, even if all photos of one were
            skipped as missing.
        root: The folder of the train photos.
        validation: The photos of the validation; None if there is no validation list.
    """

    train: list[Record]
    num_classes: int
    root: str
    validation: TestPhotos | None

    @property
    def query(self) -> list[Record]:
        """The queries of the validation, [] without one."""
        return self.validation.query if self.validation else []

    @property
    def gallery(self) -> list[Record]:
        """The gallery of the validation, [] without one."""
        return self.validation.gallery if self.validation else []


def as_photos(*lists: NamedRecords) -> list[list[Record]]:
    """Return the records of lists so that photos can be compared.

    In the result each file has one path, and files with the same bytes have the same
    ``Record.photo``.
    """
    spelled = one_spelling(*lists)
    same = same_photos(record.path for record in chain.from_iterable(spelled))

    def mark(record: Record) -> Record:
        first = same[record.path]
        return record if first == record.path else replace(record, copy_of=first)

    return [list(map(mark, records)) for records in spelled]


def one_spelling(*lists: NamedRecords) -> list[list[Record]]:
    """Return the records of lists, each file under the first of its paths, each line once.

    A file may be listed as ``x.jpg``, ``./x.jpg``, ``a/../x.jpg``, through a link, or in upper case
    on a disk that ignores case. Lines that then repeat an earlier line of their list are skipped,
    and their number is logged.
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
                '%s: %d of %d lines repeat an earlier line and are skipped, for example %s',
                name,
                len(named) - len(times),
                len(named),
                example.path,
            )
    return spelled


def _file(path: str) -> Hashable:
    try:
        status = os.stat(path)
    except OSError:  # reported when the photo is read
        return path
    return (
        (status.st_dev, status.st_ino, status.st_size) if status.st_ino else os.path.realpath(path)
    )


def same_photos(paths: Iterable[str]) -> dict[str, str]:
    """Return {path: the path that represents all files with the same bytes}.

    Empty and unreadable files represent themselves. Only files of equal size are opened, and only
    those with the same start are read to the end.
    """
    same = {path: path for path in paths}
    candidates = sorted(same)
    for key in (os.path.getsize, partial(_digest, length=HEAD), _digest):  # the cheapest first
        groups: dict[int | bytes, list[str]] = defaultdict(list)
        for path in candidates:
            with suppress(OSError):  # the loader reports it
                groups[key(path)].append(path)
        groups.pop(0, None)  # skip empty files, which are no photos
        copies = [group for group in groups.values() if len(group) > 1]
        candidates = list(chain.from_iterable(copies))
    for group in copies:
        same |= dict.fromkeys(group, group[0])
    return same


def _digest(path: str, length: int = -1) -> bytes:
    return _digest_at(os.stat(path).st_mtime_ns, path, length)


@cache  # a training run compares its own lists, then all lists together
def _digest_at(_: int, path: str, length: int) -> bytes:
    with open(path, 'rb') as file:
        return hashlib.sha256(file.read(length)).digest()
