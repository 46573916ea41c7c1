"""What a format cannot hold, counted: one line for each kind."""

from collections.abc import Callable, Collection

from wildlife.exports.sightings import Records, Sighting
from wildlife.words import counted

# Kind -> (what is lost, whether a photo has it).
OF_PHOTOS: dict[str, tuple[str, Callable[[Sighting], bool]]] = {
    'file': ('file names', lambda one: bool(one.photo.path)),
    'time': ('times of the day', lambda one: one.photo.date is not None),
    'side': ('sides of the animal', lambda one: one.photo.side is not None),
    'box': ('boxes', lambda one: one.photo.box is not None),
    'turned': ('turned boxes', lambda one: len(one.photo.box or ()) > 4),
    'camera': ('cameras', lambda one: bool(one.photo.camera)),
    'place': ('places', lambda one: bool(one.photo.place)),
    'encounter': ('encounters', lambda one: bool(one.photo.encounter)),
    'decision': ('who decided, how and when', lambda one: one.decision is not None),
    'probability': (
        'probabilities',
        lambda one: one.decision is not None and one.decision.probability is not None,
    ),
}
KINDS = (*OF_PHOTOS, 'sex', 'alias', 'note', 'history')


def losses(records: Records, holds: Collection[str]) -> list[str]:
    """Return a line for each kind of information that a format cannot hold and the records have.

    Args:
        records: All that is exported.
        holds: What the format can hold, of ``KINDS``; 'detector' = camera or place, whichever the
            records take as detector.
    """
    if 'detector' in holds:
        holds = {*holds, records.detector}
    counts = {
        text: counted(sum(map(has, records.sightings)), 'photo')
        for kind, (text, has) in OF_PHOTOS.items()
        if kind not in holds and any(map(has, records.sightings))
    }
    counts |= _of_individuals(records, holds)
    return [f'{text} ({count})' for text, count in counts.items()]


def _of_individuals(records: Records, holds: Collection[str]) -> dict[str, str]:
    everybody = records.individuals
    newest = {one.decision.id for one in records.sightings if one.decision}
    found = {
        'sex': ('sexes', sum(bool(one.sex) for one in everybody), 'individual'),
        'alias': ('other names', sum(bool(one.aliases) for one in everybody), 'individual'),
        'note': ('notes', sum(bool(one.notes) for one in everybody), 'individual'),
        'history': ('earlier decisions', len(records.decisions) - len(newest), 'decision'),
    }
    return {
        text: counted(count, noun)
        for kind, (text, count, noun) in found.items()
        if kind not in holds and count
    }
