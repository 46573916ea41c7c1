"""Camtrap DP: validated by frictionless against the published schemas."""

import json
from dataclasses import replace
from datetime import datetime

import frictionless
import pytest

from tests.wildlife.exports.camtrap_schemas import PACKAGE, PROJECT, SCHEMAS
from tests.wildlife.exports.worlds import PLACES, export_world, make_world, read_table
from utils.errors import InputError
from wildlife.exports import camtrap_dp
from wildlife.lists.camtrap import read_camtrap

ZONE = 'Africa/Johannesburg'


def export_dp(tmp_path, catalogue=None, **options):
    options = {'timezone': ZONE, 'places': PLACES} | options
    return export_world(tmp_path, 'camtrap-dp', catalogue, **options)


def validate(folder):
    """Errors that frictionless finds; the schemas, which are URLs, are those of the test."""
    facts = json.loads((folder / 'datapackage.json').read_text(encoding='utf-8'))
    for resource in facts['resources']:
        name = resource['name']
        assert resource['schema'].endswith(f'/1.0.2/{name}-table-schema.json')
        resource['schema'] = SCHEMAS[name]
    del facts['profile']  # a URL too
    package = frictionless.Package.from_descriptor(facts, basepath=str(folder))
    return package.validate().flatten(['rowNumber', 'fieldName', 'type', 'message'])


def change_cell(path, column, value):
    """Write a value into the first row of a table."""
    lines = path.read_text(encoding='utf-8').splitlines()
    cells = lines[1].split(',')
    cells[lines[0].split(',').index(column)] = value
    path.write_text('\n'.join([lines[0], ','.join(cells), *lines[2:]]) + '\n', encoding='utf-8')


def test_the_package_is_valid(tmp_path):
    folder, _ = export_dp(tmp_path)
    assert validate(folder) == []


@pytest.mark.parametrize(
    'table, column, value',
    [
        ('observations', 'eventStart', '2023-05-01T12:00:00'),
        ('observations', 'deploymentID', 'nowhere'),
        ('observations', 'mediaID', 'nothing'),
        ('observations', 'bboxWidth', '0'),
        ('media', 'filePath', '/data/photo.jpg'),
        ('media', 'fileMediatype', 'application/x'),
        ('deployments', 'latitude', ''),
    ],
)
def test_the_validation_finds_errors(tmp_path, table, column, value):
    folder, _ = export_dp(tmp_path)
    change_cell(folder / f'{table}.csv', column, value)
    assert validate(folder)


def test_the_columns_are_those_of_the_schemas():
    for name, columns in (
        ('deployments', camtrap_dp.DEPLOYMENTS),
        ('media', camtrap_dp.MEDIA),
        ('observations', camtrap_dp.OBSERVATIONS),
    ):
        assert list(columns) == [field['name'] for field in SCHEMAS[name]['fields']]


def test_the_package_says_who_where_and_when(tmp_path):
    folder, lines = export_dp(tmp_path)
    facts = json.loads((folder / 'datapackage.json').read_text(encoding='utf-8'))
    assert facts.keys() >= PACKAGE and facts['project'].keys() >= PROJECT
    assert facts['contributors'] == [{'title': 'anna', 'role': 'contributor'}]
    assert facts['spatial']['bbox'] == [32.47, -27.87, 32.49, -27.85]
    assert facts['temporal'] == {'start': '2023-05-01', 'end': '2023-05-31'}
    assert facts['taxonomic'] == [{'scientificName': 'Tragelaphus angasii'}]
    first = read_table(folder / 'deployments.csv')[0]
    assert first['deploymentStart'] == '2023-05-01T00:00:00+02:00'  # of the table of places
    assert first['deploymentEnd'] == '2023-05-20T00:00:00+02:00'
    assert any('datapackage.json assumes {"project": {"samplingDesign"' in line for line in lines)


def test_observations(tmp_path):
    folder, lines = export_dp(tmp_path)
    rows = {row['observationID']: row for row in read_table(folder / 'observations.csv')}
    assert list(rows) == ['1', '2', '4', '8', '10', '11', '3', '5', '6']  # by date
    first = rows['1']
    assert first['eventStart'] == '2023-05-01T12:01:00+02:00'
    assert first['eventEnd'] == '2023-05-01T12:04:00+02:00'
    assert first['individualID'] == 'Nala' and first['sex'] == 'female'
    assert first['observationTags'] == 'side:left'
    assert first['classificationMethod'] == 'machine'
    assert first['classifiedBy'] == 'tools.identify'
    assert first['classificationTimestamp'] == '2023-06-01T08:01:00+00:00'
    assert rows['2']['classifiedBy'] == 'anna'
    assert rows['10']['individualID'] == ''
    assert rows['11']['classificationProbability'] == ''  # of an individual that is not named
    assert '1 decision not exported: the photo has no individual' in lines
    assert rows['5']['eventID'] == '' and rows['5']['eventStart'] == rows['5']['eventEnd']
    assert '1 photo skipped: no date, which Camtrap DP needs' in lines
    assert '1 photo skipped: no camera, which Camtrap DP needs' in lines
    assert '1 photo skipped: no identifiable animal' in lines
    assert 'Not in Camtrap DP: turned boxes (1 photo)' in lines


def test_boxes_are_cut_at_the_edge_of_the_photo(tmp_path):
    folder, _ = export_dp(tmp_path)
    rows = {row['observationID']: row for row in read_table(folder / 'observations.csv')}
    box = [float(rows['3'][name]) for name in camtrap_dp.BOX]
    assert box == pytest.approx([0, 0.5, 0.38, 0.5])
    assert rows['4']['bboxX'] == ''  # a turned box
    world = make_world()
    for number, box in ((0, (0.2, 1.1, 0.3, 0.3)), (1, (1.1, 0.2, 0.3, 0.3))):
        world.photo_rows[number] = replace(world.photo_rows[number], box=box)
    folder, _ = export_dp(tmp_path / 'outside', world)
    rows = {row['observationID']: row for row in read_table(folder / 'observations.csv')}
    assert (rows['1']['bboxX'], rows['2']['bboxX']) == ('', '')


def test_two_animals_in_a_photo_are_one_medium(tmp_path):
    world = make_world()
    world.photo_rows[3] = replace(world.photo_rows[3], sha256=world.photo_rows[0].sha256)
    folder, _ = export_dp(tmp_path, world)
    assert validate(folder) == []
    media = [row['mediaID'] for row in read_table(folder / 'observations.csv')]
    assert media.count(world.photo_rows[0].sha256) == 2
    assert len(read_table(folder / 'media.csv')) == 8


def test_deployments_without_dates_last_from_the_first_to_the_last_photo(tmp_path):
    places = {name: replace(place, start=None, end=None) for name, place in PLACES.items()}
    places['cam,3'] = replace(PLACES['cam,3'], end=None)  # without photos, so nobody knows
    folder, lines = export_dp(tmp_path, places=places)
    rows = read_table(folder / 'deployments.csv')
    assert [row['deploymentID'] for row in rows] == ['cam 1', 'cam_2']
    assert rows[0]['deploymentStart'] == '2023-05-01T12:01:00+02:00'
    assert rows[0]['deploymentEnd'] == '2023-05-16T12:06:00+02:00'
    assert '1 place skipped: no photos, and no start or no end in --places' in lines
    text = 'without start or end in --places: they are those of its first and last photo'
    assert f'2 deployments {text}' in lines
    facts = json.loads((folder / 'datapackage.json').read_text(encoding='utf-8'))
    assert facts['spatial']['bbox'] == [32.47, -27.86, 32.48, -27.85]
    assert validate(folder) == []


def test_photos_when_the_camera_did_not_work_are_counted(tmp_path):
    late = replace(PLACES['cam_2'], start=datetime(2023, 5, 10))
    _, lines = export_dp(tmp_path, places=PLACES | {'cam_2': late})
    assert '4 photos taken on days when, according to --places, the detector did not work' in lines


def test_coordinates_may_stand_in_the_photos(tmp_path):
    world = make_world([('Nala', '', 1, '', {'place': '-27.85, 32.47'})])
    folder, _ = export_dp(tmp_path, world, places=None, detector='place')
    row = read_table(folder / 'deployments.csv')[0]
    assert (row['latitude'], row['longitude']) == ('-27.85', '32.47')
    facts = json.loads((folder / 'datapackage.json').read_text(encoding='utf-8'))
    assert facts['spatial'] == {'type': 'Point', 'coordinates': [32.47, -27.85]}
    assert validate(folder) == []


def test_summer_time(tmp_path):
    folder, _ = export_dp(tmp_path, timezone='Europe/Berlin')
    assert read_table(folder / 'media.csv')[0]['timestamp'] == '2023-05-01T12:01:00+02:00'
    world = make_world()
    world.photo_rows[0] = replace(world.photo_rows[0], date=datetime(2023, 1, 5, 12))
    folder, _ = export_dp(tmp_path / 'winter', world, timezone='Europe/Berlin')
    assert read_table(folder / 'media.csv')[0]['timestamp'] == '2023-01-05T12:00:00+01:00'


def test_make_lists_reads_the_package(tmp_path):
    folder, _ = export_dp(tmp_path)
    frame = read_camtrap(folder).frame
    found = set(zip(frame['filePath'], frame['individualID'], frame['deploymentID']))
    assert ('photos/IMG.0000.jpg', 'Nala', 'cam 1') in found
    assert ('photos/IMG.0004.jpg', '虎', 'cam_2') in found


def test_metadata(tmp_path):
    given = tmp_path / 'facts.json'
    project = {'samplingDesign': 'targeted', 'captureMethod': ['timeLapse']}
    licenses = [{'name': 'CC0-1.0', 'scope': scope} for scope in ('data', 'media')]
    facts = {'title': 'Nyala of Tembe', 'contributors': [{'title': 'Bo'}], 'project': project}
    facts |= {'licenses': licenses}
    given.write_text(json.dumps(facts), encoding='utf-8')
    folder, lines = export_dp(tmp_path, metadata=given)
    facts = json.loads((folder / 'datapackage.json').read_text(encoding='utf-8'))
    assert facts['name'] == 'nyala-of-tembe' and facts['contributors'] == [{'title': 'Bo'}]
    assert facts['project']['samplingDesign'] == 'targeted'
    assert facts['project']['individualAnimals'] is True and facts['licenses'] == licenses
    assert not any('assumes' in line for line in lines)


def test_without_contributors_in_the_metadata_they_are_those_who_decided(tmp_path):
    given = tmp_path / 'facts.json'
    given.write_text('{"contributors": []}', encoding='utf-8')
    folder, _ = export_dp(tmp_path, metadata=given)
    facts = json.loads((folder / 'datapackage.json').read_text(encoding='utf-8'))
    assert facts['contributors'] == [{'title': 'anna', 'role': 'contributor'}]


@pytest.mark.parametrize(
    'text, message',
    [
        ('{', 'not readable JSON'),
        ('[' * 100_000, 'not readable JSON'),
        ('{"version": NaN}', 'NaN and Infinity are not JSON'),
        ('[]', 'expected {"title"'),
        ('{"resources": []}', 'resources cannot be given'),
        ('{"title": 1}', 'title: expected a text'),
        ('{"contributors": ["Bo"]}', 'contributors: expected [{"title": NAME, "role": one of'),
        ('{"contributors": [{"title": "Bo", "role": "boss"}]}', 'contributors: expected'),
        ('{"licenses": [{"name": "CC0-1.0", "scope": "data"}]}', 'licenses: expected one with'),
        ('{"project": 1}', 'project: expected {"title"'),
        ('{"project": {"samplingDesign": "random"}}', 'expected one of simpleRandom'),
        ('{"project": {"captureMethod": "timeLapse"}}', 'expected a list of activityDetection'),
    ],
)
def test_metadata_that_are_wrong(tmp_path, text, message):
    given = tmp_path / 'facts.json'
    given.write_text(text, encoding='utf-8')
    with pytest.raises(InputError) as error:
        export_dp(tmp_path, metadata=given)
    assert message in str(error.value) and str(given) in str(error.value)
    assert not (tmp_path / 'camtrap-dp').exists()


def without_decisions():
    return replace(make_world(), said=[])


@pytest.mark.parametrize(
    'options, catalogue, message',
    [
        ({'timezone': ''}, None, 'needs the time zone of the photos: --timezone'),
        ({'timezone': 'Africa/Johanesburg'}, None, 'did you mean Africa/Johannesburg?'),
        ({'places': None}, None, 'needs the coordinates of each camera'),
        ({'places': {'cam 1': PLACES['cam 1']}}, None, 'no row for 1 camera of the photos: cam_2'),
        (
            {'places': PLACES | {'cam 1': replace(PLACES['cam 1'], latitude=None)}},
            None,
            "'cam 1' has no latitude and longitude",
        ),
        ({}, replace(make_world(), species=''), 'needs the name of the species: --species'),
        ({}, without_decisions(), 'needs contributors'),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_written(tmp_path, options, catalogue, message):
    with pytest.raises(InputError) as error:
        export_dp(tmp_path, catalogue, **options)
    assert message in str(error.value) and '\n' not in str(error.value)
    assert list(tmp_path.iterdir()) == []
