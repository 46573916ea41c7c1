"""Where the detectors of sightings were: from the table of places, or from the photos' places."""

from collections import Counter
from collections.abc import Sequence

from utils.errors import InputError
from utils.words import first_few
from wildlife.exports.job import Job
from wildlife.exports.places import Place, place_of_text
from wildlife.exports.sightings import Sighting
from wildlife.words import counted


def locate(job: Job, sightings: Sequence[Sighting]) -> dict[str, Place]:
    """Return name -> place of all detectors: those of the sightings, and others of the table.

    Args:
        job: The export.
        sightings: Sightings that have a detector.

    Raises:
        InputError: The place of a detector is unknown.
    """
    names = Counter(sighting.detector for sighting in sightings)
    table = job.options.places
    found = dict(table) if table is not None else places_of_photos(sightings)
    missing = [name for name in names if name not in found]
    if not missing:
        return found
    photos = counted(sum(names[name] for name in missing), 'photo')
    if table is None:
        raise InputError(
            f'{job.title} needs the coordinates of each {job.records.detector}, which the '
            f'catalogue does not have ({first_few(missing)}; {photos}); write a CSV with the '
            'columns place, latitude, longitude, start, end and give it with --places'
        )
    raise InputError(
        f'--places has no row for {counted(len(missing), job.records.detector)} of the photos: '
        f'{first_few(missing)} ({photos}); add the rows, or choose with --detector whether the '
        'names are those of cameras or of places'
    )


def places_of_photos(sightings: Sequence[Sighting]) -> dict[str, Place]:
    """Return name of a detector -> place, where the photos' places are coordinates.

    Raises:
        InputError: A detector was at two places.
    """
    found: dict[str, Place] = {}
    for sighting in sightings:
        place = place_of_text(sighting.detector, sighting.photo.place)
        if place and found.setdefault(place.name, place) != place:
            raise InputError(
                f"'{place.name}' has photos at several coordinates "
                f'({found[place.name].on_earth}, {place.on_earth}); add --detector place, or write '
                'a table of places and give it with --places'
            )
    return found


def known_places(job: Job) -> dict[str, Place]:
    """Return name -> place of the detectors whose place is known; count photos of the others."""
    table, sightings = job.options.places, job.records.sightings
    found = dict(table) if table is not None else places_of_photos(sightings)
    unknown = sum(bool(one.detector) and one.detector not in found for one in sightings)
    if table is not None:
        word = job.records.detector
        job.note_count(unknown, 'photo', f'without coordinates: --places has no row for the {word}')
    return found


def outside_period(sightings: Sequence[Sighting], places: dict[str, Place]) -> list[Sighting]:
    """Return the sightings, all with a date, on days when their detector did not work."""
    return [one for one in sightings if not places[one.detector].works(one.day, one.day)]
