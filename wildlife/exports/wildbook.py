"""Wildbook: sheets for its bulk import, with the names of the photos to upload."""

import math
from collections.abc import Mapping
from typing import Any

from utils.errors import InputError
from wildlife.exports.detectors import known_places
from wildlife.exports.identifiers import identifiers, write_identifiers
from wildlife.exports.job import Format, Job
from wildlife.exports.media import MediaFile, media_files, write_media
from wildlife.exports.places import Place
from wildlife.exports.sightings import Sighting
from wildlife.exports.times import has_time
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
    """Write encounters_001.csv …, photos.csv, identifiers.csv and, if asked for, photos_001 ….

    A row is an animal in an encounter: its photos of the same encounter, or where that is unknown,
    of the same day and place. A photo of an animal without a name is a row of its own.

    Raises:
        InputError: The species is not a genus and an epithet, or no photo has a date and a place.
    """
    genus, epithet = _taxon(job)
    places = known_places(job)
    encounters = _encounters(_with_place(job, job.usable('date')))
    sightings = _sighting_ids(job, encounters)
    files = media_files(one.photo for encounter in encounters for one in encounter)
    fixed = {'Encounter.genus': genus, 'Encounter.specificEpithet': epithet}
    fixed['Encounter.submitterID'] = job.options.submitter
    folders: dict[str, list[MediaFile]] = {}
    for number in range(math.ceil(len(encounters) / MOST)):
        sheet = encounters[number * MOST : (number + 1) * MOST]
        rows = [
            fixed
            | _row(encounter, places, files)
            | {'Encounter.sightingID': sightings.get(encounter[0].photo.encounter, '')}
            for encounter in sheet
        ]
        _write_sheet(job, f'encounters_{number + 1:03d}.csv', rows)
        used = dict.fromkeys(one.photo.sha256 for encounter in sheet for one in encounter)
        folders[f'photos_{number + 1:03d}'] = [files[sha256] for sha256 in used]
    write_media(job, folders)
    strange = sum(not file.name.endswith(KINDS) for file in files.values())
    job.note_count(strange, 'photo', 'neither JPEG nor PNG: Wildbook may not show them')
    later = sum(len(encounter) - 1 for encounter in encounters)
    text = 'after the first of an encounter: time, camera and place not exported'
    job.note_count(later, 'photo', text)
    job.note(f'{counted(len(encounters), "encounter")} in {counted(len(folders), "sheet")}')


def _taxon(job: Job) -> tuple[str, str]:
    genus, _, epithet = job.species.lower().partition(' ')
    if not epithet:
        raise InputError(
            f"{job.title} needs genus and species, but the species is '{job.species}'; add "
            "--species 'Tragelaphus angasii'"
        )
    return genus.capitalize(), epithet


def _with_place(job: Job, sightings: list[Sighting]) -> list[Sighting]:
    """Return the sightings that have a place, or at least a detector to name it."""
    found = [one for one in sightings if one.photo.place or one.detector]
    text = f'skipped: no place, which {job.title} needs'
    job.note_count(len(sightings) - len(found), 'photo', text)
    if not found:
        raise InputError(
            f'{job.title} needs a place for each photo, but no photo has one; give places: '
            'python -m tools.catalogue set --place'
        )
    return found


def _sighting_ids(job: Job, encounters: list[Encounter]) -> dict[str, str]:
    """Return encounter -> its name in letters, digits, '-' and '_'; write identifiers.csv."""
    names = dict.fromkeys(one[0].photo.encounter for one in encounters if one[0].photo.encounter)
    plain = identifiers(names, 'encounter', gap='-')
    rows = [{'kind': 'encounter', 'name': name, 'identifier': plain[name]} for name in names]
    write_identifiers(job, rows)
    return plain


def _encounters(sightings: list[Sighting]) -> list[Encounter]:
    """Group sightings, all with a date and in order of date, into encounters."""
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
    moment, where = first.photo.date, (first.photo.place, first.detector)
    row: Row = {
        'MarkedIndividual.individualID': first.name,
        'Encounter.sex': first.sex,
        'Encounter.verbatimLocality': ', '.join(dict.fromkeys(filter(None, where))),
        'Encounter.year': first.day.year,
        'Encounter.month': first.day.month,
        'Encounter.day': first.day.day,
    }
    if moment and has_time(moment):
        row |= {'Encounter.hour': moment.hour, 'Encounter.minutes': moment.minute}
    place = places.get(first.detector)
    if place and place.on_earth:
        row['Encounter.decimalLatitude'], row['Encounter.decimalLongitude'] = place.on_earth
    shown = dict.fromkeys(files[one.photo.sha256].name for one in encounter)
    return row | {f'{ASSET}{number}': name for number, name in enumerate(shown)}


def _filled(row: Row) -> Row:
    return {column: value for column, value in row.items() if value != ''}


def _write_sheet(job: Job, name: str, rows: list[Row]) -> None:
    """Write a sheet without the columns that are empty in all rows: Wildbook rejects these."""
    filled = list(map(_filled, rows))
    used = set().union(*filled)
    assets = sum(column.startswith(ASSET) for column in used)
    columns = [*COLUMNS, *(f'{ASSET}{number}' for number in range(assets))]
    job.write_table(name, [column for column in columns if column in used], filled)


FORMAT = Format(
    'Wildbook',
    write,
    frozenset({'file', 'time', 'sex', 'encounter', 'place', 'detector'}),
    frozenset({'species', 'places', 'detector', 'submitter', 'copy_photos'}),
)
