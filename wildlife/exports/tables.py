"""CSV: everything that the catalogue knows, as plain tables."""

from typing import Any

from wildlife.catalogue.records import Decision
from wildlife.exports.detectors import known_places
from wildlife.exports.job import Format, Job
from wildlife.exports.losses import KINDS
from wildlife.exports.places import Place
from wildlife.exports.sightings import Sighting

OF_DECISIONS = ('answer', 'said', 'method', 'probability', 'by', 'program', 'at', 'note')
BOX = ('box_x', 'box_y', 'box_width', 'box_height', 'box_theta')
SIGHTINGS = (
    *('photo', 'individual', 'sex', 'encounter', 'date', 'detector', 'camera', 'place'),
    *('latitude', 'longitude', 'x', 'y', 'side', 'path', 'sha256', 'bytes'),
    *BOX,
    *OF_DECISIONS,
)
INDIVIDUALS = (
    *('individual', 'aliases', 'sex', 'notes', 'photos', 'encounters', 'first_seen', 'last_seen'),
)
DECISIONS = ('decision', 'photo', 'individual', *OF_DECISIONS)


def write(job: Job) -> None:
    """Write sightings.csv, individuals.csv and decisions.csv."""
    records = job.records
    places = known_places(job)
    rows = [_sighting(one, places.get(one.detector)) for one in records.sightings]
    job.write_table('sightings.csv', SIGHTINGS, rows)
    job.write_table(
        'individuals.csv',
        INDIVIDUALS,
        [
            {
                'individual': one.name,
                'aliases': ' | '.join(one.aliases),
                'sex': one.sex,
                'notes': one.notes,
                'photos': one.photos,
                'encounters': one.encounters,
                'first_seen': one.first_seen,
                'last_seen': one.last_seen,
            }
            for one in records.individuals
        ],
    )
    names = {one.id: one.name for one in records.individuals}
    decisions = [
        {'decision': one.id, 'photo': one.photo_id, 'individual': names.get(one.individual_id or 0)}
        | _decision(one)
        for one in records.decisions
    ]
    job.write_table('decisions.csv', DECISIONS, decisions)


def _sighting(one: Sighting, place: Place | None) -> dict[str, Any]:
    photo = one.photo
    row: dict[str, Any] = {
        'photo': photo.id,
        'individual': one.name,
        'sex': one.sex,
        'encounter': photo.encounter,
        'date': photo.date,
        'detector': one.detector,
        'camera': photo.camera,
        'place': photo.place,
        'side': one.side,
        'path': photo.path,
        'sha256': photo.sha256,
        'bytes': photo.bytes,
    }
    if place:
        row |= {'latitude': place.latitude, 'longitude': place.longitude}
        row |= {'x': place.x, 'y': place.y}
    row |= dict(zip(BOX, photo.box or ()))
    return row | (_decision(one.decision) if one.decision else {})


def _decision(decision: Decision) -> dict[str, Any]:
    return {name: getattr(decision, name) for name in OF_DECISIONS}


FORMAT = Format('CSV', write, frozenset(KINDS), frozenset({'places', 'detector'}))
