"""datapackage.json of a Camtrap DP: what its tables are, who made them, where and when."""

import json
import re
from collections.abc import Iterable
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

from utils import __version__
from utils.errors import InputError
from utils.files import write_json
from utils.words import first_few
from wildlife.exports.job import Job
from wildlife.exports.places import Place
from wildlife.exports.times import iso_time
from wildlife.lists.tables import read_json

VERSION = '1.0.2'
SCHEMAS = f'https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}'
TABLES = ('deployments', 'media', 'observations')
OURS = ('resources', 'profile', 'created', 'spatial', 'temporal', 'taxonomic')
DESIGNS = (
    *('simpleRandom', 'systematicRandom', 'clusteredRandom'),
    *('experimental', 'targeted', 'opportunistic'),
)
ROLES = ('contact', 'principalInvestigator', 'rightsHolder', 'publisher', 'contributor')
METHODS = ('activityDetection', 'timeLapse')
ASSUMED = {'samplingDesign': 'opportunistic', 'captureMethod': ['activityDetection']}

Facts = dict[str, Any]


def write_package(job: Job, places: Iterable[Place], period: tuple[date, date]) -> None:
    """Write datapackage.json.

    Args:
        job: The export.
        places: All have latitude and longitude.
        period: The first and the last day.

    Raises:
        InputError: The metadata do not have the published form, or no contributor is known.
    """
    given = read_metadata(job.options.metadata) if job.options.metadata else {}
    project = ASSUMED | given.get('project', {})
    assumed = {key: value for key, value in ASSUMED.items() if key not in given.get('project', {})}
    if assumed:
        text = json.dumps({'project': assumed})
        job.note(f'datapackage.json assumes {text}; give others in a JSON file: --metadata')
    title = given.get('title', f'Individuals of {job.species} in photos')
    facts: Facts = {
        'resources': [_resource(name) for name in TABLES],
        'profile': f'{SCHEMAS}/camtrap-dp-profile.json',
        'name': re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-') or 'catalogue',
        'created': iso_time(datetime.now(timezone.utc), timezone.utc),
        'title': title,
        'sources': [{'title': 'CLIP-ReID for animals', 'version': __version__}],
        **given,
        'contributors': given.get('contributors') or _contributors(job),
        'project': {
            'title': title,
            'individualAnimals': True,
            'observationLevel': ['media'],
            **project,
        },
        'spatial': _spatial([place.on_earth for place in places if place.on_earth]),
        'temporal': {'start': str(period[0]), 'end': str(period[1])},
        'taxonomic': [{'scientificName': job.species}],
    }
    write_json(job.folder / 'datapackage.json', facts)


def _resource(name: str) -> Facts:
    return {
        'name': name,
        'path': f'{name}.csv',
        'profile': 'tabular-data-resource',
        'format': 'csv',
        'mediatype': 'text/csv',
        'encoding': 'utf-8',
        'schema': f'{SCHEMAS}/{name}-table-schema.json',
    }


def _contributors(job: Job) -> list[Facts]:
    """Return the people who decided, in the order in which they began."""
    people = dict.fromkeys(one.by for one in job.records.decisions if one.by)
    if not people:
        raise InputError(
            'Camtrap DP needs contributors, but nobody has decided anything in this catalogue; '
            'name them in a JSON file: --metadata FILE with {"contributors": [{"title": "Anna"}]}'
        )
    return [{'title': name, 'role': 'contributor'} for name in people]


def _spatial(points: list[tuple[float, float]]) -> Facts:
    """Return the rectangle around all points as GeoJSON; of a single point the point."""
    latitudes, longitudes = zip(*points)
    south, north = min(latitudes), max(latitudes)
    west, east = min(longitudes), max(longitudes)
    if (south, west) == (north, east):
        return {'type': 'Point', 'coordinates': [west, south]}
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {'type': 'Polygon', 'bbox': [west, south, east, north], 'coordinates': [ring]}


def read_metadata(path: Path) -> Facts:
    """Read a JSON file of further facts for datapackage.json.

    Raises:
        InputError: The file cannot be read, or a value does not have the published form.
    """
    facts = read_json(path, 'metadata')
    if not isinstance(facts, dict):
        raise InputError(f'--metadata {path}: expected {{"title": …, "contributors": [{{…}}]}}')
    ours = [key for key in OURS if key in facts]
    if ours:
        raise InputError(
            f'--metadata {path}: {first_few(ours)} cannot be given, since the export makes it; '
            'remove it'
        )
    project = facts.get('project', {})
    checks = {
        'title: expected a text': isinstance(facts.get('title', ''), str),
        f'contributors: expected [{{"title": NAME, "role": one of {", ".join(ROLES)}}}, …]': (
            _are_people(facts.get('contributors', []))
        ),
        'NaN and Infinity are not JSON': _is_finite(facts),
        'licenses: expected one with "scope": "data" and one with "scope": "media"': (
            'licenses' not in facts or _scopes(facts['licenses']) == {'data', 'media'}
        ),
        'project: expected {"title": …, "samplingDesign": …}': isinstance(project, dict),
    }
    if isinstance(project, dict):
        checks |= _project_checks(ASSUMED | project)
    for text, is_right in checks.items():
        if not is_right:
            raise InputError(f'--metadata {path}: {text}; correct the file')
    return facts


def _is_finite(facts: Facts) -> bool:
    try:
        json.dumps(facts, allow_nan=False)
    except ValueError:
        return False
    return True


def _are_people(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict)
        and isinstance(one.get('title'), str)
        and one.get('role', 'contributor') in ROLES
        for one in value
    )


def _scopes(value: object) -> set[object]:
    licenses = value if isinstance(value, list) else []
    return {str(one.get('scope')) for one in licenses if isinstance(one, dict)}


def _project_checks(project: Facts) -> dict[str, bool]:
    methods = project['captureMethod']
    is_list = isinstance(methods, list) and bool(methods)
    return {
        f'project.samplingDesign: expected one of {", ".join(DESIGNS)}': project['samplingDesign']
        in DESIGNS,
        f'project.captureMethod: expected a list of {" or ".join(METHODS)}': is_list
        and all(method in METHODS for method in methods),
    }
