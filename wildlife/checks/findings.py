"""The checks: lists and photos -> findings."""

from collections import Counter, defaultdict
from statistics import median

import numpy as np

from datasets.checks import individuals_by_folder
from datasets.records import NOBODY
from utils.metrics import count_positives
from wildlife.checks.photos import BITS, near_pairs
from wildlife.checks.rules import CHECKS, Finding, Use, item
from wildlife.groups import clusters

MAX_PAIRS = 200_000  # of a kind that are shown in groups; more are counted only
IMBALANCE = 10  # photos of the largest individual / of the median one
SQUEEZE = 2.0  # height / width of the median photo / that of INPUT.SIZE_TRAIN


class _Kinds:
    """Of pairs of photos that are nearly the same: what is wrong with that. nodes: for each photo
    its uses.
    """

    def __init__(self, nodes, held_out):
        def column(of):
            """The largest ``of(use)`` of each node: (N,)."""
            return np.array([max(map(of, uses)) for uses in nodes], dtype=np.int64)

        self.labels = [
            column(lambda use: use.pid if use.numbering == 'train' else -1),
            column(lambda use: use.pid if use.numbering == 'test' else -1),
        ]
        self.encounter = column(lambda use: -1 if use.encounter is None else use.encounter)
        self.train = column(lambda use: use.split == 'train') > 0
        self.held_out = column(lambda use: use.split in held_out) > 0

    def of(self, i, j):
        """i, j: (M,) nodes -> {check: bool (M,)}."""
        known = [(label[i] >= 0) & (label[j] >= 0) for label in self.labels]
        equal = [label[i] == label[j] for label in self.labels]
        differ = (known[0] & ~equal[0]) | (known[1] & ~equal[1])
        leak = (self.train[i] & self.held_out[j]) | (self.train[j] & self.held_out[i])
        same = ((known[0] & equal[0]) | (known[1] & equal[1])) & ~differ & ~leak
        together = (self.encounter[i] == self.encounter[j]) & (self.encounter[i] >= 0)
        return {
            'alike_two_labels': differ,
            'alike_leak': leak,
            'alike': same & ~together,
            'bursts': same & together,
        }


class Inspection:
    """All that the checks look at.

    lists: ``Lists``. photos: {path: ``Photo``} of all its records. near: bits. tiny: pixels.
    closed: the test is meant to show individuals of the train list; so it is where all photos of
    the gallery are train or validation photos.
    """

    def __init__(self, lists, photos, cfg, near, tiny, closed=False):
        self.lists, self.photos, self.cfg, self.near, self.tiny = lists, photos, cfg, near, tiny
        self.paths, self.contents = (
            defaultdict(list),
            defaultdict(list),
        )  # path, or content: its uses
        for split, records in lists.splits.items():
            for record in records:
                use = Use(record.path, split, record.pid, record.encounter)
                self.paths[record.path].append(use)
                self.contents[photos[record.path].content].append(use)
        known, gallery = (
            {
                photos[record.path].content
                for split in splits
                for record in self._records(split)
                if record.pid != NOBODY
            }
            for splits in (('train', 'validation'), ('gallery',))
        )
        self.gallery_is_known = bool(gallery) and gallery <= known
        self.closed = closed or self.gallery_is_known
        self.held_out = (
            {'validation', 'query'} if self.gallery_is_known else {'validation', 'query', 'gallery'}
        )

    def _records(self, split):
        return self.lists.splits.get(split, [])

    def findings(self):
        """List of ``Finding``, in the table's order."""
        checks = (
            self._told,
            self._missing,
            self._pictures,
            self._two_labels,
            self._leaks,
            self._near,
            self._encounters,
            self._known,
            self._positives,
            self._itself,
            self._copies,
            self._shapes,
            self._individuals,
        )
        found = [finding for check in checks for finding in check() if finding.count]
        return sorted(found, key=lambda finding: list(CHECKS).index(finding.check))

    def _told(self):
        for check, lines in (
            ('refused', self.lists.refused),
            ('warned', self.lists.warned),
            ('unchecked', self.lists.notes),
        ):
            yield Finding(check, len(lines), '; '.join(lines), [item([], line) for line in lines])

    def _missing(self):
        missing = {split: paths for split, paths in self.lists.missing.items() if paths}
        counts = ', '.join(
            f'{len(paths)} of {len(paths) + len(self._records(split))} of the {split} list'
            for split, paths in missing.items()
        )
        items = [
            {'text': '', 'photos': [{'path': path, 'split': split}]}
            for split, paths in missing.items()
            for path in paths
        ]
        yield Finding(
            'skipped' if self.cfg.DATASETS.SKIP_MISSING else 'missing', len(items), counts, items
        )

    def _pictures(self):
        def finding(check, what, of, said, photos):
            """of: a function of a ``Photo`` to bool, said: to what is said of it."""
            items = [item(self.paths[photo.path][:1], said(photo)) for photo in photos if of(photo)]
            return Finding(check, len(items), f'{len(items)} of {len(photos)} photos {what}', items)

        everything = self.photos.values()
        readable = [photo for photo in everything if not photo.error]
        unreadable = 'broken_skipped' if self.cfg.DATASETS.SKIP_BROKEN else 'unreadable'
        yield finding(
            unreadable,
            'cannot be read',
            lambda photo: photo.error,
            lambda photo: photo.error,
            everything,
        )
        yield finding(
            'blank', 'have one colour only', lambda photo: photo.blank, lambda photo: '', readable
        )
        yield finding(
            'tiny',
            f'have a side below {self.tiny} pixels',
            lambda photo: min(photo.width, photo.height) < self.tiny,
            lambda photo: f'{photo.width} x {photo.height}',
            readable,
        )
        yield finding(
            'rotated',
            'are turned or mirrored by EXIF only',
            lambda photo: photo.orientation != 1,
            lambda photo: f'orientation {photo.orientation}',
            readable,
        )
        yield finding(
            'transparent',
            'have transparency',
            lambda photo: photo.is_transparent,
            lambda photo: photo.mode,
            readable,
        )
        modes = Counter(photo.mode for photo in readable if photo.mode != 'RGB')
        yield Finding('modes', sum(modes.values()), f'of {len(readable)} photos {_counted(modes)}')

    def _two_labels(self):
        items = []
        for uses in self.contents.values():
            for numbering in ('train', 'test'):
                labels = {use.pid: use for use in reversed(uses) if use.numbering == numbering}
                if len(labels) > 1:
                    items.append(item([labels[pid] for pid in sorted(labels)]))
        items += self._renamed()
        yield Finding(
            'two_labels', len(items), f'{len(items)} photos have more than one label', items
        )

    def _renamed(self):
        """Items of photos in train and test whose two labels are not the same individual by the
        other such photos.
        """
        shared = [
            [
                next((use for use in uses if use.numbering == numbering), None)
                for numbering in ('train', 'test')
            ]
            for uses in self.contents.values()
        ]
        shared = [pair for pair in shared if all(pair) and pair[1].pid != NOBODY]
        counts = Counter((train.pid, test.pid) for train, test in shared)
        test_label, train_label = {}, {}  # of each label of the other numbering, by most photos
        for (train, test), _ in counts.most_common():
            test_label.setdefault(train, test)
            train_label.setdefault(test, train)
        return [
            item(
                pair,
                f'other photos: train label {pair[0].pid} is test label '
                f'{test_label[pair[0].pid]}, test label '
                f'{pair[1].pid} is train label {train_label[pair[1].pid]}',
            )
            for pair in shared
            if (test_label[pair[0].pid], train_label[pair[1].pid]) != (pair[1].pid, pair[0].pid)
        ]

    def _leaks(self):
        items, counts = [], Counter()
        for uses in self.contents.values():
            first = {use.split: use for use in reversed(uses)}
            leaked = [split for split in self.lists.splits if split in self.held_out & first.keys()]
            if 'train' in first and leaked:
                counts.update(leaked)
                items.append(item([first['train'], *map(first.get, leaked)]))
        yield Finding(
            'leak',
            len(items),
            f'{len(items)} train photos, byte for byte: {_counted(counts)}',
            items,
        )

    def _near(self):
        """Pairs of photos that are nearly, and not quite, the same."""
        nodes = [
            uses
            for uses in self.contents.values()
            if self.photos[uses[0].path].phash and not self.photos[uses[0].path].blank
        ]
        kind = _Kinds(nodes, self.held_out)
        pairs, counts = defaultdict(list), Counter()
        for i, j, distance in near_pairs([self.photos[uses[0].path] for uses in nodes], self.near):
            for check, chosen in kind.of(i, j).items():
                counts[check] += int(chosen.sum())
                room = MAX_PAIRS - len(pairs[check])
                pairs[check] += np.stack([i[chosen], j[chosen], distance[chosen]], axis=1)[
                    :room
                ].tolist()
        yield Finding('bursts', counts['bursts'], f'{counts.pop("bursts", 0)} pairs of photos')
        for check, count in counts.items():
            nearest = {}  # of each photo
            for i, j, distance in pairs[check]:
                nearest |= {node: min(distance, nearest.get(node, BITS)) for node in (i, j)}
            items = [
                item(
                    [nodes[node][0] for node in group],
                    f'{min(map(nearest.get, group))} of {BITS} bits differ',
                )
                for group in clusters((i, j) for i, j, _ in pairs[check])
            ]
            yield Finding(check, count, f'{count} pairs of photos in {len(items)} groups', items)

    def _encounters(self):
        places = defaultdict(dict)  # encounter: its first use in each split
        for uses in self.paths.values():
            for use in uses:
                if use.encounter is not None:
                    places[use.encounter].setdefault(use.split, use)
        for check, splits in (
            ('encounter_validation', ['validation']),
            ('encounter_leak', ['query', 'gallery']),
        ):
            items = []
            for _, first in sorted(places.items()):
                others = [
                    first[split] for split in splits if split in first and split in self.held_out
                ]
                if 'train' in first and others:
                    items.append(item([first['train'], *others]))
            yield Finding(check, len(items), f'{len(items)} of {len(places)} encounters', items)

    def _known(self):
        if self.gallery_is_known:
            yield Finding('closed', 1, 'all gallery photos are train or validation photos')
        if self.closed or self.lists.official:
            return
        ours, theirs = (
            individuals_by_folder(records)
            for records in (
                self._records('train'),
                self._records('query') + self._records('gallery'),
            )
        )
        shared = sorted(ours & theirs)
        yield Finding(
            'known',
            len(shared),
            f'{len(shared)} of {len(theirs)} test individuals are in the train list too, by '
            'the names of their folders',
            [item([], name) for _, name in shared],
        )

    def _positives(self):
        query, gallery, protocol = (
            self._records('query'),
            self._records('gallery'),
            self.lists.protocol,
        )
        if not (query and gallery and protocol):
            return
        without = np.flatnonzero(count_positives(query, gallery, protocol) == 0)
        items = [
            item([Use(query[row].path, 'query', query[row].pid, query[row].encounter)])
            for row in without
        ]
        yield Finding(
            'no_positive' if len(without) == len(query) else 'some_without_positive',
            len(without),
            f"{len(without)} of {len(query)} queries, under protocol '{protocol.name}'",
            items,
        )

    def _itself(self):
        """Queries that find themselves, or lose another photo in their place."""
        gallery, protocol = self._records('gallery'), self.lists.protocol
        if (
            not (gallery and protocol)
            or protocol.never_itself
            or (protocol.ignore and not protocol.drop_nearest)
        ):
            return
        query, paths = self._records('query'), {record.path for record in gallery}
        contents = {self.photos[path].content for path in paths}
        if protocol.drop_nearest:
            wrong = [record for record in query if self.photos[record.path].content not in contents]
            what = (
                'are not in the gallery, and the first of their ranking is dropped as if they were'
            )
        else:
            wrong = [record for record in query if record.path in paths]
            what = 'are in the gallery, and nothing is dropped'
        items = [
            item([Use(record.path, 'query', record.pid, record.encounter)]) for record in wrong
        ]
        yield Finding(
            'itself',
            len(items),
            f"{len(items)} of {len(query)} queries {what}, under protocol '{protocol.name}'",
            items,
        )

    def _copies(self):
        """Copies of queries in the gallery, under other names; photos of an individual that one
        list has several times.
        """
        copies, repeated = [], []
        for uses in self.contents.values():
            groups = defaultdict(list)
            for use in uses:
                groups[use.numbering, use.pid].append(use)
            for group in groups.values():
                query, gallery = (
                    {use.path for use in group if use.split == split}
                    for split in ('query', 'gallery')
                )
                if query and gallery and len(query | gallery) > 1 and not self.lists.official:
                    copies.append(item(dict.fromkeys(group)))
                elif max(Counter(use.split for use in group).values()) > 1:
                    repeated.append(item(dict.fromkeys(group)))
        for check, items in (('copies', copies), ('repeated', repeated)):
            yield Finding(check, len(items), f'{len(items)} photos', items)

    def _shapes(self):
        shapes = [
            photo.height / photo.width
            for photo in (self.photos[record.path] for record in self._records('train'))
            if not photo.error
        ]
        height, width = self.cfg.INPUT.SIZE_TRAIN
        if shapes and not 1 / SQUEEZE <= median(shapes) * width / height <= SQUEEZE:
            yield Finding(
                'squeezed',
                1,
                f'the median train photo is {median(shapes):.2f} times as high as wide, '
                f'INPUT.SIZE_TRAIN ({height} x {width}) {height / width:.2f} times',
            )

    def _individuals(self):
        photos = defaultdict(list)
        for record in self._records('train'):
            photos[record.pid].append(record.path)
        if not photos:
            return
        instances = (
            self.cfg.DATALOADER.NUM_INSTANCE
            if self.cfg.DATALOADER.SAMPLER == 'softmax_triplet'
            else 1
        )
        for check, what, few in (
            ('single', 'one photo', range(1, 2)),
            ('few', f'2 to {instances - 1} photos', range(2, instances)),
        ):
            items = [
                item([Use(paths[0], 'train', pid)], f'{len(paths)} photos')
                for pid, paths in sorted(photos.items())
                if len(paths) in few
            ]
            yield Finding(
                check,
                len(items),
                f'{len(items)} of {len(photos)} train individuals have {what}',
                items,
            )
        sizes = sorted(map(len, photos.values()), reverse=True)
        if sizes[0] > IMBALANCE * median(sizes):
            most, top = max(photos, key=lambda pid: len(photos[pid])), max(1, len(sizes) // 10)
            yield Finding(
                'imbalance',
                1,
                f'label {most} has {sizes[0]} photos, the median individual {median(sizes):g}; the '
                f'top {top} of {len(sizes)} individuals have {sum(sizes[:top]) / sum(sizes):.0%} '
                'of the train photos',
            )


def _counted(counter):
    return ', '.join(f'{number} {name}' for name, number in sorted(counter.items()))
