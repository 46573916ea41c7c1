"""Random splits: the test has other animals (disjoint) or other encounters (closed)."""

import random
from collections import Counter

from utils.errors import InputError
from wildlife.groups import connected_groups
from wildlife.lists.encounters import Photo
from wildlife.lists.splits import Split, hold_out, identity_noun
from wildlife.words import counted

LEAST = 2  # fewest animals in training, and in the test


def split_disjoint(photos: list[Photo], share: float, rng: random.Random) -> Split:
    """Test on animals that are not trained on; the gallery is the queries.

    Animals that share an encounter stay together. Animals with a single photo have no match and
    are no use for training. They go to the test, since real catalogues contain them too, or are
    skipped if they share an encounter with a training animal.

    Args:
        photos: The photos of all animals.
        share: The share of the animals for the test, in (0, 1).
        rng: The random generator.

    Raises:
        InputError: There are too few animals, or shared encounters connect too many.
    """
    sizes = Counter(photo.identity for photo in photos)
    useful = {photo.animal for photo in photos if sizes[photo.identity] > 1}
    if len(useful) < 2 * LEAST:
        raise InputError(
            f'{len(useful)} of {_animals(photos)} have {_enough(photos)}; --protocol disjoint '
            f'needs four, two for training and two for the test; {_instead_of_disjoint(photos)}'
        )
    wanted = max(LEAST, min(round(share * len(useful)), len(useful) - LEAST))
    groups = connected_groups((photo.animal, photo.unit) for photo in photos)
    rng.shuffle(groups)
    test = _take_groups(groups, useful, wanted)
    count = len(test & useful)
    largest = max(len(group & useful) for group in groups)
    if count < max(LEAST, wanted / 2) or len(useful) - count < LEAST:
        raise InputError(
            f'shared encounters connect {largest} of {counted(len(useful), _noun(photos))}, so '
            f'only {count} can be in the test, not {wanted}; '
            f'{", ".join(_ways_to_separate(photos, useful))}'
        )
    split = _by_animal(photos, test, sizes)
    picked = f'{count} picked at random'
    if len(useful) < len({photo.animal for photo in photos}):
        fewer = len({photo.animal for photo in split.query}) - count
        picked += f' from the {len(useful)} with {_enough(photos)}, and {fewer} with fewer'
    _note_disjoint(split, photos, picked, largest)
    return split


def _take_groups(groups: list[set[str]], useful: set[str], wanted: int) -> set[str]:
    """Take groups in order; skip those that would exceed ``wanted`` useful animals."""
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
    """Return what an animal needs to be useful for training."""
    of_a_flank = identity_noun(photos) == 'flank'
    return 'at least two photos of one flank' if of_a_flank else 'at least two photos'


def _ways_to_separate(photos: list[Photo], useful: set[str]) -> list[str]:
    """Return suggestions for shared encounters that connect too many animals."""
    own = connected_groups(
        (photo.animal, (photo.unit, photo.encounter and photo.animal)) for photo in photos
    )
    ways = [*_shorter(photos), _instead_of_disjoint(photos)]
    if 2 * max(len(group & useful) for group in own) <= len(useful):
        ways.insert(0, '--encounters own gives each individual encounters of its own')
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


def split_for_test(photos: list[Photo]) -> Split:
    """Test on all animals and train on none; the gallery is the queries.

    Raises:
        InputError: There is only one animal.
    """
    if len({photo.animal for photo in photos}) < LEAST:
        raise InputError(
            '--test-share 1: a test needs two individuals or more, but all photos show one; add '
            'photos of others'
        )
    split = Split([], [], photos, photos)
    split.notes.append(f'{_animals(photos)} are all in the test; there are no lists for training')
    return split


def _note_disjoint(split: Split, photos: list[Photo], picked: str, largest: int) -> None:
    """Add notes about the test.

    Args:
        picked: How the animals were picked.
        largest: The size of the largest group.
    """
    tested = {photo.animal for photo in split.query}
    split.notes.append(f'{len(tested)} of {_animals(photos)} are only in the test: {picked}')
    if largest > 1:
        split.notes.append(
            f'{_noun(photos)}s that share an encounter stay together; the largest group has '
            f'{largest}'
        )


def note_all_compared(split: Split) -> None:
    """Add notes about a test in which each photo is compared with all others."""
    split.notes.append('in the test every photo is compared with all others')
    sizes = Counter(photo.identity for photo in split.query)
    single = sum(size == 1 for size in sizes.values())
    if single:
        split.notes.append(
            f'{counted(single, identity_noun(split.query))} in the test with a single photo, '
            'which has no match but is in the gallery of others (--min-photos 2 skips these)'
        )


def split_closed(photos: list[Photo], share: float, rng: random.Random) -> Split:
    """Test on other encounters of the training animals; the gallery is the training photos.

    Args:
        photos: The photos of all animals.
        share: The share of each animal's encounters for the test (of its photos, if it has no known
            encounters), in (0, 1).
        rng: The random generator.

    Raises:
        InputError: Nothing can be held out.
    """
    held = hold_out(photos, share, keep=1, rng=rng)
    rest = [photo for photo in photos if photo not in held]
    query = [photo for photo in photos if photo in held]
    split = Split(rest, [], query, rest)
    identities = {photo.identity for photo in photos}
    noun = counted(len(identities), identity_noun(photos))
    if not query:
        raise InputError(
            f'none of {noun} has two encounters that can be separated (or two photos without '
            'encounters), so nothing can be held out for a test; '
            f'{", ".join([*_shorter(photos), _instead_of_closed(photos)])}'
        )
    split.notes.append(
        'the queries are whole encounters (single photos if none is known) of the training '
        'individuals; the gallery is the photos of training and validation'
    )
    untested = len(identities) - len({photo.identity for photo in query})
    if untested:
        split.notes.append(f'{untested} of {noun} are only in training: nothing could be held out')
    return split


def _shorter(photos: list[Photo]) -> list[str]:
    """Suggest shorter encounters, if any were made from dates; given ones are never changed."""
    dated = any(photo.encounter and photo.encounter[0] != 'given' for photo in photos)
    return ['--encounter-minutes 15 (or less) makes encounters from dates shorter'] if dated else []


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
