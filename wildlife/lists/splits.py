"""Splits into train, validation, query and gallery; encounters are never divided."""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import chain

from wildlife.lists.encounters import Key, Photo

KEPT_IN_TRAIN = 2  # fewest encounters of each individual that validation leaves in training


@dataclass
class Split:
    """The photos of each list.

    Attributes:
        train, val: The photos of the same identities.
        query, gallery: The photos of the test; the same list object if every photo is compared with
            all others.
        left_out: (photo, reason) of each skipped photo.
        notes: Decisions, in words for the report.
    """

    train: list[Photo]
    val: list[Photo]
    query: list[Photo]
    gallery: list[Photo]
    left_out: list[tuple[Photo, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def parts(self) -> dict[str, list[Photo]]:
        """Return {name: photos} of the lists that are not empty."""
        lists = {'train': self.train, 'val': self.val, 'query': self.query, 'gallery': self.gallery}
        return {name: photos for name, photos in lists.items() if photos}


def identity_noun(photos: list[Photo]) -> str:
    """Return 'flank' if left and right are separate identities, else 'individual'."""
    has_flanks = any(photo.identity != photo.animal for photo in photos)
    return 'flank' if has_flanks else 'individual'


def add_validation(split: Split, share: float, rng: random.Random) -> None:
    """Move whole encounters from train to validation; every individual keeps at least two.

    Args:
        split: The split that is changed.
        share: The share of the train photos, in [0, 0.5].
        rng: The random generator.
    """
    limit = round(share * len(split.train))
    held = hold_out(split.train, share, keep=KEPT_IN_TRAIN, rng=rng, limit=limit)
    if held:
        gallery_is_train = split.gallery is split.train
        split.val = [photo for photo in split.train if photo in held]
        split.train = [photo for photo in split.train if photo not in held]
        if gallery_is_train:
            split.gallery = split.train + split.val
    elif share:
        split.notes.append(
            'no validation: no train individual has three encounters (or three photos without '
            'known encounters)'
        )


def hold_out(
    photos: list[Photo], share: float, keep: int, rng: random.Random, limit: int | None = None
) -> set[Photo]:
    """Pick photos at random, in whole units.

    Args:
        photos: The photos to pick from.
        share: The share of each identity's units, in [0, 1]; at least one unit unless it is 0.
        keep: The number of units that every identity keeps.
        rng: The random generator.
        limit: The largest number of photos, None = any; one unit is picked even if it is larger.
    """
    units: dict[Key, list[Photo]] = defaultdict(list)
    owners: dict[Key, set[str]] = defaultdict(set)
    for photo in photos:
        units[photo.unit].append(photo)
        owners[photo.unit].add(photo.identity)
    sizes = Counter(chain.from_iterable(owners.values()))
    wanted = {identity: max(1, round(share * size)) for identity, size in sizes.items()}
    if not share:
        wanted = dict.fromkeys(sizes, 0)
    spare = {identity: size - keep for identity, size in sizes.items()}

    def may_go(unit: Key) -> bool:
        is_wanted = any(wanted[owner] > 0 for owner in owners[unit])
        return is_wanted and all(spare[owner] > 0 for owner in owners[unit])

    # in the order of paths: keys may contain row numbers, which must not matter
    order = list(units)
    rng.shuffle(order)
    held: set[Photo] = set()
    for unit in order:
        if may_go(unit) and (limit is None or len(held) + len(units[unit]) <= limit):
            held |= set(units[unit])
            for owner in owners[unit]:
                wanted[owner] -= 1
                spare[owner] -= 1
    if not held:
        held = set(min((units[unit] for unit in order if may_go(unit)), key=len, default=()))
    return held
