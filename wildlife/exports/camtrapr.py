"""camtrapR: the record table of individuals, and the table of stations."""

import os

from wildlife.exports.detectors import locate, outside_period, places_of_photos
from wildlife.exports.grid import points_of
from wildlife.exports.job import Format, Job
from wildlife.exports.sightings import Sighting

RECORDS = (
    *('Station', 'Species', 'Individual', 'DateTimeOriginal', 'Date', 'Time', 'sex'),
    *('Directory', 'FileName'),
)
STATIONS = (
    *('Station', 'utm_x', 'utm_y', 'longitude', 'latitude', 'Setup_date', 'Retrieval_date'),
)
REJECTED = 'camtrapR rejects them; correct --places'


def write(job: Job) -> None:
    """Write records.csv and, if places are known, stations.csv.

    records.csv has the columns of ``recordTableIndividual()`` that other functions need, and is
    read by ``spatialDetectionHistory()``; stations.csv is its CTtable.

    Raises:
        InputError: The table of places lacks a station, or a station has no coordinates.
    """
    sightings = job.usable('individual', 'date', 'detector')
    species = job.species
    rows = []
    for one in sightings:
        moment = f'{one.photo.date:%Y-%m-%d %H:%M:%S}'
        folder, name = os.path.split(one.photo.path)
        rows.append(
            {
                'Station': one.detector,
                'Species': species,
                'Individual': one.name,
                'DateTimeOriginal': moment,
                'Date': moment[:10],
                'Time': moment[11:],
                'sex': one.sex,
                'Directory': folder,
                'FileName': name,
            }
        )
    job.write_table('records.csv', RECORDS, rows)
    _write_stations(job, sightings)


def _write_stations(job: Job, sightings: list[Sighting]) -> None:
    """Write stations.csv if the places of all stations are known."""
    stations = {one.detector for one in sightings}
    if job.options.places is None and stations - places_of_photos(sightings).keys():
        job.note('No stations.csv: the coordinates of the stations are unknown; give --places')
        return
    places = locate(job, sightings)
    outside = len(outside_period(sightings, places))
    job.note_count(outside, 'photo', f'taken on days when the station did not work: {REJECTED}')
    open_ended = sum(place.start is None or place.end is None for place in places.values())
    job.note_count(open_ended, 'station', f'without start or end: {REJECTED}')
    grid, points = points_of(places)
    job.note(f'Coordinates in stations.csv: {grid}')
    rows = [
        {
            'Station': name,
            'utm_x': round(points[name][0], 2),
            'utm_y': round(points[name][1], 2),
            'longitude': place.longitude,
            'latitude': place.latitude,
            'Setup_date': place.start and place.start.date(),
            'Retrieval_date': place.end and place.end.date(),
        }
        for name, place in places.items()
    ]
    job.write_table('stations.csv', STATIONS, rows)


FORMAT = Format(
    'camtrapR',
    write,
    frozenset({'file', 'time', 'sex', 'detector'}),
    frozenset({'species', 'places', 'detector'}),
)
