"""Wildbook: sheets for its bulk import, with the names of the photos to upload."""

import math
from collections.abc import Mapping
from typing import Any

from utils.errors import InputError
from wildlife.exports.detectors import places_of_photos
from wildlife.exports.job import Format, Job
from wildlife.exports.media import MediaFile, media_files, write_media
from wildlife.exports.places import Place
from wildlife.exports.sightings import Sighting
from wildlife.words import counted

MOST = 200  # encounters in a sheet
COLUMNS = (
    *('Encounter.genus', 'Encounter.specificEpithet', 'MarkedIndividual.individualID'),
    *('Encounter.sex', 'Encounter.sightingID', 'Encounter.verbatimLocality'),
    *('Encounter.decimalLatitude', 'Encounter.decimalLongitude', 'Encounter.year'),
    *('Encounter.month', 'Encounter.day', 'Encounter.hour', 'Encounter.minutes'),
    'Encounter.submitterID',
)
ASSET = 'Encounter.mediaAsset'
KINDS = ('jpg', 'jpeg', 'png')  # endings of photos that every Wildbook shows

Row = dict[str, Any]
Encounter = list[Sighting]


def write(job: Job) -> None:
    """Write encounters_001.csv …, photos.csv and, if asked for, the folders photos_001 ….

    A row is an animal in an encounter: its photos of the same encounter, or where that is unknown,
    of the same day and place. A photo of an animal without a name is a row of its own.

    Raises:
        InputError: The species is not a genus and an epithet, or no photo has a date and a place.
    """
    genus, epithet = _taxon(job)
    table = job.options.places
    places = places_of_photos(job.records.sightings) if table is None else table
    encounters = _encounters(_with_place(job, job.usable('date')))
    files = media_files(one.photo for encounter in encounters for one in encounter)
    fixed = {'Encounter.genus': genus, 'Encounter.specificEpithet': epithet}
    fixed['Encounter.submitterID'] = job.options.submitter
    folders: dict[str, list[MediaFile]] = {}
    for number in range(math.ceil(len(encounters) / MOST)):
        sheet = encounters[number * MOST : (number + 1) * MOST]
        rows = [fixed | _row(encounter, places, files) for encounter in sheet]
        _write_sheet(job, f'encounters_{number + 1:03d}.csv', rows)
        used = dict.fromkeys(one.photo.sha256 for encounter in sheet for one in encounter)
        folders[f'photos_{number + 1:03d}'] = [files[sha256] for sha256 in used]
    write_media(job, folders)
    strange = sum(not file.name.endswith(KINDS) for file in files.values())
    job.note_count(strange, 'photo', 'neither JPEG nor PNG: Wildbook may not show them')
    job.note(f'{counted(len(encounters), "encounter")} in {counted(len(folders), "sheet")}')


def _taxon(job: Job) -> tuple[str, str]:
    genus, _, epithet = job.species.partition(' ')
    if not epithet:
        raise InputError(
            f"{job.title} needs genus and species, but the species is '{job.species}'; add "
            "--species 'Tragelaphus angasii'"
        )
    return genus, epithet


def _with_place(job: Job, sightings: list[Sighting]) -> list[Sighting]:
    """Return the sightings that have a place, be it the name of a camera."""
    found = [one for one in sightings if one.photo.place or one.detector]
    text = f'without a place not exported: {job.title} needs one'
    job.note_count(len(sightings) - len(found), 'photo', text)
    if not found:
        raise InputError(
            f'{job.title} needs a place of each photo, but no photo has one; give them: python -m '
            'tools.catalogue set --place'
        )
    return found


def _encounters(sightings: list[Sighting]) -> list[Encounter]:
    """Group sightings, all with a date and in this order, into encounters."""
    groups: dict[tuple[object, ...], Encounter] = {}
    for one in sightings:
        alone = () if one.name else (one.photo.id,)
        of_day = (one.day, one.detector, one.photo.place)
        key = (one.name, *alone, one.photo.encounter or of_day)
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def _row(encounter: Encounter, places: Mapping[str, Place], files: Mapping[str, MediaFile]) -> Row:
    """Return column -> value of an encounter; '' = unknown."""
    first = encounter[0]
    moment = first.photo.date
    row: Row = {
        'MarkedIndividual.individualID': first.name,
        'Encounter.sex': first.sex,
        'Encounter.sightingID': first.photo.encounter,
        'Encounter.verbatimLocality': first.photo.place or first.detector,
        'Encounter.year': first.day.year,
        'Encounter.month': first.day.month,
        'Encounter.day': first.day.day,
        'Encounter.hour': moment.hour if moment else '',
        'Encounter.minutes': moment.minute if moment else '',
    }
    place = places.get(first.detector)
    if place and place.on_earth:
        row['Encounter.decimalLatitude'], row['Encounter.decimalLongitude'] = place.on_earth
    shown = dict.fromkeys(files[one.photo.sha256].name for one in encounter)
    return row | {f'{ASSET}{number}': name for number, name in enumerate(shown)}


def _write_sheet(job: Job, name: str, rows: list[Row]) -> None:
    """Write a sheet without the columns that are empty in all rows: Wildbook rejects these."""
    most = max(sum(key.startswith(ASSET) for key in row) for row in rows)
    columns = [*COLUMNS, *(f'{ASSET}{number}' for number in range(most))]
    filled = [column for column in columns if any(row.get(column, '') != '' for row in rows)]
    shown = [{column: row.get(column, '') for column in filled} for row in rows]
    job.write_table(name, filled, shown)


FORMAT = Format(
    'Wildbook',
    write,
    frozenset({'file', 'time', 'sex', 'encounter', 'place', 'detector'}),
    frozenset({'species', 'places', 'detector', 'submitter', 'copy_photos'}),
)
