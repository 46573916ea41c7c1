"""Divides the test animals of an open-set test: enrolled ones, and those that stay unknown."""

import random
from collections import defaultdict

from utils.errors import InputError
from wildlife.lists.encounters import Key
from wildlife.lists.splits import Split, hold_out
from wildlife.words import counted

LEAST = 2  # fewest animals on each side
ENROLLED = 0.5  # share of the encounters of an enrolled animal that are in the gallery
REASON = 'photo of an animal that is not enrolled, in an encounter of the gallery'


def split_open(split: Split, share: float, rng: random.Random) -> None:
    """Enrol some of the test animals: half of their encounters become the gallery.

    The queries are their other encounters, and all photos of animals that are never enrolled.
    Animals with a single encounter (single photo, if no encounter is known) are not enrolled.

    Args:
        split: A split with the photos of all test animals as queries; it is changed.
        share: The share of the test animals that is enrolled, in (0, 1).
        rng: The random generator.

    Raises:
        InputError: There are too few animals, or too few with two encounters.
    """
    test, units = split.query, defaultdict[str, set[Key]](set)
    for photo in test:
        units[photo.animal].add(photo.unit)
    repeated = sorted(animal for animal, own in units.items() if len(own) > 1)
    wanted = max(LEAST, min(round(share * len(units)), len(units) - LEAST))
    if len(repeated) < LEAST or len(units) < 2 * LEAST:
        raise InputError(
            f'--protocol open: {len(repeated)} of {counted(len(units), "test animal")} have two '
            'encounters (or two photos without encounters); it needs two to enrol, and two others '
            'that stay unknown: choose a larger --test-share, or add photos'
        )
    known = set(rng.sample(repeated, min(wanted, len(repeated))))
    own = [photo for photo in test if photo.animal in known]
    asked = hold_out(own, 1 - ENROLLED, keep=1, rng=rng)
    gallery = [photo for photo in own if photo not in asked]
    enrolled = {photo.unit for photo in gallery}
    others = [photo for photo in test if photo.animal not in known]
    split.left_out += [(photo, REASON) for photo in others if photo.unit in enrolled]
    asked |= {photo for photo in others if photo.unit not in enrolled}
    split.query, split.gallery = [photo for photo in test if photo in asked], gallery
    split.notes.append(
        f'open set: {len(known)} of {counted(len(units), "test animal")} are enrolled with about '
        'half of their encounters, which are the gallery; the queries are their other encounters '
        f'and all photos of the {len(units) - len(known)} others, which have no match'
    )
