"""Rules about labels: one photo under two labels, and individuals with few photos."""

from collections import Counter
from collections.abc import Iterator
from statistics import median

from datasets.checks import individuals_by_folder, shared_individuals, single_photos, two_labels
from datasets.records import NOBODY
from wildlife.checks.rules.inspection import Finding, Inspection, Item, make_item

IMBALANCE = 10  # photos of the most frequent individual / photos of the median individual


def check_two_labels(data: Inspection) -> Iterator[Finding]:
    """Report files with the same bytes and different labels."""
    items = []
    for splits in (('train', 'validation'), ('query', 'gallery')):
        for uses in two_labels(data.uses(*splits), data.content):
            items.append(make_item(sorted(uses, key=lambda use: use.pid)))
    items += _renamed(data)
    yield Finding('two_labels', len(items), f'{len(items)} photos have more than one label', items)


def _renamed(data: Inspection) -> list[Item]:
    """Find photos in train and test whose two labels contradict the other shared photos.

    Train and test number individuals independently. Photos that are in both show which train
    label and which test label are the same individual; the majority of photos decides.
    """
    shared = []
    for uses in data.by_content.values():
        train = [use for use in uses if use.numbering == 'train'][:1]
        test = [use for use in uses if use.numbering == 'test'][:1]
        if train and test and test[0].pid != NOBODY:
            shared.append((train[0], test[0]))
    counts = Counter((train.pid, test.pid) for train, test in shared)
    test_label: dict[int, int] = {}  # train label -> test label that shares most photos with it
    train_label: dict[int, int] = {}
    for (train_pid, test_pid), _ in counts.most_common():
        test_label.setdefault(train_pid, test_pid)
        train_label.setdefault(test_pid, train_pid)
    items = []
    for train_use, test_use in shared:
        train_pid, test_pid = train_use.pid, test_use.pid
        if (test_label[train_pid], train_label[test_pid]) != (test_pid, train_pid):
            text = (
                f'by other photos, train label {train_pid} is test label {test_label[train_pid]}, '
                f'and test label {test_pid} is train label {train_label[test_pid]}'
            )
            items.append(make_item([train_use, test_use], text))
    return items


def check_known(data: Inspection) -> Iterator[Finding]:
    """Report individuals that are in both training and the test."""
    if data.gallery_is_known:
        yield Finding('closed', 1, 'all gallery photos are train or validation photos')
    if data.closed or data.lists.official:
        return
    test = data.uses('query', 'gallery')
    shared = shared_individuals(data.uses('train'), test)
    yield Finding(
        'known',
        len(shared),
        f'{len(shared)} of {len(individuals_by_folder(test))} test individuals are also in the '
        'train list, according to the names of their folders',
        [make_item([], name) for name in shared],
    )


def check_individuals(data: Inspection) -> Iterator[Finding]:
    """Report train individuals with few photos, or with far more than the others."""
    train = data.uses('train')
    if not train:
        return
    first = {use.pid: use for use in reversed(train)}
    counts = Counter(use.pid for use in train)
    single = [make_item([use], '1 photo') for use in single_photos(train)]
    text = f'{len(single)} of {len(counts)} train individuals have one photo'
    yield Finding('single', len(single), text, single)
    loader = data.cfg.DATALOADER
    instances = loader.NUM_INSTANCE if loader.SAMPLER == 'softmax_triplet' else 1
    few = [
        make_item([first[pid]], f'{count} photos')
        for pid, count in sorted(counts.items())
        if 1 < count < instances
    ]
    text = f'{len(few)} of {len(counts)} train individuals have 2 to {instances - 1} photos'
    yield Finding('few', len(few), text, few)
    yield from _imbalance(counts)


def _imbalance(counts: Counter[int]) -> Iterator[Finding]:
    sizes = sorted(counts.values(), reverse=True)
    middle = median(sizes)
    if sizes[0] > IMBALANCE * middle:
        ((largest, _),) = counts.most_common(1)
        top = max(1, len(sizes) // 10)
        yield Finding(
            'imbalance',
            1,
            f'label {largest} has {sizes[0]} photos, the median individual has {middle:g}; the '
            f'top {top} of {len(sizes)} individuals have {sum(sizes[:top]) / sum(sizes):.0%} '
            'of the train photos',
        )
