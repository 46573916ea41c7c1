"""What looks wrong with the lists of a run although it can be trained: told at the start, as
warnings.
"""

import os
from collections import Counter, defaultdict

from datasets.copies import same_photos
from datasets.images import find_turned
from datasets.records import NOBODY
from datasets.sampler import SEEN, choose_batch, draw_epoch

SPLITS = {
    'train',
    'val',
    'test',
    'query',
    'gallery',
    'probe',
}  # folders of a data set, not data sets of their own


def data_warnings(train, validation=(), query=(), gallery=()):
    """Lines to warn of, [] where all is well.

    train, validation, query, gallery: located records of the lists of animals. Photos are the same
    where their bytes are; only files of equal size are opened. Individuals of train and test are
    compared by their folders, as labels are numbered in each list anew, and only where folders and
    labels correspond one to one in both. A gallery of nothing but train and
    validation photos, and distractors, means a closed set, a test that asks for known individuals:
    then query photos alone must be new.
    """
    same = same_photos(
        {record.path for records in (train, validation, query, gallery) for record in records}
    )
    known = {same[record.path] for record in [*train, *validation]}
    shown = [record for record in gallery if record.pid != NOBODY]
    closed = bool(shown) and all(same[record.path] in known for record in shown)
    test = [*query, *gallery]
    lines = [
        *_single_photos(train),
        *_two_labels([*train, *validation], same, 'train and validation lists'),
        *_two_labels(test, same, 'test lists'),
        *_in_train(train, validation, same, 'validation'),
        *_in_train(train, query if closed else test, same, 'query' if closed else 'test'),
        *_turned([*train, *validation, *test]),
        *_encounters_in_both(train, query if closed else test),
    ]
    return lines if closed else [*lines, *_individuals_in_both(train, test)]


def short_epoch(
    labels, batch_size: int, instances: int, seed: int = 0, processes: int = 1
) -> str | None:
    """A line to warn of where epochs of stage 2 show few of the train photos, with the batch to
    choose; else None.

    labels: of the train photos. processes: that share a batch. Raises ``InputError`` where no batch
    can be drawn.
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
        f'{len(labels)} train photos: fewer '
        f'than {now.individuals} individuals have photos left then, as label {largest} has '
        f'{size} of them'
    )
    if best is not now:
        keys = [f'SOLVER.STAGE2.IMS_PER_BATCH {best.batch_size}']
        if best.instances != now.instances:
            keys.append(f'DATALOADER.NUM_INSTANCE {best.instances}')
        line += (
            f'; with {" and ".join(keys)} it ends after step {best.steps} and shows {best.photos}'
        )
    if best.share < SEEN:
        line += f'; to show more, list fewer photos of label {largest} or more of the others'
    return line


def _single_photos(train):
    sizes = Counter(record.pid for record in train)
    single = [f'label {record.pid}: {record.path}' for record in train if sizes[record.pid] == 1]
    if single:
        yield (
            f'{len(single)} of {len(sizes)} train individuals have a single photo '
            f'({_first(single)}): the losses '
            f'compare it with itself; list more photos of them or leave them out'
        )


def _turned(records):
    paths = dict.fromkeys(record.path for record in records)
    turned = find_turned(paths)
    if turned:
        yield (
            f'{len(turned)} of {len(paths)} photos are rotated or mirrored by EXIF only '
            f'({_first(turned)}): they are '
            f'read as stored, as in the published method; tools/make_lists.py stores upright copies'
        )


def _two_labels(records, same, lists):
    labels = defaultdict(dict)  # the first path under each label
    for record in records:
        labels[same[record.path]].setdefault(record.pid, record.path)
    double = [
        ' = '.join(f'{path} (label {label})' for label, path in places.items())
        for places in labels.values()
        if len(places) > 1
    ]
    if double:
        yield (
            f'{len(double)} photos are in the {lists} under two labels, byte for byte '
            f'({_first(double)}): one '
            f'of the labels must be wrong'
        )


def _in_train(train, others, same, name):
    known = {same[record.path]: record.path for record in reversed(train)}
    others = dict.fromkeys(record.path for record in others)
    shared = [
        path if known[same[path]] == path else f'{path} = {known[same[path]]}'
        for path in others
        if same[path] in known
    ]
    if shared:
        yield (
            f'{len(shared)} of {len(others)} {name} photos are train photos too, byte for byte '
            f'({_first(shared)}): results '
            f'on them look better than they are'
        )


def _encounters_in_both(train, test):
    ours, theirs = ({record.encounter for record in records} - {None} for records in (train, test))
    shared = sorted(ours & theirs)
    if shared:
        yield (
            f'{len(shared)} of {len(theirs)} encounters of the test are in the train list too '
            f'({_first([str(number) for number in shared])}): results on them look better than '
            'they are'
        )


def _individuals_in_both(train, test):
    ours, theirs = individuals_by_folder(train), individuals_by_folder(test)
    shared = [name for _, name in sorted(ours & theirs)]
    if shared:
        yield (
            f'{len(shared)} of {len(theirs)} test individuals are train individuals too, by the '
            'names of their folders '
            f'({_first(shared)}): a test should show animals that were never trained on'
        )


def individuals_by_folder(records):
    """{(data set, folder's name)} of the individuals of located records, empty where folders are
    not individuals.

    A number says who it is only within one data set; other names do so everywhere (data set '').
    Distractors are nobody.
    """
    photos = {(record.path, record.pid) for record in records if record.pid != NOBODY}
    pairs = {(_identity(os.path.dirname(path)), pid) for path, pid in photos}
    folders, labels = ({pair[column] for pair in pairs} for column in (0, 1))
    return folders if len(pairs) == len(folders) == len(labels) > 1 else set()


def _identity(folder):
    parent, name = os.path.split(folder)
    if not name.isdigit():
        return '', name
    return (os.path.dirname(parent) if os.path.basename(parent) in SPLITS else parent), name


def _first(texts):
    return ', '.join(texts[:3]) + (' …' if len(texts) > 3 else '')
