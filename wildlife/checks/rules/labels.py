"""Rules about labels: one photo as two individuals, and individuals with few photos."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from statistics import median

from datasets.checks import individuals_by_folder
from datasets.records import NOBODY
from wildlife.checks.rules.inspection import Finding, Inspection, Item, Use, make_item

IMBALANCE = 10  # photos of the largest individual / of the median one


def check_two_labels(data: Inspection) -> Iterator[Finding]:
    """The same bytes under two labels."""
    items = []
    for uses in data.by_content.values():
        for numbering in ('train', 'test'):
            labels = {use.pid: use for use in reversed(uses) if use.numbering == numbering}
            if len(labels) > 1:
                items.append(make_item([labels[pid] for pid in sorted(labels)]))
    items += _renamed(data)
    yield Finding('two_labels', len(items), f'{len(items)} photos have more than one label', items)


def _renamed(data: Inspection) -> list[Item]:
    """Photos in train and test whose two labels are two individuals by the other such photos."""
    shared = []
    for uses in data.by_content.values():
        train = [use for use in uses if use.numbering == 'train'][:1]
        test = [use for use in uses if use.numbering == 'test'][:1]
        if train and test and test[0].pid != NOBODY:
            shared.append((train[0], test[0]))
    counts = Counter((train.pid, test.pid) for train, test in shared)
    test_label: dict[int, int] = {}  # of each train label, by most photos
    train_label: dict[int, int] = {}
    for (train_pid, test_pid), _ in counts.most_common():
        test_label.setdefault(train_pid, test_pid)
        train_label.setdefault(test_pid, train_pid)
    items = []
    for train_use, test_use in shared:
        train_pid, test_pid = train_use.pid, test_use.pid
        if (test_label[train_pid], train_label[test_pid]) != (test_pid, train_pid):
            text = (
                f'other photos: train label {train_pid} is test label {test_label[train_pid]}, '
                f'test label {test_pid} is train label {train_label[test_pid]}'
            )
            items.append(make_item([train_use, test_use], text))
    return items


def check_known(data: Inspection) -> Iterator[Finding]:
    """Individuals that are both trained on and tested."""
    if data.gallery_is_known:
        yield Finding('closed', 1, 'all gallery photos are train or validation photos')
    if data.closed or data.lists.official:
        return
    trained = individuals_by_folder(data.records('train'))
    tested = individuals_by_folder([*data.records('query'), *data.records('gallery')])
    shared = sorted(trained & tested)
    yield Finding(
        'known',
        len(shared),
        f'{len(shared)} of {len(tested)} test individuals are in the train list too, by '
        'the names of their folders',
        [make_item([], name) for _, name in shared],
    )


def check_individuals(data: Inspection) -> Iterator[Finding]:
    """Train individuals with few photos, or with far more than the others."""
    photos: dict[int, list[str]] = defaultdict(list)
    for record in data.records('train'):
        photos[record.pid].append(record.path)
    if not photos:
        return
    loader = data.cfg.DATALOADER
    instances = loader.NUM_INSTANCE if loader.SAMPLER == 'softmax_triplet' else 1
    for check, what, sizes in (
        ('single', 'one photo', range(1, 2)),
        ('few', f'2 to {instances - 1} photos', range(2, instances)),
    ):
        items = [
            make_item([Use(paths[0], 'train', pid)], f'{len(paths)} photos')
            for pid, paths in sorted(photos.items())
            if len(paths) in sizes
        ]
        text = f'{len(items)} of {len(photos)} train individuals have {what}'
        yield Finding(check, len(items), text, items)
    yield from _imbalance({pid: len(paths) for pid, paths in photos.items()})


def _imbalance(counts: dict[int, int]) -> Iterator[Finding]:
    sizes = sorted(counts.values(), reverse=True)
    middle = median(sizes)
    if sizes[0] > IMBALANCE * middle:
        largest = max(counts, key=lambda pid: counts[pid])
        top = max(1, len(sizes) // 10)
        yield Finding(
            'imbalance',
            1,
            f'label {largest} has {sizes[0]} photos, the median individual {middle:g}; the '
            f'top {top} of {len(sizes)} individuals have {sum(sizes[:top]) / sum(sizes):.0%} '
            'of the train photos',
        )
