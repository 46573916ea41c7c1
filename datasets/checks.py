"""Rules that find what looks wrong in the lists of a run, although they can be used.

Each rule is defined here once and returns the records that break it: ``data_warnings`` logs them
at the start of a run, and ``wildlife.checks`` shows them on a page. Rules that compare photos take
``content``: {path: a value that files with the same bytes share}, as returned by
``datasets.photos.same_photos``.
"""

import contextlib
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TypeVar

from yacs.config import CfgNode

from datasets.images import find_turned
from datasets.loaders import Loaders, TestSet
from datasets.photos import same_photos
from datasets.records import NOBODY, Record, individuals
from datasets.sampler import SEEN, choose_batch, draw_epoch
from datasets.sources import load_test
from utils.errors import InputError
from utils.logger import logger
from utils.words import first_few

Content = Mapping[str, Hashable]
Suspicion = tuple[list[str], str, str]  # what breaks a rule, the rule, the consequence
Listed = TypeVar('Listed', bound=Record)

# Folders with these names are splits of a data set, not data sets
SPLITS = {'train', 'val', 'test', 'query', 'gallery', 'probe'}


def warn_of_training(cfg: CfgNode, loaders: Loaders) -> None:
    """Warn about suspicious photos and labels in the training lists, and test lists if they exist.

    Official sets number the folders of each part separately, so only lists of animals are checked.
    """
    if cfg.DATASETS.NAMES != 'animals':
        return
    train = loaders.train_loader_stage1.dataset.records
    validation = loaders.validation.query if loaders.validation else []
    query, gallery = list[Record](), list[Record]()
    with contextlib.suppress(InputError):
        test = load_test(cfg)
        query, gallery = test.query, test.gallery
    for line in data_warnings(train, validation, query, gallery):
        logger.warning('%s', line)


def warn_of_test(test: TestSet) -> None:
    """Log warnings about suspicious photos and labels in the test lists."""
    for line in data_warnings((), query=test.query, gallery=test.gallery):
        logger.warning('%s', line)


def data_warnings(
    train: Sequence[Record],
    validation: Sequence[Record] = (),
    query: Sequence[Record] = (),
    gallery: Sequence[Record] = (),
) -> list[str]:
    """Return the warnings about the located records of animals' lists, [] if all is well.

    In a closed set (see ``is_closed_set``) only the query photos must be new.
    """
    test = [*query, *gallery]
    paths = {record.path: record for record in chain(train, validation, test)}
    content = same_photos(paths)
    closed = is_closed_set([*train, *validation], gallery, content)
    held_out = query if closed else test
    suspicions = [
        _single_photos(train),
        _two_labels([*train, *validation], content, 'train and validation lists'),
        _two_labels(test, content, 'test lists'),
        _leaks(train, validation, content, 'validation'),
        _leaks(train, held_out, content, 'query' if closed else 'test'),
        _turned_photos(paths),
        _shared_encounters(train, held_out),
        _shared_individuals(train, [] if closed else test),
    ]
    return [
        f'{len(found)} {what} ({first_few(found)}): {meaning}'
        for found, what, meaning in suspicions
        if found
    ]


def is_closed_set(known: Iterable[Record], gallery: Iterable[Record], content: Content) -> bool:
    """Return whether a test asks for known individuals: all its gallery photos are known.

    Args:
        known: The records of the train and validation lists.
        gallery: The records of the test's gallery; distractors do not count.
        content: See the module.
    """
    contents = {content[record.path] for record in known}
    shown = [record for record in gallery if record.pid != NOBODY]
    return bool(shown) and all(content[record.path] in contents for record in shown)


def single_photos(train: Sequence[Listed]) -> list[Listed]:
    """Return the photo of each train individual that has only one."""
    photos = Counter(record.pid for record in train)
    return [record for record in train if photos[record.pid] == 1]


def two_labels(records: Iterable[Listed], content: Content) -> list[list[Listed]]:
    """Return the first record of each label, for each photo with several labels.

    Args:
        records: The records of lists that number individuals in the same way.
        content: See the module.
    """
    by_label: dict[Hashable, dict[int, Listed]] = defaultdict(dict)
    for record in records:
        by_label[content[record.path]].setdefault(record.pid, record)
    return [list(labels.values()) for labels in by_label.values() if len(labels) > 1]


def shared_photos(
    train: Sequence[Listed], others: Sequence[Listed], content: Content
) -> list[tuple[Listed, Listed]]:
    """Return (train record, other record) for each file in ``others`` that is a train photo."""
    of_train = {content[record.path]: record for record in reversed(train)}  # the first of each
    listed = {record.path: record for record in others}.values()
    shared = [record for record in listed if content[record.path] in of_train]
    return [(of_train[content[record.path]], record) for record in shared]


def shared_encounters(
    train: Sequence[Listed], others: Sequence[Listed]
) -> list[tuple[Listed, Listed]]:
    """Return the first train record and the first other record of each encounter in both."""
    of_train = {record.encounter: record for record in reversed(train)}
    of_others = {record.encounter: record for record in reversed(others)}
    shared = [number for number in of_train.keys() & of_others.keys() if number is not None]
    return [(of_train[number], of_others[number]) for number in sorted(shared)]


def shared_individuals(train: Iterable[Record], test: Iterable[Record]) -> list[str]:
    """Return the folder names of the test individuals that are also in the train list.

    Individuals are compared by their folders, because each list has its own labels.
    """
    return [name for _, name in sorted(individuals_by_folder(train) & individuals_by_folder(test))]


def individuals_by_folder(records: Iterable[Record]) -> set[tuple[str, str]]:
    """Return {(data set, folder name)} of the individuals, empty if folders are not individuals.

    Folders are individuals if folders and labels correspond one to one. A number identifies an
    individual only within its data set; other names identify it everywhere (data set ''). Photos
    of distractors do not count.
    """
    photos = {(record.path, record.pid) for record in records if record.pid != NOBODY}
    pairs = {(_identity(os.path.dirname(path)), pid) for path, pid in photos}
    folders = {folder for folder, _ in pairs}
    labels = {pid for _, pid in pairs}
    return folders if len(pairs) == len(folders) == len(labels) > 1 else set()


def short_epoch(
    labels: Sequence[int], batch_size: int, instances: int, seed: int = 0, processes: int = 1
) -> str | None:
    """Return a warning if epochs of stage 2 show few of the train photos, else None.

    Args:
        labels: The labels of the train photos.
        batch_size: The number of photos in a batch, over all processes.
        instances: The number of photos of each individual in a batch.
        seed: The seed of the epoch's order.
        processes: The number of processes that share a batch.

    Raises:
        InputError: No batch can be drawn.
    """
    now = draw_epoch(labels, batch_size // instances, instances, seed)
    if now.share >= SEEN:
        return None
    best = now
    while best.share < SEEN and 2 * instances <= batch_size:
        choice = choose_batch(labels, batch_size // instances, instances, seed, processes)
        best = max(best, choice, key=lambda epoch: epoch.photos)
        instances *= 2
    ((largest, size),) = Counter(labels).most_common(1)
    line = (
        f'an epoch of stage 2 ends after step {now.steps} and shows {now.photos} of '
        f'{len(labels)} train photos: after it, fewer than {now.individuals} individuals have '
        f'photos left, because label {largest} has {size} of them'
    )
    if best is not now:
        batch_size = best.individuals * best.instances
        line += (
            f'; with SOLVER.STAGE2.IMS_PER_BATCH {batch_size} and DATALOADER.NUM_INSTANCE '
            f'{best.instances} it ends after step {best.steps} and shows {best.photos}'
        )
    if best.share < SEEN:
        line += f'; to show more, list fewer photos of label {largest} or more of the others'
    return line


def _single_photos(train: Sequence[Record]) -> Suspicion:
    return (
        [f'label {record.pid}: {record.path}' for record in single_photos(train)],
        f'of {individuals(train)} train individuals have a single photo',
        'the losses compare it with itself; list more photos of them, or remove them',
    )


def _two_labels(records: Sequence[Record], content: Content, lists: str) -> Suspicion:
    return (
        [_name_labels(labels) for labels in two_labels(records, content)],
        f'photos are in the {lists} under two labels, as identical files',
        'one of the labels must be wrong',
    )


def _name_labels(records: list[Record]) -> str:
    return ' = '.join(f'{record.path} (label {record.pid})' for record in records)


def _leaks(
    train: Sequence[Record], others: Sequence[Record], content: Content, name: str
) -> Suspicion:
    pairs = shared_photos(train, others, content)
    return (
        [' = '.join(dict.fromkeys([other.path, record.path])) for record, other in pairs],
        f'of {len({record.path for record in others})} {name} photos are train photos too, as '
        'identical files',
        'results on them look better than they are',
    )


def _turned_photos(paths: Collection[str]) -> Suspicion:
    return (
        find_turned(paths),
        f'of {len(paths)} photos are rotated or mirrored by EXIF only',
        'they are read as stored, as in the published method; tools/make_lists.py stores upright '
        'copies',
    )


def _shared_encounters(train: Sequence[Record], test: Sequence[Record]) -> Suspicion:
    return (
        [str(record.encounter) for record, _ in shared_encounters(train, test)],
        f'of {len({record.encounter for record in test} - {None})} encounters of the test are in '
        'the train list too',
        'results on them look better than they are',
    )


def _shared_individuals(train: Sequence[Record], test: Sequence[Record]) -> Suspicion:
    return (
        shared_individuals(train, test),
        f'of {len(individuals_by_folder(test))} test individuals are train individuals too, by '
        'the names of their folders',
        'a test should show animals that were never trained on',
    )


def _identity(folder: str) -> tuple[str, str]:
    parent, name = os.path.split(folder)
    if not name.isdigit():
        return '', name
    return (os.path.dirname(parent) if os.path.basename(parent) in SPLITS else parent), name
