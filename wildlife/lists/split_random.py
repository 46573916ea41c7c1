"""Splits by chance: other animals in the test (disjoint), or other encounters of the same."""

import random
from collections import Counter

from utils.errors import InputError
from wildlife.groups import connected
from wildlife.lists.encounters import Photo
from wildlife.lists.splits import Split, hold_out, identity_noun
from wildlife.words import counted

LEAST = 2  # animals to train on, and to test


def split_disjoint(photos: list[Photo], share: float, rng: random.Random) -> Split:
    """Test other animals than those of training; every test photo is compared with all others.

    Animals that share an encounter stay together. Those with a single photo teach nothing and have
    no match: they go to the test, as real catalogues have them too, or are left out where an
    encounter ties them to training.

    Args:
        photos: of all animals.
        share: of the animals for the test, in (0, 1).
        rng: draws.

    Raises:
        InputError: where there are too few animals, or shared encounters connect them.
    """
    sizes = Counter(photo.identity for photo in photos)
    useful = {photo.animal for photo in photos if sizes[photo.identity] > 1}
    if len(useful) < 2 * LEAST:
        raise InputError(
            f'{len(useful)} of {_animals(photos)} have {_enough(photos)}; --protocol disjoint '
            f'needs four, two to train on and two to test; {_instead_of_disjoint(photos)}'
        )
    wanted = max(LEAST, min(round(share * len(useful)), len(useful) - LEAST))
    groups = connected((photo.animal, photo.unit) for photo in photos)
    rng.shuffle(groups)
    test = _take_groups(groups, useful, wanted)
    count = len(test & useful)
    largest = max(len(group & useful) for group in groups)
    if count < max(LEAST, wanted / 2) or len(useful) - count < LEAST:
        raise InputError(
            f'shared encounters tie {largest} of {counted(len(useful), _noun(photos))} together, '
            f'so that {count} can be for the test, not {wanted}; '
            f'{", ".join(_ways_to_part(photos, useful))}'
        )
    split = _by_animal(photos, test, sizes)
    drawn = f'{count} drawn by chance'
    if len(useful) < len({photo.animal for photo in photos}):
        drawn += (
            f' of the {len(useful)} with {_enough(photos)}, and '
            f'{len({photo.animal for photo in split.query}) - count} with fewer'
        )
    _note_disjoint(split, photos, drawn, largest)
    return split


def _take_groups(groups: list[set[str]], useful: set[str], wanted: int) -> set[str]:
    """Take groups in their order, as long as at most ``wanted`` useful animals are in them."""
    taken: set[str] = set()
    for group in groups:
        if len((taken | group) & useful) <= wanted:
            taken |= group
    return taken


def _noun(photos: list[Photo]) -> str:
    return 'animal' if identity_noun(photos) == 'flank' else 'individual'


def _animals(photos: list[Photo]) -> str:
    return counted(len({photo.animal for photo in photos}), _noun(photos))


def _enough(photos: list[Photo]) -> str:
    """What an animal needs to be of use."""
    of_a_flank = identity_noun(photos) == 'flank'
    return 'two photos or more of a flank' if of_a_flank else 'two photos or more'


def _ways_to_part(photos: list[Photo], useful: set[str]) -> list[str]:
    """What to do where shared encounters connect too many animals."""
    own = connected(
        (photo.animal, (photo.unit, photo.encounter and photo.animal)) for photo in photos
    )
    ways = [*_shorter(photos), _instead_of_disjoint(photos)]
    if 2 * max(len(group & useful) for group in own) <= len(useful):
        ways.insert(0, "--encounters own makes an encounter one individual's only")
    return ways


def _by_animal(photos: list[Photo], test: set[str], sizes: Counter[str]) -> Split:
    query = [photo for photo in photos if photo.animal in test]
    split = Split([], [], query, query)
    for photo in photos:
        if photo.animal in test:
            continue
        if sizes[photo.identity] > 1:
            split.train.append(photo)
        else:
            reason = 'only photo of its individual, in an encounter of a train individual'
            split.left_out.append((photo, reason))
    return split


def _note_disjoint(split: Split, photos: list[Photo], drawn: str, largest: int) -> None:
    """Say who is tested. drawn: how many by chance; largest: animals that stay together."""
    tested = {photo.animal for photo in split.query}
    split.notes.append(
        f'{len(tested)} of {_animals(photos)} are for the test alone, where every photo is '
        f'compared with all others: {drawn}'
    )
    sizes = Counter(photo.identity for photo in split.query)
    single = sum(size == 1 for size in sizes.values())
    if single:
        split.notes.append(
            f'{counted(single, identity_noun(photos))} in the test with a single photo: no match, '
            'but others must be told from it (--min-photos 2 leaves such out)'
        )
    if largest > 1:
        split.notes.append(
            f'{_noun(photos)}s of one encounter stay together: the largest such group has {largest}'
        )


def split_closed(photos: list[Photo], share: float, rng: random.Random) -> Split:
    """Test other encounters of the animals trained on; the gallery is what was trained on.

    Args:
        photos: of all animals.
        share: of the encounters of each (of its photos, where none is known), in (0, 1).
        rng: draws.

    Raises:
        InputError: where nothing can be held out.
    """
    held = hold_out(photos, share, keep=1, rng=rng)
    rest = [photo for photo in photos if photo not in held]
    query = [photo for photo in photos if photo in held]
    split = Split(rest, [], query, rest)
    identities = {photo.identity for photo in photos}
    noun = counted(len(identities), identity_noun(photos))
    if not query:
        raise InputError(
            f'none of {noun} has two encounters that could be parted (photos, where none is '
            'known), so nothing can be held out for a test; '
            f'{", ".join([*_shorter(photos), _instead_of_closed(photos)])}'
        )
    split.notes.append(
        'the test looks for whole encounters (single photos where none is known) of individuals '
        'that are trained on, among the photos of training and validation'
    )
    untested = len(identities) - len({photo.identity for photo in query})
    if untested:
        split.notes.append(f'{untested} of {noun} in training only: nothing could be held out')
    return split


def _shorter(photos: list[Photo]) -> list[str]:
    """What to do about long encounters: nothing about those that are given."""
    dated = any(photo.encounter and photo.encounter[0] != 'given' for photo in photos)
    return ['--encounter-minutes 15 (or less) makes those that dates tell shorter'] if dated else []


def _instead_of_disjoint(photos: list[Photo]) -> str:
    identities = {photo.identity for photo in photos}
    if len(identities) > 1 and hold_out(photos, 0.5, keep=1, rng=random.Random(0)):
        return '--protocol closed tests other photos of the same individuals'
    return 'more individuals with several photos (and encounters) each are needed'


def _instead_of_closed(photos: list[Photo]) -> str:
    try:
        split_disjoint(photos, 0.5, random.Random(0))
    except InputError:
        return 'more photos of each individual are needed'
    return '--protocol disjoint compares test photos with each other'
