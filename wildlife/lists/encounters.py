"""Photos for the splits: the identity of each, and the encounter that must stay together."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wildlife.groups import connected_groups
from wildlife.lists.sightings import Sighting

SIDES = {0: 'left', 1: 'right'}
BREAK = timedelta(hours=1)  # photos of another day after such a break are a new encounter

Key = tuple[str, ...]  # identifies an encounter or a unit


@dataclass(frozen=True)
class Photo:
    """A photo of one identity.

    Attributes:
        sighting: The sighting that was read.
        path: The path in the lists.
        identity: The animal, or one flank of it.
        encounter: The key of the encounter; None = unknown.
        unit: The key of photos that stay together: the encounter, or else the file.
    """

    sighting: Sighting
    path: str
    identity: str
    encounter: Key | None
    unit: Key

    @property
    def animal(self) -> str:
        """Return the name of the individual."""
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
        sightings: Sightings; all sides must be known if ``sides`` is 'separate'.
        paths: The path of each sighting in the lists.
        sides: 'separate' = left and right of an animal are two identities.
        encounters: 'own' = an encounter has a single individual.
        minutes: Photos of a camera with shorter breaks form an encounter. 0 = photos of one day
            form an encounter, which continues after midnight if breaks are short. Encounters given
            by the source are kept.
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
    """Join encounters that share a photo: its animals were there at the same time."""
    least: dict[Key, Key] = {}
    for same in connected_groups(zip(keys, [sighting.path for sighting in sightings])):
        least |= dict.fromkeys(same, min(same))
    return [None if key is None else least[key] for key in keys]


def _encounters(sightings: Sequence[Sighting], longest_break: timedelta) -> list[Key | None]:
    """Return the key of each sighting's encounter; None if it is unknown.

    Given encounters are used. Otherwise photos of one camera form an encounter if they are of one
    day or less than an hour apart or, with ``longest_break``, less than that apart. Without a
    camera only photos of the same individual are joined, as the place is unknown.
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
    """Return whether a photo begins a new encounter after the last photo."""
    if longest_break:
        return date - last >= longest_break
    return date - last >= BREAK and date.date() != last.date()
