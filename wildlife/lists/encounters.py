"""Photos as splits see them: who is told apart, and which encounters are never cut in two."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wildlife.groups import connected
from wildlife.lists.sightings import Sighting

SIDES = {0: 'left', 1: 'right'}
BREAK = timedelta(hours=1)  # after which another day is another encounter

Key = tuple[str, ...]  # of an encounter or a unit


@dataclass(frozen=True)
class Photo:
    """A photo of one identity.

    Attributes:
        sighting: what was read.
        path: in the lists.
        identity: what is told apart: an animal or one flank of it.
        encounter: its key, None = unknown.
        unit: what no split may cut: the encounter, else the file.
    """

    sighting: Sighting
    path: str
    identity: str
    encounter: Key | None
    unit: Key

    @property
    def animal(self) -> str:
        """The individual's name."""
        return self.sighting.identity


def make_photos(
    sightings: Sequence[Sighting],
    paths: Iterable[str],
    sides: str = 'together',
    encounters: str = 'shared',
    minutes: float = 0.0,
) -> list[Photo]:
    """Make the ``Photo`` of each sighting.

    Args:
        sightings: with 'separate' sides, all of a known side.
        paths: of each in the lists.
        sides: 'separate' = left and right of an animal are two identities.
        encounters: 'own' = an encounter is one individual's only.
        minutes: between photos of one encounter. 0 = an encounter is a camera's day, and a night
            that goes on past midnight. Only for those that no source tells.
    """
    keys = _encounters(sightings, timedelta(minutes=minutes))
    if encounters == 'shared':
        keys = _joined(keys, sightings)
    photos = []
    for sighting, path, key in zip(sightings, paths, keys):
        if encounters == 'own' and key is not None:
            key = (*key, sighting.identity)
        identity = sighting.identity
        if sides == 'separate' and sighting.side is not None:
            identity = f'{identity} {SIDES[sighting.side]}'
        photos.append(Photo(sighting, path, identity, key, key or ('photo', sighting.path)))
    return photos


def _joined(keys: list[Key | None], sightings: Iterable[Sighting]) -> list[Key | None]:
    """Two animals on one photo were there at the same moment, whatever else is known."""
    least: dict[Key, Key] = {}
    for same in connected(zip(keys, [sighting.path for sighting in sightings])):
        least |= dict.fromkeys(same, min(same))
    return [None if key is None else least[key] for key in keys]


def _encounters(sightings: Sequence[Sighting], longest_break: timedelta) -> list[Key | None]:
    """The key of each sighting's encounter, None where nothing is known.

    It is what is given; else photos of a camera of one day or less than an hour apart, or with
    ``longest_break`` less than so far apart. Without a camera nobody knows who else was there, so
    they are one individual's.
    """
    keys: list[Key | None] = [None] * len(sightings)
    dated: dict[Key, list[tuple[datetime, int]]] = defaultdict(list)
    for number, sighting in enumerate(sightings):
        if sighting.encounter:
            keys[number] = ('given', sighting.encounter)
        elif sighting.date and sighting.camera:
            dated['camera', sighting.camera].append((sighting.date, number))
        elif sighting.date:
            dated['animal', sighting.identity].append((sighting.date, number))
    for key, moments in dated.items():
        burst, last = 0, datetime.min
        for date, number in sorted(moments):
            if burst == 0 or _is_new(last, date, longest_break):
                burst += 1
            last = date
            keys[number] = (*key, str(burst))
    return keys


def _is_new(last: datetime, date: datetime, longest_break: timedelta) -> bool:
    """Whether a photo begins another encounter than the last one."""
    if longest_break:
        return date - last >= longest_break
    return date - last >= BREAK and date.date() != last.date()
