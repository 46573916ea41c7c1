"""Who goes where: identities, encounters, and splits that never cut an encounter in two. For
tools/make_lists.py.
"""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta

from utils.errors import InputError
from wildlife.groups import connected
from wildlife.lists.columns import SPLITS
from wildlife.lists.sources import Sighting
from wildlife.words import counted

SIDES = {0: 'left', 1: 'right'}
BREAK = timedelta(hours=1)  # after which another day is another encounter
KEPT_IN_TRAIN = 2  # encounters that validation leaves every individual


@dataclass(frozen=True)
class Photo:
    """A photo of one identity.

    path: in the lists. animal: the individual's name. identity: what is told apart, an animal or
    one flank of it.
    encounter: a key, None = unknown. unit: what no split may cut: the encounter, else the file.
    """

    sighting: Sighting
    path: str
    identity: str
    encounter: tuple | None
    unit: tuple

    @property
    def animal(self):
        return self.sighting.identity


@dataclass
class Split:
    """train, val: photos of the same identities. query, gallery: of the test, one and the same list
    where every photo is compared with all others. left_out: (photo, reason). notes: what was
    decided, in words.
    """

    train: list
    val: list
    query: list
    gallery: list
    left_out: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    def parts(self):
        """{name: photos} of the lists that are not empty."""
        lists = {'train': self.train, 'val': self.val, 'query': self.query, 'gallery': self.gallery}
        return {name: photos for name, photos in lists.items() if photos}


# ---------------------------------------------------------------- identities and encounters


def make_photos(sightings, paths, sides='together', encounters='shared', minutes=0.0):
    """``Photo`` of each sighting.

    paths: theirs in the lists. sides: 'separate' = left and right of an animal are two identities
    (the caller has left out photos without a side). encounters: 'own' = an encounter is one
    individual's only. minutes: between photos of one encounter, 0 = a camera's day is one, and a
    night that goes on past midnight; for those that no source tells.
    """
    keys = _encounters(sightings, minutes)
    if (
        encounters == 'shared'
    ):  # two animals on one photo were there at the same moment, whatever else is known
        joined = {
            key: min(keys)
            for keys in connected(zip(keys, (sighting.path for sighting in sightings)))
            for key in keys
        }
        keys = [joined.get(key) for key in keys]
    photos = []
    for sighting, path, key in zip(sightings, paths, keys):
        if encounters == 'own' and key is not None:
            key = (*key, sighting.identity)
        identity = (
            f'{sighting.identity} {SIDES[sighting.side]}'
            if sides == 'separate'
            else sighting.identity
        )
        photos.append(Photo(sighting, path, identity, key, key or ('photo', sighting.path)))
    return photos


def _encounters(sightings, minutes):
    """What is given; else a camera's photos of one day or less than an hour apart, or with
    ``minutes`` those less than so far apart. Without a camera nobody knows who else was there, so
    they are one individual's; without a date nothing is known (None).
    """
    keys, dated = [], defaultdict(list)
    for number, sighting in enumerate(sightings):
        place = ('camera', sighting.camera) if sighting.camera else ('animal', sighting.identity)
        keys.append(('given', sighting.encounter) if sighting.encounter else None)
        if not sighting.encounter and sighting.date:
            dated[place].append((sighting.date, number))
    for place, moments in dated.items():
        burst, last = 0, None
        for date, number in sorted(moments):
            burst += last is None or (
                date - last >= timedelta(minutes=minutes)
                if minutes
                else date - last >= BREAK and date.date() != last.date()
            )
            last = date
            keys[number] = (*place, str(burst))
    return keys


# ---------------------------------------------------------------- splits


def split_disjoint(photos, share, rng):
    """Other animals in the test than in training; every test photo is compared with all others.

    Animals that share an encounter stay together. Those with a single photo teach nothing and have
    no match: they go to the test, where real catalogues have them too, or are left out where an
    encounter ties them to training.
    """
    groups = connected((photo.animal, photo.unit) for photo in photos)
    animals, flanks = sum(map(len, groups)), _has_flanks(photos)
    noun = 'animal' if flanks else 'individual'
    sizes = Counter(photo.identity for photo in photos)
    useful = {photo.animal for photo in photos if sizes[photo.identity] > 1}
    wanted = max(2, min(round(share * len(useful)), len(useful) - 2))
    enough = 'two photos or more' + ' of a flank' * flanks
    if len(useful) < 4:
        raise InputError(
            f'{len(useful)} of {counted(animals, noun)} have {enough}; --protocol disjoint needs '
            'four, two to '
            f'train on and two to test; {_instead_of_disjoint(photos)}'
        )
    rng.shuffle(groups)
    test, count = set(), 0
    for group in groups:
        more = len(group & useful)
        if count + more <= wanted:
            test |= group
            count += more
    largest = max(len(group & useful) for group in groups)
    if count < max(2, wanted / 2) or len(useful) - count < 2:
        own = connected(
            (photo.animal, (photo.unit, photo.encounter and photo.animal)) for photo in photos
        )
        helps = 2 * max(len(group & useful) for group in own) <= len(useful)
        ways = ["--encounters own makes an encounter one individual's only"] * helps + _shorter(
            photos
        )
        raise InputError(
            f'shared encounters tie {largest} of {counted(len(useful), noun)} together, so that '
            f'{count} can be '
            f'for the test, not {wanted}; {", ".join([*ways, _instead_of_disjoint(photos)])}'
        )
    split = Split([], [], [photo for photo in photos if photo.animal in test], [])
    for photo in photos:
        if photo.animal not in test:
            if sizes[photo.identity] > 1:
                split.train.append(photo)
            else:
                split.left_out.append(
                    (photo, 'only photo of its individual, in an encounter of a train individual')
                )
    split.gallery = split.query
    tested = {photo.animal for photo in split.query}
    single = len({photo.identity for photo in split.query if sizes[photo.identity] == 1})
    fewer = (
        f' of the {len(useful)} with {enough}, and {len(tested) - count} with fewer'
        if len(useful) < animals
        else ''
    )
    split.notes.append(
        f'{len(tested)} of {counted(animals, noun)} are for the test alone, where every photo is '
        'compared with '
        f'all others: {count} drawn by chance{fewer}'
    )
    if single:
        split.notes.append(
            f'{counted(single, "flank" if flanks else "individual")} in the test with a single '
            'photo: no match, '
            'but others must be told from it (--min-photos 2 leaves such out)'
        )
    if largest > 1:
        split.notes.append(
            f'{noun}s of one encounter stay together: the largest such group has {largest}'
        )
    return split


def _has_flanks(photos):
    return any(photo.identity != photo.animal for photo in photos)


def _shorter(photos):
    """What to do about long encounters: nothing about those that are given."""
    dated = any(photo.encounter and photo.encounter[0] != 'given' for photo in photos)
    return ['--encounter-minutes 15 (or less) makes those that dates tell shorter'] if dated else []


def _instead_of_disjoint(photos):
    identities = {photo.identity for photo in photos}
    if len(identities) > 1 and hold_out(photos, 0.5, keep=1, rng=random.Random(0)):
        return '--protocol closed tests other photos of the same individuals'
    return 'more individuals with several photos (and encounters) each are needed'


def _instead_of_closed(photos):
    try:
        split_disjoint(photos, 0.5, random.Random(0))
    except InputError:
        return 'more photos of each individual are needed'
    return '--protocol disjoint compares test photos with each other'


def split_closed(photos, share, rng):
    """Other encounters (photos where none is known) of the same individuals in the test, the
    gallery is what was trained on.
    """
    held = hold_out(photos, share, keep=1, rng=rng)
    rest = [photo for photo in photos if photo not in held]
    query = [photo for photo in photos if photo in held]
    split = Split(rest, [], query, rest)
    identities = {photo.identity for photo in photos}
    noun = 'flank' if _has_flanks(photos) else 'individual'
    untested = len(identities) - len({photo.identity for photo in query})
    if not query:
        raise InputError(
            f'none of {counted(len(identities), noun)} has two encounters that could be parted '
            '(photos, where '
            'none is known), so nothing can be held out for a test; '
            f'{", ".join([*_shorter(photos), _instead_of_closed(photos)])}'
        )
    split.notes.append(
        'the test looks for whole encounters (single photos where none is known) of individuals '
        'that are '
        'trained on, among the photos of training and validation'
    )
    if untested:
        split.notes.append(
            f'{untested} of {counted(len(identities), noun)} in training only: nothing could be '
            'held out'
        )
    return split


def split_by_date(photos, date):
    """Trained on what was seen before ``date``; tested on what was seen from then on. An encounter
    goes where it began.
    """
    begin = {}
    for photo in photos:
        if photo.sighting.date:
            begin[photo.unit] = min(begin.get(photo.unit, photo.sighting.date), photo.sighting.date)
    if not begin:
        raise InputError(
            '--split-date: no photo has a date, in the source or (--exif-dates) in its file; '
            'name the column with '
            '--column date=…'
        )
    split = Split([], [], [], [])
    known = {photo.identity for photo in photos if photo.unit in begin and begin[photo.unit] < date}
    for photo in photos:
        if photo.unit not in begin:
            split.left_out.append((photo, 'without date'))
        elif begin[photo.unit] < date:
            split.train.append(photo)
        elif photo.identity in known:
            split.query.append(photo)
        else:
            split.left_out.append((photo, f'individual first seen from {date:%Y-%m-%d} on'))
    first, last = min(begin.values()), max(begin.values())
    if not split.train or not split.query:
        before = counted(len(split.train), 'photo')
        raise InputError(
            f'--split-date {date:%Y-%m-%d}: {before} before, {len(split.query)} of the same '
            f'individuals from then on; the photos begin at {first:%Y-%m-%d} and end at '
            f'{last:%Y-%m-%d}'
        )
    split.gallery = split.train
    new = len(
        {
            photo.identity
            for photo, reason in split.left_out
            if reason.startswith('individual first')
        }
    )
    split.notes.append(
        f'trained on what was seen before {date:%Y-%m-%d}; the test looks for photos from then '
        'on among those'
    )
    if new:
        noun = 'flank' if _has_flanks(photos) else 'individual'
        split.notes.append(
            f'{counted(new, noun)} first seen from {date:%Y-%m-%d} on: left out, there is no match'
        )
    return split


def split_given(photos):
    """As the source says: train and test, or query and gallery; its validation where it has one."""
    named = defaultdict(list)
    for photo in photos:
        name = photo.sighting.split
        if name and name not in SPLITS.values():
            raise InputError(
                f"{photo.sighting.where}: the split '{name[:40]}' is none of "
                f'{", ".join(SPLITS)}; leave it empty '
                'where a photo belongs to none'
            )
        named[name].append(photo)
    counts = ', '.join(f'{name or "none"} {len(photos)}' for name, photos in sorted(named.items()))
    if not named['train'] or not (named['test'] or (named['query'] and named['gallery'])):
        raise InputError(
            '--protocol given: splits train and test, or train, query and gallery, are needed, '
            'but the source has '
            f'{counts}; choose another --protocol'
        )
    if named['test'] and (named['query'] or named['gallery']):
        raise InputError(
            f'--protocol given: test beside query or gallery ({counts}): which is it? Merge '
            'them, or empty one'
        )
    split = Split(named['train'], [], named['query'], named['gallery'])
    known = {photo.identity for photo in split.train}
    split.left_out += [(photo, 'in no split') for photo in named['']]
    split.left_out += [
        (photo, 'validation photo of an individual without train photos')
        for photo in named['val']
        if photo.identity not in known
    ]
    split.val = [photo for photo in named['val'] if photo.identity in known]
    split.notes.append(f'split as the source says ({counts})')
    if named['test']:
        shared = {photo.identity for photo in named['test']} & known
        everyone = {photo.identity for photo in named['test']}
        if 2 * len(shared) > len(everyone):
            split.query = [photo for photo in named['test'] if photo.identity in known]
            split.left_out += [
                (photo, 'test photo of an individual without train photos')
                for photo in named['test']
                if photo.identity not in known
            ]
            split.gallery = split.train + split.val
            split.notes.append(
                'most test individuals are trained on, so the gallery is the photos trained on'
            )
        else:
            split.query = split.gallery = named['test']
            split.notes.append(
                'test individuals are not trained on, so every test photo is compared with all '
                'others'
            )
            if shared:
                split.notes.append(
                    f'but {len(shared)} of {len(everyone)} test individuals are train '
                    'individuals too'
                )
    cut = {photo.unit for photo in split.train + split.val} & {photo.unit for photo in split.query}
    if cut:
        split.notes.append(
            f'the given split cuts {counted(len(cut), "encounter")} in two: results on them look '
            'better than '
            'they are'
        )
    return split


def add_validation(split, share, rng):
    """Take whole encounters out of the train photos, for validation; every individual keeps two or
    more.
    """
    held = hold_out(
        split.train, share, keep=KEPT_IN_TRAIN, rng=rng, limit=round(share * len(split.train))
    )
    if not held:
        if share:
            split.notes.append(
                'no validation: no train individual has three encounters (or photos, where none '
                'are known)'
            )
        return
    everything = split.gallery is split.train
    split.val = [photo for photo in split.train if photo in held]
    split.train = [photo for photo in split.train if photo not in held]
    if everything:
        split.gallery = split.train + split.val


def hold_out(photos, share, keep, rng, limit=None):
    """Whole units of photos, by chance: of every identity about ``share`` of its units, at least
    one, while ``keep`` are left. At most ``limit`` photos, or one unit where all are larger.
    Returns a set of photos.
    """
    units, of_identity = defaultdict(list), defaultdict(set)
    for photo in photos:
        units[photo.unit].append(photo)
        of_identity[photo.identity].add(photo.unit)
    wanted = {
        identity: max(1, round(share * len(its))) if share else 0
        for identity, its in of_identity.items()
    }
    spare = {identity: len(its) - keep for identity, its in of_identity.items()}

    def may_go(unit):
        owners = {photo.identity for photo in units[unit]}
        return any(wanted[owner] > 0 for owner in owners) and all(
            spare[owner] > 0 for owner in owners
        )

    order = list(units)  # by path: a key may be the row of a table, which is nobody's concern
    rng.shuffle(order)
    held = set()
    for unit in order:
        if may_go(unit) and (limit is None or len(held) + len(units[unit]) <= limit):
            held |= set(units[unit])
            for owner in {photo.identity for photo in units[unit]}:
                wanted[owner] -= 1
                spare[owner] -= 1
    if not held:
        held = set(min((units[unit] for unit in order if may_go(unit)), key=len, default=()))
    return held
