"""Splits: train, validation, query and gallery; what is held out never cuts an encounter."""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import chain

from wildlife.lists.encounters import Key, Photo

KEPT_IN_TRAIN = 2  # encounters that validation leaves every individual


@dataclass
class Split:
    """Who goes where.

    Attributes:
        train, val: photos of the same identities.
        query, gallery: of the test, one and the same list where every photo is compared with all
            others.
        left_out: (photo, reason).
        notes: what was decided, in words.
    """

    train: list[Photo]
    val: list[Photo]
    query: list[Photo]
    gallery: list[Photo]
    left_out: list[tuple[Photo, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def parts(self) -> dict[str, list[Photo]]:
        """{name: photos} of the lists that are not empty."""
        lists = {'train': self.train, 'val': self.val, 'query': self.query, 'gallery': self.gallery}
        return {name: photos for name, photos in lists.items() if photos}


def identity_noun(photos: list[Photo]) -> str:
    """What identities are called: 'flank' where left and right are told apart, or 'individual'."""
    has_flanks = any(photo.identity != photo.animal for photo in photos)
    return 'flank' if has_flanks else 'individual'


def add_validation(split: Split, share: float, rng: random.Random) -> None:
    """Move whole encounters from train to validation; every individual keeps two or more.

    Args:
        split: is changed.
        share: of the train photos, in [0, 0.5].
        rng: draws.
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
            'no validation: no train individual has three encounters (or photos, where none are '
            'known)'
        )


def hold_out(
    photos: list[Photo], share: float, keep: int, rng: random.Random, limit: int | None = None
) -> set[Photo]:
    """Draw whole units of photos.

    Args:
        photos: to draw from.
        share: of the units of each identity, in [0, 1]; at least one unit, unless it is 0.
        keep: units that every identity keeps.
        rng: draws.
        limit: photos at most, or one unit where all are larger; None = no limit.
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

    order = list(units)  # by path: a key may be the row of a table, which is nobody's concern
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
