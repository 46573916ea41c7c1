"""Rules about photos and encounters in more than one place: leaks and copies."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np

from datasets.checks import shared_encounters, shared_photos
from wildlife.checks.photos import BITS, near_pairs
from wildlife.checks.rules.inspection import Finding, Inspection, Use, counts_text, make_item
from wildlife.groups import clusters

MAX_PAIRS = 200_000  # pairs per check that are grouped and shown; further ones are only counted


def check_leaks(data: Inspection) -> Iterator[Finding]:
    """Report train photos whose bytes are also in validation or the test."""
    pairs = []
    for split in data.held_out:
        pairs += shared_photos(data.uses('train'), data.uses(split), data.content)
    groups = _by_train_photo(pairs)
    counts = Counter(use.split for _, *others in groups for use in others)
    text = f'{len(groups)} train photos have exact copies: {counts_text(counts)}'
    yield Finding('leak', len(groups), text, [make_item(group) for group in groups])


def check_encounters(data: Inspection) -> Iterator[Finding]:
    """Report encounters with photos in both training and validation or the test."""
    total = len({use.encounter for use in data.uses(*data.lists.splits)} - {None})
    for check, splits in (
        ('encounter_validation', ('validation',)),
        ('encounter_leak', ('query', 'gallery')),
    ):
        pairs = []
        for split in splits:
            if split in data.held_out:
                pairs += shared_encounters(data.uses('train'), data.uses(split))
        items = [make_item(group) for group in _by_train_photo(pairs)]
        yield Finding(check, len(items), f'{len(items)} of {total} encounters', items)


def _by_train_photo(pairs: Iterable[tuple[Use, Use]]) -> list[list[Use]]:
    """Return each train photo with its first partner in each split."""
    partners: dict[Use, dict[str, Use]] = defaultdict(dict)
    for train, other in pairs:
        partners[train].setdefault(other.split, other)
    return [[train, *first.values()] for train, first in partners.items()]


def check_copies(data: Inspection) -> Iterator[Finding]:
    """Report copies of queries in the gallery, and copies of a photo within one list."""
    copies, repeated = [], []
    for uses in data.by_content.values():
        individuals = defaultdict(list)
        for use in uses:
            individuals[use.numbering, use.pid].append(use)
        for group in individuals.values():
            query = {use.path for use in group if use.split == 'query'}
            gallery = {use.path for use in group if use.split == 'gallery'}
            if query and gallery and len(query | gallery) > 1 and not data.lists.official:
                copies.append(make_item(dict.fromkeys(group)))
            elif max(Counter(use.split for use in group).values()) > 1:
                repeated.append(make_item(dict.fromkeys(group)))
    yield Finding('copies', len(copies), f'{len(copies)} photos', copies)
    yield Finding('repeated', len(repeated), f'{len(repeated)} photos', repeated)


class _PairKinds:
    """Assigns pairs of near-duplicates to the checks that report them.

    Args:
        nodes: (N,) uses of each photo.
        held_out: Splits that must not contain a photo of the train list.
    """

    def __init__(self, nodes: Sequence[Sequence[Use]], held_out: Collection[str]) -> None:
        def column(value: Callable[[Use], int]) -> np.ndarray:
            """Return (N,) the largest value among the uses of each photo."""
            return np.array([max(map(value, uses)) for uses in nodes], dtype=np.int64)

        self.labels = [
            column(lambda use: use.pid if use.numbering == 'train' else -1),
            column(lambda use: use.pid if use.numbering == 'test' else -1),
        ]
        self.encounter = column(lambda use: -1 if use.encounter is None else use.encounter)
        self.train = column(lambda use: use.split == 'train') > 0
        self.held_out = column(lambda use: use.split in held_out) > 0

    def of(self, i: np.ndarray, j: np.ndarray) -> dict[str, np.ndarray]:
        """Assign pairs to checks.

        Args:
            i: (M,) index of the first photo of each pair.
            j: (M,) index of the second photo of each pair.

        Returns:
            Check -> (M,) bool, True for the pairs that it reports.
        """
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


def check_near(data: Inspection) -> Iterator[Finding]:
    """Report pairs of near-duplicates: photos with different bytes and similar pictures."""
    nodes, photos = [], []
    for uses in data.by_content.values():
        photo = data.photos[uses[0].path]
        if photo.phash and not photo.blank:
            nodes.append(uses)
            photos.append(photo)
    kinds = _PairKinds(nodes, data.held_out)
    counts = Counter[str]()
    shown: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for i, j, distance in near_pairs(photos, data.limits.near):
        for check, chosen in kinds.of(i, j).items():
            counts[check] += int(chosen.sum())
            room = MAX_PAIRS - len(shown[check])
            triples = np.stack([i[chosen], j[chosen], distance[chosen]], axis=1)
            shown[check] += triples[:room].tolist()
    bursts = counts.pop('bursts', 0)
    yield Finding('bursts', bursts, f'{bursts} pairs of photos')
    for check, count in counts.items():
        yield _groups(check, count, shown[check], nodes)


def _groups(
    check: str, count: int, pairs: list[tuple[int, int, int]], nodes: list[list[Use]]
) -> Finding:
    """Return a finding with one item for each group of photos that the pairs connect."""
    nearest: dict[int, int] = {}  # photo -> distance to its nearest partner
    for i, j, distance in pairs:
        nearest[i] = min(distance, nearest.get(i, BITS))
        nearest[j] = min(distance, nearest.get(j, BITS))
    items = []
    for group in clusters((i, j) for i, j, _ in pairs):
        least = min(nearest[node] for node in group)
        items.append(
            make_item([nodes[node][0] for node in group], f'{least} of {BITS} bits differ')
        )
    return Finding(check, count, f'{count} pairs of photos in {len(items)} groups', items)
