"""CSV and camtrapR; and what every format says that it cannot hold."""

from dataclasses import replace
from datetime import datetime

import pytest

from tests.wildlife.exports.worlds import (
    PLACES,
    ROWS,
    FakeCatalogue,
    export_world,
    make_decision,
    make_world,
    read_table,
)
from utils.errors import InputError
from wildlife.exports.export import FORMATS
from wildlife.exports.job import Options
from wildlife.exports.losses import KINDS, losses
from wildlife.exports.sightings import read_records


def test_csv_has_everything(tmp_path):
    folder, lines = export_world(tmp_path, 'csv', places=PLACES)
    rows = {row['photo']: row for row in read_table(folder / 'sightings.csv')}
    assert len(rows) == len(ROWS) + 1
    row = rows['4']
    assert row['individual'] == "Zuri d'Or, jr" and row['date'] == '2023-05-01 12:04:00'
    box = [float(row[f'box_{part}']) for part in ('x', 'y', 'width', 'height', 'theta')]
    assert box == [0.5, 0.1, 0.2, 0.2, 0.3]
    assert (row['latitude'], row['longitude'], row['x']) == ('-27.85', '32.47', '')
    assert rows['7']['date'] == '' and rows['12']['answer'] == 'none'
    assert rows['1']['side'] == 'left' and rows['1']['probability'] == '0.97'
    names = {row['individual']: row for row in read_table(folder / 'individuals.csv')}
    assert names['Nala']['aliases'] == 'old Nala' and names['Nala']['notes'] == 'torn ear'
    assert len(read_table(folder / 'decisions.csv')) == 11
    assert lines == ["Detectors: the photos' cameras"]


def test_detectors_are_told_only_if_there_are_some(tmp_path):
    world = make_world()
    world.photo_rows = [replace(photo, camera='', place='') for photo in world.photo_rows]
    _, lines = export_world(tmp_path, 'csv', world)
    assert lines == []


def test_every_decision_is_there(tmp_path):
    world = make_world()
    world.said.insert(0, replace(make_decision(0, world.photo_rows[0]), note='blurred'))
    folder, _ = export_world(tmp_path, 'csv', world)
    assert read_table(folder / 'decisions.csv')[0]['note'] == 'blurred'


def test_camtrapr(tmp_path):
    folder, lines = export_world(tmp_path, 'camtrapr', places=PLACES)
    rows = read_table(folder / 'records.csv')
    assert [row['Individual'] for row in rows] == [
        *('Nala', 'Nala', "Zuri d'Or, jr", '虎', 'Nala', "Zuri d'Or, jr", 'Ñandú')
    ]
    first = rows[0]
    assert first['Station'] == 'cam 1' and first['Species'] == 'Tragelaphus angasii'
    assert first['DateTimeOriginal'] == '2023-05-01 12:01:00'
    moment = datetime.strptime(first['DateTimeOriginal'], '%Y-%m-%d %H:%M:%S')
    assert (first['Date'], first['Time']) == (str(moment.date()), str(moment.time()))
    assert (first['Directory'], first['FileName']) == ('/data/folder 1', 'IMG_0000.JPG')
    stations = read_table(folder / 'stations.csv')
    assert [row['Station'] for row in stations] == list(PLACES)
    assert stations[0]['Setup_date'] == '2023-05-01'
    assert stations[0]['Retrieval_date'] == '2023-05-20'
    assert float(stations[0]['utm_x']) == pytest.approx(447816.66)  # by pyproj
    assert 'Not in camtrapR: places (1 photo)' in lines


def test_camtrapr_says_what_camtrapr_would_reject(tmp_path):
    late = replace(PLACES['cam_2'], start=datetime(2023, 5, 10))
    places = PLACES | {'cam_2': late, 'cam 1': replace(PLACES['cam 1'], end=None)}
    _, lines = export_world(tmp_path, 'camtrapr', places=places)
    assert (
        '2 photos taken on days when the station did not work: camtrapR rejects them; '
        'correct --places' in lines
    )
    assert any(line.startswith('1 station without start or end: camtrapR') for line in lines)
    with pytest.raises(InputError, match='no row for 1 camera of the photos: cam_2'):
        export_world(tmp_path / 'few', 'camtrapr', places={'cam 1': PLACES['cam 1']})
    assert not (tmp_path / 'few').exists() or not list((tmp_path / 'few').iterdir())


@pytest.mark.parametrize('name', sorted(set(FORMATS) - {'csv'}))
def test_individuals_that_are_lost_are_counted(tmp_path, name):
    world = make_world()
    ghosts = [replace(world.names[0], id=90 + n, name=f'ghost {n}') for n in range(2)]
    options = {'timezone': 'UTC'} if name == 'camtrap-dp' else {}
    _, lines = export_world(
        tmp_path, name, replace(world, names=[*world.names, *ghosts]), places=PLACES, **options
    )
    assert '2 individuals skipped: no photo that can be exported' in lines


def test_camtrapr_without_coordinates_has_no_stations(tmp_path):
    folder, lines = export_world(tmp_path, 'camtrapr')
    assert not (folder / 'stations.csv').exists()
    assert any(line.startswith('No stations.csv') for line in lines)


def test_detectors_are_places_if_no_photo_names_a_camera():
    world = make_world([('Nala', '', 1, '', {'place': 'lick'})])
    world.photo_rows[-1] = replace(world.photo_rows[-1], camera='')
    assert read_records(world).detector == 'place'
    assert read_records(world).sightings[0].detector == 'lick'
    assert read_records(make_world()).detector == 'camera'
    assert read_records(make_world(), 'place').sightings[3].detector == 'the salt lick'


def test_sightings_are_by_date():
    numbers = [one.photo.id for one in read_records(make_world()).sightings]
    assert numbers == [1, 2, 4, 8, 10, 9, 11, 12, 3, 5, 6, 7]


def test_the_newest_decision_about_the_same_individual_counts():
    world = make_world()
    photo = world.photo_rows[0]
    world.said.append(make_decision(52, photo, 'unsure', individual_id=None))
    first = read_records(world).sightings[0]
    assert first.photo == photo and first.decision.id == 1
    world.said.append(make_decision(53, photo))
    assert read_records(world).sightings[0].decision.id == 53


def test_losses_count_what_there_is():
    records = read_records(make_world())
    found = losses(records, ())
    assert 'sides of the animal (4 photos)' in found and 'boxes (3 photos)' in found
    assert 'turned boxes (1 photo)' in found and 'probabilities (2 photos)' in found
    assert 'sexes (2 individuals)' in found and 'notes (1 individual)' in found
    assert not any('earlier' in line for line in found)
    assert losses(records, KINDS) == []
    assert 'cameras (11 photos)' not in losses(records, {'detector'})
    assert 'places (1 photo)' in losses(records, {'detector'})


def test_earlier_decisions_are_a_loss():
    world = make_world()
    world.said.append(make_decision(52, world.photo_rows[0]))
    assert 'earlier decisions (1 decision)' in losses(read_records(world), ())


def test_what_a_format_holds_and_uses_are_known_words():
    for chosen in FORMATS.values():
        assert chosen.holds <= {*KINDS, 'detector'}
        assert chosen.options <= {*Options.__dataclass_fields__, 'detector'}


@pytest.mark.parametrize('name', FORMATS)
def test_no_photos(tmp_path, name):
    with pytest.raises(InputError, match='the catalogue has no photos'):
        export_world(tmp_path, name, FakeCatalogue([], [], []))


@pytest.mark.parametrize('name', FORMATS)
def test_a_folder_that_is_there_is_left_alone(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / 'mine.txt').write_text('mine')
    with pytest.raises(InputError, match='is there already; name a new folder'):
        export_world(tmp_path, name, places=PLACES, timezone='UTC')
    assert [path.name for path in (tmp_path / name).iterdir()] == ['mine.txt']
