"""Camtrap DP 1.0.2: a data package of deployments, media and observations."""

import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import date, datetime, timezone
from typing import Any

from utils.errors import InputError
from wildlife.catalogue.records import Photo
from wildlife.exports.camtrap_package import write_package
from wildlife.exports.detectors import locate, outside_period
from wildlife.exports.job import Format, Job
from wildlife.exports.media import MediaFile, media_files, write_media
from wildlife.exports.places import Place
from wildlife.exports.sightings import Sighting
from wildlife.exports.times import iso_time, read_zone

# All fields of the tables, in the order of the published schemas.
DEPLOYMENTS = (
    *('deploymentID', 'locationID', 'locationName', 'latitude', 'longitude'),
    *('coordinateUncertainty', 'deploymentStart', 'deploymentEnd', 'setupBy', 'cameraID'),
    *('cameraModel', 'cameraDelay', 'cameraHeight', 'cameraDepth', 'cameraTilt', 'cameraHeading'),
    *('detectionDistance', 'timestampIssues', 'baitUse', 'featureType', 'habitat'),
    *('deploymentGroups', 'deploymentTags', 'deploymentComments'),
)
MEDIA = (
    *('mediaID', 'deploymentID', 'captureMethod', 'timestamp', 'filePath', 'filePublic'),
    *('fileName', 'fileMediatype', 'exifData', 'favorite', 'mediaComments'),
)
OBSERVATIONS = (
    *('observationID', 'deploymentID', 'mediaID', 'eventID', 'eventStart', 'eventEnd'),
    *('observationLevel', 'observationType', 'cameraSetupType', 'scientificName', 'count'),
    *('lifeStage', 'sex', 'behavior', 'individualID', 'individualPositionRadius'),
    *('individualPositionAngle', 'individualSpeed', 'bboxX', 'bboxY', 'bboxWidth', 'bboxHeight'),
    *('classificationMethod', 'classifiedBy', 'classificationTimestamp'),
    *('classificationProbability', 'observationTags', 'observationComments'),
)
BOX = ('bboxX', 'bboxY', 'bboxWidth', 'bboxHeight')
FOLDER = 'photos'

Row = dict[str, Any]
Clock = Callable[[datetime], str]  # a time -> its text with the zone


def write(job: Job) -> None:
    """Write datapackage.json, deployments.csv, media.csv, observations.csv and photos.csv.

    A detector is a deployment, a photo a medium, an animal in a photo an observation.

    Raises:
        InputError: The time zone, the species or a place is unknown.
    """
    if not job.options.timezone:
        raise InputError(
            f'{job.title} needs the time zone of the photos: --timezone Africa/Johannesburg, or '
            '--timezone +02:00'
        )
    zone = read_zone(job.options.timezone)
    species = job.species
    sightings = job.usable('date', 'detector')
    places = {name: place for name, place in locate(job, sightings).items() if place.on_earth}
    _check_places(sightings, places)

    def clock(moment: datetime) -> str:
        return iso_time(moment, zone)

    places = _write_deployments(job, sightings, places, clock)
    files = media_files(one.photo for one in sightings)
    job.write_table('media.csv', MEDIA, _media(job, sightings, files, clock))
    observations = _observations(sightings, species, clock)
    unsure = sum(one.decision is not None and not one.name for one in sightings)
    job.note_count(unsure, 'decision', 'not exported: the photo has no individual')
    job.write_table('observations.csv', OBSERVATIONS, observations)
    write_media(job, {FOLDER: list(files.values())})
    write_package(job, places.values(), _period(sightings, places))
    outside = len(outside_period(sightings, places))
    text = 'taken on days when, according to --places, the detector did not work'
    job.note_count(outside, 'photo', text)


def _check_places(sightings: list[Sighting], places: Mapping[str, Place]) -> None:
    missing = next((one.detector for one in sightings if one.detector not in places), None)
    if missing is not None:
        raise InputError(
            f"--places: '{missing}' has no latitude and longitude, which Camtrap DP needs; fill in "
            'both'
        )


def _period(sightings: list[Sighting], places: Mapping[str, Place]) -> tuple[date, date]:
    """Return the first and the last day of all deployments."""
    days = [one.day for one in sightings]
    starts = [place.start.date() for place in places.values() if place.start]
    ends = [place.end.date() for place in places.values() if place.end]
    return min(days + starts), max(days + ends)


def _write_deployments(
    job: Job, sightings: list[Sighting], places: Mapping[str, Place], clock: Clock
) -> dict[str, Place]:
    """Write deployments.csv; return the places in it."""
    rows = _deployments(sightings, places, clock)
    job.write_table('deployments.csv', DEPLOYMENTS, rows)
    used = {row['deploymentID']: places[row['deploymentID']] for row in rows}
    text = 'skipped: no photos, and no start or no end in --places'
    job.note_count(len(places) - len(used), 'place', text)
    lacking = sum(not (place.start and place.end) for place in used.values())
    text = 'without start or end in --places: they are those of its first and last photo'
    job.note_count(lacking, 'deployment', text)
    return used


def _deployments(sightings: list[Sighting], places: Mapping[str, Place], clock: Clock) -> list[Row]:
    """Return the rows of deployments.csv; an unknown start or end is the first or last photo."""
    moments = _moments(sightings, lambda one: one.detector)
    rows = []
    for name, place in places.items():
        start, end = place.start, place.end
        if name in moments:
            start, end = start or min(moments[name]), end or max(moments[name])
        if start is None or end is None:  # a place of the table without photos and period
            continue
        rows.append(
            {
                'deploymentID': name,
                'locationName': name,
                'latitude': place.latitude,
                'longitude': place.longitude,
                'deploymentStart': clock(start),
                'deploymentEnd': clock(end),
            }
        )
    return rows


def _moments(
    sightings: list[Sighting], key: Callable[[Sighting], object]
) -> dict[object, list[datetime]]:
    """Return key -> the times of its photos."""
    found = defaultdict(list)
    for one in sightings:
        if one.photo.date:
            found[key(one)].append(one.photo.date)
    return dict(found)


def _media(
    job: Job, sightings: list[Sighting], files: Mapping[str, MediaFile], clock: Clock
) -> list[Row]:
    """Return the rows of media.csv."""
    detectors = {one.photo.id: one.detector for one in sightings}
    rows = []
    for sha256, file in files.items():
        photo = file.photo
        row = {
            'mediaID': sha256,
            'deploymentID': detectors[photo.id],
            'timestamp': clock(photo.date) if photo.date else '',
            'filePath': f'{FOLDER}/{file.name}',
            'filePublic': str(job.options.copy_photos).lower(),
            'fileName': os.path.basename(photo.path),
            'fileMediatype': file.kind,
        }
        rows.append(row)
    return rows


def _observations(sightings: list[Sighting], species: str, clock: Clock) -> list[Row]:
    """Return the rows of observations.csv; an event is an encounter at a detector, or a photo."""
    moments = _moments(sightings, _event)
    return [
        {
            'observationID': one.photo.id,
            'deploymentID': one.detector,
            'mediaID': one.photo.sha256,
            'eventID': one.photo.encounter,
            'eventStart': clock(min(moments[_event(one)])),
            'eventEnd': clock(max(moments[_event(one)])),
            'observationLevel': 'media',
            'observationType': 'animal',
            'scientificName': species,
            'count': 1,
            'sex': one.sex,
            'individualID': one.name,
            'observationTags': f'side:{one.side}' if one.side else '',
        }
        | _box(one.photo)
        | _classification(one)
        for one in sightings
    ]


def _event(one: Sighting) -> tuple[str, object]:
    return one.detector, one.photo.encounter or one.photo.id


def _box(photo: Photo) -> Row:
    """Return the fields of a box, cut at the photo's edges; {} for none or a turned one."""
    if photo.box is None or len(photo.box) > 4:
        return {}
    x, y, width, height = photo.box
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(1.0, x + width), min(1.0, y + height)
    if left >= right or top >= bottom:
        return {}
    return dict(zip(BOX, (left, top, right - left, bottom - top)))


def _classification(one: Sighting) -> Row:
    """Return the fields of the newest decision about the individual; its time is in UTC."""
    if one.decision is None or not one.name:
        return {}
    decision = one.decision
    return {
        'classificationMethod': decision.method,
        'classifiedBy': decision.program if decision.method == 'machine' else decision.by,
        'classificationTimestamp': iso_time(decision.at, timezone.utc),
        'classificationProbability': decision.probability,
        'observationComments': decision.note,
    }


FORMAT = Format(
    'Camtrap DP',
    write,
    frozenset(
        ('file', 'time', 'side', 'box', 'detector', 'encounter', 'sex', 'decision', 'probability')
    ),
    frozenset({'timezone', 'species', 'places', 'detector', 'metadata', 'copy_photos'}),
)
