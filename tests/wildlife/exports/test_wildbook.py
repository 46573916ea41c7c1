"""Wildbook: sheets for the bulk import."""

import re
from dataclasses import replace
from datetime import datetime

import pytest

from tests.helpers import write_photo
from tests.wildlife.exports.worlds import PLACES, export_world, make_photo, make_world, read_table
from utils.errors import InputError
from utils.files import sha256_file
from wildlife.exports.places import Place
from wildlife.exports.wildbook import MOST
from wildlife.lists.tables import read_csv

ASSET = 'Encounter.mediaAsset'


def sheets(folder):
    return [read_table(path) for path in sorted(folder.glob('encounters_*.csv'))]


def assets(row):
    return [row[key] for key in row if key.startswith(ASSET) and row[key]]


def check_rules(folder):
    """The rules of Wildbook's bulk import."""
    for rows in sheets(folder):
        assert 1 <= len(rows) <= 200
        for row in rows:
            assert re.fullmatch('[A-Z][a-z]+', row['Encounter.genus'])
            assert re.fullmatch('[a-z ]+', row['Encounter.specificEpithet'])
            assert re.fullmatch('[A-Za-z0-9_-]*', row.get('Encounter.sightingID', ''))
            assert re.fullmatch(r'\d{4}', row['Encounter.year'])
            assert row['Encounter.verbatimLocality'] or row['Encounter.decimalLatitude']
            assert row[f'{ASSET}0'] and all(
                re.fullmatch('[A-Za-z0-9. ]+', name) for name in assets(row)
            )
        assert all(any(row[column] for row in rows) for column in rows[0])
    names = [row['name'].partition('/') for row in read_table(folder / 'photos.csv')]
    for sheet in {name[0] for name in names}:
        in_sheet = [name[2].lower() for name in names if name[0] == sheet]
        assert len(set(in_sheet)) == len(in_sheet)


def test_a_row_is_an_animal_in_an_encounter(tmp_path):
    folder, lines = export_world(tmp_path, 'wildbook', places=PLACES, submitter='anna')
    check_rules(folder)
    (rows,) = sheets(folder)
    assert len(rows) == 8
    first = rows[0]
    assert first['MarkedIndividual.individualID'] == 'Nala' and first['Encounter.sex'] == 'female'
    assert first['Encounter.genus'] == 'Tragelaphus'
    assert first['Encounter.specificEpithet'] == 'angasii'
    assert first['Encounter.sightingID'] == 'e1' and first['Encounter.submitterID'] == 'anna'
    date = [first[f'Encounter.{part}'] for part in ('year', 'month', 'day', 'hour', 'minutes')]
    assert date == ['2023', '5', '1', '12', '1']
    assert first['Encounter.decimalLatitude'] == '-27.85'
    assert assets(first) == ['IMG.0000.jpg', 'IMG.0001.jpg']
    by_name = {row['MarkedIndividual.individualID']: row for row in rows}
    assert by_name['虎']['Encounter.verbatimLocality'] == 'the salt lick, cam_2'
    assert sum(not row['MarkedIndividual.individualID'] for row in rows) == 2
    assert '1 photo skipped: no date, which Wildbook needs' in lines
    assert '1 photo skipped: no place, which Wildbook needs' in lines
    assert 'Not in Wildbook: sides of the animal (4 photos)' in lines
    assert '1 photo after the first of an encounter: time, camera and place not exported' in lines


def test_encounters_get_names_that_wildbook_accepts(tmp_path):
    names = ['7 May/1', '7 May 1', '7-May-1', '虎']
    rows = [('Nala', 'c', 1, name, {}) for name in names]
    world = replace(make_world(rows), species='tragelaphus Angasii')
    folder, lines = export_world(tmp_path, 'wildbook', world)
    check_rules(folder)
    found = [row['Encounter.sightingID'] for row in sheets(folder)[0]]
    assert found == ['7-May-1-3', '7-May-1-2', '7-May-1', 'encounter']
    keys = {row['name']: row['identifier'] for row in read_table(folder / 'identifiers.csv')}
    assert [keys[name] for name in names] == found
    assert '3 names changed to what Wildbook accepts: see identifiers.csv' in lines


def test_a_date_without_a_time_has_no_hour(tmp_path):
    world = make_world([('Nala', 'c', 1, '', {'date': datetime(2023, 5, 1)})])
    folder, lines = export_world(tmp_path, 'wildbook', world)
    row = sheets(folder)[0][0]
    assert row['Encounter.day'] == '1' and 'Encounter.hour' not in row
    assert '1 photo at 00:00:00: perhaps only their day is known' in lines


def test_photos_whose_camera_has_no_row_in_the_table_have_no_coordinates(tmp_path):
    folder, lines = export_world(tmp_path, 'wildbook', places={'cam 1': PLACES['cam 1']})
    assert '6 photos without coordinates: --places has no row for the camera' in lines


def test_empty_columns_are_left_out(tmp_path):
    folder, _ = export_world(tmp_path, 'wildbook')
    (rows,) = sheets(folder)
    assert 'Encounter.decimalLatitude' not in rows[0] and 'Encounter.submitterID' not in rows[0]


def test_photos_of_the_same_day_and_place_are_an_encounter(tmp_path):
    rows = [
        ('Nala', camera, day, '', {}) for camera, day in (('c', 1), ('c', 1), ('c', 2), ('d', 2))
    ]
    rows += [('Nala', 'd', 3, '', {'place': place}) for place in ('river', 'hill')]
    places = {'d': Place('d', x=1.0, y=2.0)}  # a grid of one's own is not on the earth
    folder, _ = export_world(tmp_path, 'wildbook', make_world(rows), places=places)
    assert [len(assets(row)) for row in sheets(folder)[0]] == [2, 1, 1, 1, 1]


def test_sheets_have_200_encounters_at_most(tmp_path):
    world = replace(make_world(), said=[])
    world.photo_rows = [
        replace(
            make_photo(1, 1, camera='c'), id=number, sha256=f'{number:064x}', encounter=f'{number}'
        )
        for number in range(1, 2 * MOST + 2)
    ]
    folder, lines = export_world(tmp_path, 'wildbook', world)
    check_rules(folder)
    assert [len(rows) for rows in sheets(folder)] == [MOST, MOST, 1]
    assert f'{2 * MOST + 1} encounters in 3 sheets' in lines
    world.photo_rows.pop()
    _, lines = export_world(tmp_path / 'even', 'wildbook', world)
    assert f'{2 * MOST} encounters in 2 sheets' in lines


def test_photos_are_copied_under_the_names_of_the_sheet(tmp_path):
    world = make_world()
    for number, photo in enumerate(world.photo_rows):
        path = tmp_path / 'data' / f'Zürich_{number} (1).png'
        write_photo(path, number, 0)
        world.photo_rows[number] = replace(photo, path=str(path), sha256=sha256_file(path))
    folder, lines = export_world(tmp_path, 'wildbook', world, copy_photos=True)
    check_rules(folder)
    rows = read_table(folder / 'photos.csv')
    assert len(rows) == 9 and rows[0]['name'] == 'photos_001/Zurich.0 .1.png'
    for row in rows:
        assert sha256_file(folder / row['name']) == row['sha256'] == sha256_file(row['path'])
    assert not any('not copied' in line for line in lines)


def test_photos_that_are_gone_cannot_be_copied(tmp_path):
    with pytest.raises(InputError, match='9 photos cannot be copied, since the file is gone'):
        export_world(tmp_path, 'wildbook', copy_photos=True)
    assert list(tmp_path.iterdir()) == []


def test_photos_need_space(tmp_path, monkeypatch):
    world = make_world()
    world.photo_rows = [replace(photo, path=__file__) for photo in world.photo_rows]
    monkeypatch.setattr('wildlife.exports.media.free_bytes', lambda folder: 8999)
    with pytest.raises(InputError, match='need 0.00 GB, but the disk has 0.00 GB'):
        export_world(tmp_path, 'wildbook', world, copy_photos=True)


def test_make_lists_reads_the_sheet(tmp_path):
    folder, _ = export_world(tmp_path, 'wildbook')
    frame = read_csv(folder / 'encounters_001.csv').frame
    found = set(zip(frame['mediaAsset'], frame['MarkedIndividual.individualID']))
    assert {('IMG.0000.jpg', 'Nala'), ('IMG.0001.jpg', 'Nala'), ('IMG.0004.jpg', '虎')} <= found


@pytest.mark.parametrize(
    'rows, species, message',
    [
        ([('Nala', 'c', 1, '', {})], '', 'needs the name of the species'),
        ([('Nala', 'c', 1, '', {})], 'nyala', 'needs genus and species'),
        ([('Nala', 'c', 0, '', {})], 'A b', 'needs date for each photo, but none of the 2 photos'),
        ([('Nala', '', 1, '', {})], 'A b', 'needs a place for each photo'),
    ],
)
def test_what_wildbook_would_reject_is_rejected(tmp_path, rows, species, message):
    world = replace(make_world(rows), species=species)
    with pytest.raises(InputError) as error:
        export_world(tmp_path, 'wildbook', world)
    assert message in str(error.value)
    assert list(tmp_path.iterdir()) == []
