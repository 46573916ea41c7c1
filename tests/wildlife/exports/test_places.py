"""Places: the table, coordinates in the photos, the grid of UTM; times; names; occasions."""

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wildlife.exports.worlds import PLACES, export_world, make_world, write_places
from utils.errors import InputError
from wildlife.exports.grid import epsg_code, points_of, zone_of
from wildlife.exports.identifiers import RESERVED, free_name, identifiers
from wildlife.exports.occasions import MOST, make_occasions
from wildlife.exports.places import Place, place_of_text, read_places
from wildlife.exports.times import iso_time, read_zone


def test_read_places(tmp_path):
    end = datetime(2023, 5, 20, 23, 59, 59)  # a date without a time lasts until its end
    assert read_places(write_places(tmp_path / 'p.csv'))['cam 1'] == replace(
        PLACES['cam 1'], end=end
    )


@pytest.mark.parametrize(
    'header',
    [
        'deploymentID,locationID,latitude,longitude,deploymentStart,deploymentEnd,cameraID',
        'Station,trap,lat,lon,Setup_date,Retrieval_date,Camera',
    ],
)
def test_tables_of_other_programs(tmp_path, header):
    row = 'c7,x,-27.5,"32,25",2023-05-01T10:00:00+02:00,2023-06-01,k'
    (tmp_path / 'p.csv').write_text(f'{header}\n{row}\n', encoding='utf-8')
    start, end = datetime(2023, 5, 1, 10), datetime(2023, 6, 1, 23, 59, 59)
    place = Place('c7', -27.5, 32.25, None, None, start, end)
    assert read_places(tmp_path / 'p.csv') == {'c7': place}


@pytest.mark.parametrize(
    'text, message',
    [
        ('place,latitude\na,1\n', 'needs a column place'),
        ('latitude,longitude\n1,2\n', 'needs a column place'),
        ('place,x,y\na,1,2\na,3,4\n', "p.csv:3: the place 'a' occurs twice"),
        ('place,x,y\n,1,2\n', 'p.csv:2: the name of the place is missing'),
        ('place,lat,lon\na,91,2\n', "p.csv:2: latitude '91' is not a number from -90 to 90"),
        ('place,x,y\na,north,2\n', "p.csv:2: x 'north' is not a number"),
        ('place,x,y,start\na,1,2,May\n', "'May' in the column start is not a date"),
        ('place,x,y,start,end\na,1,2,2023-05-02,2023-05-01\n', "'a' ends before it starts"),
    ],
)
def test_tables_that_are_wrong(tmp_path, text, message):
    (tmp_path / 'p.csv').write_text(text, encoding='utf-8')
    with pytest.raises(InputError) as error:
        read_places(tmp_path / 'p.csv')
    assert message in str(error.value)


@pytest.mark.parametrize(
    'text, found',
    [
        ('-27.85, 32.47', (-27.85, 32.47)),
        ('(52.7; 23)', (52.7, 23)),
        ('1.5 2', (1.5, 2)),
        ('1 2', None),
        ('91, 2', None),
        ('1, 181', None),
        ('the salt lick', None),
        ('', None),
    ],
)
def test_coordinates_in_a_text(text, found):
    place = place_of_text('c', text)
    assert (place and place.on_earth) == found


def test_a_camera_at_two_places_is_rejected(tmp_path):
    rows = [('Nala', 'c', day, '', {'place': f'1, {day}'}) for day in (1, 2)]
    with pytest.raises(InputError, match="'c' has photos at several coordinates"):
        export_world(tmp_path, 'csv', make_world(rows))


@pytest.mark.parametrize(
    'latitude, longitude, zone, x, y',
    [  # by pyproj 3.7
        (-27.85, 32.47, 36, 447816.6588519108, 6919300.963828476),
        (52.704, 23.85, 34, 692548.9852355623, 5843154.78650847),
        (0.1, 36.9, 37, 266270.2421939778, 11060.483077897718),
        (-2.3, 34.83, 36, 703504.9556153733, 9745649.064068498),
    ],
)
def test_utm_is_that_of_pyproj(latitude, longitude, zone, x, y):
    assert zone_of(longitude) == zone
    name, points = points_of({'a': Place('a', latitude=latitude, longitude=longitude)})
    assert f'UTM zone {zone}' in name
    assert points['a'] == pytest.approx((x, y), abs=1e-2)


def test_places_on_both_sides_of_the_equator_share_a_grid():
    places = {
        'n': Place('n', latitude=0.01, longitude=33),
        's': Place('s', latitude=-1, longitude=33),
    }
    name, points = points_of(places)
    assert '36S (EPSG:32736)' in name
    north, south = points['n'], points['s']
    assert north[0] == pytest.approx(500_000) == south[0]
    assert north[1] - south[1] == pytest.approx(1.01 * 110_574 * 0.9996, abs=5)


def test_a_place_near_the_pole_is_rejected():
    with pytest.raises(InputError, match='--places: 85, 33: latitude out of range.*give x and y'):
        points_of({'p': Place('p', latitude=85, longitude=33)})


def test_zones():
    assert [zone_of(longitude) for longitude in (-180, -0.1, 0, 179.9)] == [1, 30, 31, 60]
    assert (epsg_code(36, True), epsg_code(34, False)) == (32736, 32634)


@pytest.mark.parametrize(
    'text, offset',
    [('UTC', 0), ('+02:00', 2), ('-0330', -3.5), ('Africa/Johannesburg', 2)],
)
def test_zones_of_time(text, offset):
    assert read_zone(text).utcoffset(datetime(2023, 5, 1)) == timedelta(hours=offset)


@pytest.mark.parametrize('text', ['Nowhere/Land', '+25:00', '', '../../etc/passwd', 'A\0B'])
def test_zones_that_are_none(text):
    with pytest.raises(InputError, match='--timezone .* is not known'):
        read_zone(text)


def test_iso_time_keeps_a_zone_that_is_there():
    moment = datetime(2023, 5, 1, 12, tzinfo=timezone.utc)
    assert iso_time(moment, read_zone('+02:00')) == '2023-05-01T12:00:00+00:00'


@settings(max_examples=40)
@given(st.sets(st.text(min_size=1, max_size=12), max_size=12))
def test_identifiers_are_plain_and_unique(names):
    found = identifiers(names, 'animal')
    assert found.keys() == names
    plain = [identifier.lower() for identifier in found.values()]
    assert len(set(plain)) == len(plain) and not set(plain) & RESERVED
    for identifier in found.values():
        assert identifier.isascii() and not set(identifier) & set(' \t\n,#\'"*/;')


def test_names_that_are_plain_stay():
    found = identifiers(['a b', 'a.b', 'NA', 'Zoë', 'x_1', '虎', '龙'], 'animal')
    assert found == {
        'a.b': 'a.b',
        'x_1': 'x_1',
        'NA': 'animal.NA',
        'Zoë': 'Zoe',
        'a b': 'a.b.2',
        '虎': 'animal',
        '龙': 'animal.2',
    }


def test_occasions():
    days = [date(2023, 5, 1), date(2023, 5, 15)]
    weeks = make_occasions(['week'], days)
    assert len(weeks) == 3 and str(weeks) == '3 weeks, 2023-05-01 to 2023-05-21'
    assert [weeks.number_of(day) for day in days] == [1, 3]
    assert weeks.days(2) == (date(2023, 5, 8), date(2023, 5, 14))
    assert weeks.number_of(date(2023, 4, 30)) == weeks.number_of(date(2023, 5, 22)) == 0
    given = make_occasions(['2023-05-01', '2023-05-15', '2023-06-01'], days)
    assert [given.number_of(day) for day in days] == [1, 2] and len(given) == 2


def test_a_camera_with_a_wrong_clock():
    with pytest.raises(InputError, match='19479 occasions of a day, from 1970-01-01'):
        make_occasions(['day'], [date(1970, 1, 1), date(2023, 5, 1)])
    first = date(2020, 1, 1)
    assert len(make_occasions(['day'], [first, first + timedelta(days=MOST - 1)])) == MOST


def test_many_equal_names_take_no_time():
    taken = {}
    names = [free_name('IMG.0001', taken) for _ in range(30000)]
    assert len(set(names)) == len(names) and names[:2] == ['IMG.0001', 'IMG.0001.2']
    assert free_name('img.0001.2', taken) == 'img.0001.2.2'
